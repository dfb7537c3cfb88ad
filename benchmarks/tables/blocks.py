"""Generated parts of documents: what stands between a pair of markers is made from results."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from stylepress.errors import InputError, OutputError
from stylepress.replace import replacing_file

MARKED = re.compile(r"<!-- (?P<name>[a-z-]+) -->\n.*?<!-- /(?P=name) -->", re.DOTALL)


def names_of(text: str) -> list[str]:
    """Return the names of the generated parts of a document, in order.

    >>> names_of("a\\n<!-- speed -->\\n| 1 |\\n<!-- /speed -->\\n")
    ['speed']
    """
    return [found["name"] for found in MARKED.finditer(text)]


def filled(text: str, made: Mapping[str, str]) -> str:
    """Return a document with each of its generated parts that is in ``made`` replaced."""

    def replaced(found: re.Match[str]) -> str:
        name = found["name"]
        return block(name, made[name]) if name in made else found[0]

    return MARKED.sub(replaced, text)


def block(name: str, body: str) -> str:
    """Return a generated part with its markers."""
    return f"<!-- {name} -->\n{body.rstrip()}\n<!-- /{name} -->"


def refill(path: Path, made: Mapping[str, str]) -> None:
    """Replace the generated parts of a file; those that are not in ``made`` stay.

    Raises:
        InputError: it holds none of them.
        OutputError: it cannot be read or written.
    """
    text = read(path)
    known = [name for name in names_of(text) if name in made]
    if not known:
        marker = next(iter(made), "name")
        raise InputError(
            f"{path} has no pair of markers for {', '.join(made)}. Put <!-- {marker} --> and "
            f"<!-- /{marker} -->, each on its own line, where the table belongs."
        )
    with replacing_file(path) as beside:
        beside.write_text(filled(text, made), encoding="utf-8")


def read(path: Path) -> str:
    """Read a document.

    Raises:
        OutputError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(
            f"{path} cannot be read ({error}). Name a document that holds the tables."
        ) from error
