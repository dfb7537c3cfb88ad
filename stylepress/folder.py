"""The files below a folder: in order of names, links followed, nothing twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def files_below(folder: Path, *, leave_out: Path | None = None) -> Iterator[Path]:
    """Yield every file below a folder in order of names, sub-folders after the files beside them.

    Linked folders are entered too, but no folder twice, so that a link to a parent ends. Hidden
    names are left out, and so is the folder ``leave_out``. A link that leads nowhere is yielded,
    for the caller to tell.
    """
    entered = set[str]()
    for place, inner, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in entered or (leave_out is not None and real == os.path.realpath(leave_out)):
            inner.clear()
            continue
        entered.add(real)
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(names) if not name.startswith("."))
