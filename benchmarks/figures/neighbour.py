"""A neighbour on this machine: processes that keep cores busy from when it comes until it leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from stylepress.errors import VerificationError

MODULE = "stylepress.benchmarks.figures.neighbour"
READY = b"ready\n"


@contextmanager
def neighbour(loops: int) -> Iterator[Sequence[int]]:
    """Keep ``loops`` cores busy inside the block; yield the processes' ids once all are at work.

    They are children of this process, killed when the block ends, however it does; when this
    process is killed, their standard input ends, and so do they.

    Raises:
        VerificationError: one did not start.
    """
    busy: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(loops):
            # A session of its own: Ctrl-C reaches this process only, which then ends them.
            one = subprocess.Popen(
                [sys.executable, "-m", MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            busy.append(one)
        for one in busy:
            assert one.stdout is not None
            if one.stdout.readline() != READY:
                raise VerificationError(
                    f"The process that was to keep a core busy ended with {one.wait()}. "
                    f"Try it alone: `python -m {MODULE}`."
                )
        yield tuple(one.pid for one in busy)
    finally:
        for one in busy:
            one.kill()
        for one in busy:
            one.communicate()


def main() -> None:
    """Be busy until standard input ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    while True:
        pass


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
