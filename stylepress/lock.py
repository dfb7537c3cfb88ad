"""One process at a time: a lock file that the operating system frees when its holder dies."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stylepress.replace import writing

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

BUSY = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
POLL_S = 0.1


@contextmanager
def locked(
    path: Path, *, wait: bool = True, on_wait: Callable[[], None] | None = None
) -> Iterator[bool]:
    """Hold the lock file ``path`` while the block runs; yield whether it is held.

    Without ``wait`` a lock that somebody else holds yields False; with it, ``on_wait`` is called
    once and then the block waits its turn. A file system without locks (some network mounts) is
    used without. The file stays behind: a process that waits on a removed file and one that makes
    a new one would both go on. It never goes stale, because the lock belongs to the open file.

    Raises:
        OutputError: the lock file cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        held = _take(handle)
        if wait and not held:
            if on_wait is not None:
                on_wait()
            while not (held := _take(handle)):
                time.sleep(POLL_S)
        yield held
    finally:
        os.close(handle)


def _take(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in BUSY:
            return False
        if error.errno not in UNSUPPORTED:
            raise
    return True
