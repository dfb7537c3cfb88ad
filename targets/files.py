"""What a Linux system tells in files, below a root that tests can make themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

LIMIT_BYTES = 16 << 20
"""What is read of one file at most: a list of Debian packages has a few."""


class Tree:
    """Files below ``root``; names are written without the leading slash."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def text(self, name: str) -> str:
        """Return a file's text without blanks and NULs around it.

        Raises:
            OSError: it cannot be read.
        """
        with (self.root / name).open("rb") as file:
            return file.read(LIMIT_BYTES).decode(errors="replace").strip("\0\n\t ")

    def known(self, name: str) -> str:
        """Return a file's text, empty where it cannot be read."""
        with suppress(OSError):
            return self.text(name)
        return ""

    def number(self, name: str) -> float:
        """Return a file's number.

        Raises:
            OSError: it cannot be read.
            ValueError: it holds no number.
        """
        return float(self.text(name))

    def names(self, pattern: str) -> list[str]:
        """Return the files that match, shorter ones first, so that 10 comes after 9."""
        found = (path.relative_to(self.root).as_posix() for path in self.root.glob(pattern))
        return sorted(found, key=lambda name: (len(name), name))

    def field(self, name: str, *keys: str) -> str:
        """Return the value of the first ``key: value`` or ``key=value`` line with one of the keys.

        Raises:
            OSError: the file cannot be read.
            LookupError: there is no such line.
        """
        for line in self.text(name).splitlines():
            for sign in (":", "="):
                key, found, value = line.partition(sign)
                if found and key.strip() in keys and value.strip():
                    return value.strip().strip("\"'")
        raise LookupError(f"/{name} has no {' or '.join(keys)}")

    def chips(self, wanted: str) -> Iterator[str]:
        """Yield the folders of hardware monitors of this name."""
        for folder in self.names("sys/class/hwmon/hwmon*"):
            with suppress(OSError):
                if self.text(f"{folder}/name") == wanted:
                    yield folder


def reason(error: Exception, root: Path) -> str:
    """Say in a few words why something could not be read."""
    if isinstance(error, OSError) and error.filename:
        path = Path(error.filename)
        shown = path.relative_to(root) if path.is_relative_to(root) else path
        return f"/{shown.as_posix().lstrip('/')}: {error.strerror}"
    return str(error.args[0]) if error.args else type(error).__name__
