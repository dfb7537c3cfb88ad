"""Write beside, then rename: nothing is ever half-written under its final name."""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stylepress.errors import OutputError

NAME_BYTES = 255
"""The longest name of a file on the usual file systems."""
OS_ERROR = re.compile(r"\(os error (\d+)\)")


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path``, renamed onto it on success and removed on failure.

    The suffix is kept, so that writers which choose a format by it still do. Of a link, the file
    that it leads to is replaced.

    Raises:
        OutputError: the folder cannot be written to, or the disk is full.
    """
    with writing(path):
        if path.is_symlink():
            path = Path(os.path.realpath(path))
        # Short, so that a name as long as a file system allows has room for it.
        beside = path.with_name(f".{uuid.uuid4().hex[:8]}.part{path.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield beside
            _sync(beside)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path``, renamed onto it on success and removed on failure.

    A folder that stands under the name already is moved aside first and removed last.

    Raises:
        OutputError: the parent cannot be written to, or the disk is full.
    """
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.mkdir()
        try:
            yield beside
            for file in beside.rglob("*"):
                if file.is_file():
                    _sync(file)
            _swap(beside, path)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def with_word(path: Path, word: str) -> Path:
    """Put a word before the suffix of a name; one that grew too long for a folder is shortened.

    >>> with_word(Path("a/clip.mp4"), "partial").as_posix()
    'a/clip.partial.mp4'
    """
    end = f".{word}{path.suffix}"
    stem = os.fsencode(path.stem)[: NAME_BYTES - len(os.fsencode(end))]
    return path.with_name(stem.decode("utf-8", "ignore") + end)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write ``path`` into an OutputError with the mend."""
    try:
        yield
    except Exception as error:
        number = _refusal(error)
        if number in (errno.ENOSPC, errno.EDQUOT):
            left = "What stood under that name is whole" if path.exists() else "Nothing was left"
            raise OutputError(
                f"The disk is full while writing {path}.",
                f"{left}; free some space and run the command again.",
            ) from error
        if number in (
            errno.EACCES,
            errno.EPERM,
            errno.EROFS,
            errno.ENOTDIR,
            errno.EEXIST,
            errno.ENAMETOOLONG,
            errno.ELOOP,
            errno.EFBIG,
        ):
            raise OutputError(
                f"{path} cannot be written ({os.strerror(number)}).",
                "Choose another place, or give this user the right to write there.",
            ) from error
        raise


def _refusal(error: Exception) -> int:
    """Return the system's number for a failure; 0 for one of another kind.

    Libraries in Rust (safetensors) raise errors of their own, that end in ``(os error 28)``.
    """
    if isinstance(error, OSError):
        return error.errno or 0
    foreign = OS_ERROR.search(str(error)) if type(error).__name__ == "SafetensorError" else None
    return int(foreign[1]) if foreign else 0


def writable(folder: Path | None) -> None:
    """Make a folder that results go into, before it takes minutes to get them.

    Raises:
        OutputError: it cannot be made, or nothing can be written there.
    """
    if folder is None:
        return
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{uuid.uuid4().hex[:8]}.part"
        probe.touch()
        probe.unlink()


def _swap(new: Path, path: Path) -> None:
    if not path.exists():
        new.replace(path)
        return
    old = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old")
    path.replace(old)
    try:
        new.replace(path)
    except OSError:
        old.replace(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    # A rename is only as durable as the bytes behind it: fsync before the name changes.
    with suppress(FileNotFoundError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
