"""Child processes of tests: they end with the run of the tests, also when that is killed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

SETPRIV = shutil.which("setpriv")
"""Of util-linux; without it a child outlives a killed run."""


def bound(command: Sequence[str], by: str = "KILL") -> list[str]:
    """Return the command under the rule that the kernel sends it ``by`` when this process dies."""
    return [*([SETPRIV, "--pdeathsig", by] if SETPRIV else []), *command]
