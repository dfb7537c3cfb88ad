"""A neighbour keeps cores busy as a child of ours, and never outlives what it disturbs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from stylepress.benchmarks.figures import neighbour as module
from stylepress.benchmarks.figures.neighbour import MODULE, READY, neighbour
from stylepress.benchmarks.machine.files import Tree
from stylepress.benchmarks.machine.processes import ProcessTree
from stylepress.errors import VerificationError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")


def test_it_counts_as_our_own_and_is_gone_when_the_block_ends() -> None:
    with neighbour(2) as busy:
        assert {*busy} <= {*ProcessTree(Tree(), os.getpid()).members()}
    assert not any(os.path.exists(f"/proc/{pid}") for pid in busy)


def test_it_is_gone_when_the_block_is_interrupted() -> None:
    with pytest.raises(KeyboardInterrupt), neighbour(1) as busy:  # noqa: PT012
        pid = busy[0]
        raise KeyboardInterrupt
    assert not os.path.exists(f"/proc/{pid}")


def test_it_ends_with_the_process_that_asked_for_it() -> None:
    command = [sys.executable, "-m", MODULE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as one:
        assert one.stdin is not None
        assert one.stdout is not None
        assert one.stdout.readline() == READY
        assert one.poll() is None
        one.stdin.close()
        assert one.wait(timeout=30) == 0


def test_no_neighbour_at_all_is_allowed() -> None:
    with neighbour(0) as busy:
        assert busy == ()


def test_one_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MODULE", "stylepress.benchmarks.figures.nobody")
    with pytest.raises(VerificationError, match="ended with 1"), neighbour(1):
        pass
