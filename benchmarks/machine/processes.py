"""A process and all that it started: how much processor and memory they use together.

Only the standard library is imported here: it is loaded while a start is timed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from stylepress.benchmarks.machine.files import Tree

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
CLEAR_PEAK = "5"
"""What makes Linux forget a process's peak when it is written to its ``clear_refs``."""
# Places in /proc/PID/stat after the name in brackets.
PARENT, USER, CHILDREN_END, RESIDENT = 1, 11, 15, 21


class ProcessTree:
    """Follow a process and its children, those of which died included in the processor time.

    A process that was seen once is not looked at again when it is none of ours, so a look costs
    one listing of /proc and a read for each of ours. ``apart`` is the observer itself: the
    processor it uses is ours, its memory is not.
    """

    def __init__(self, tree: Tree, pid: int, *, apart: int = -1) -> None:
        self.tree, self.pid, self.apart = tree, pid, apart
        self._ours: dict[int, bool] = {pid: True}

    def members(self) -> list[int]:
        """Return the processes that are alive, the first one first."""
        alive = {int(name) for name in os.listdir(self.tree.root / "proc") if name.isdigit()}
        self._ours = {pid: ours for pid, ours in self._ours.items() if pid in alive}
        parents = {
            pid: int(stat[PARENT]) for pid in alive - self._ours.keys() if (stat := self._stat(pid))
        }
        while parents:
            settled = {
                pid: self._ours.get(above, False)
                for pid, above in parents.items()
                if above not in parents
            }
            self._ours.update(settled)
            parents = {pid: above for pid, above in parents.items() if pid not in settled}
        return sorted(
            (pid for pid, ours in self._ours.items() if ours), key=lambda p: p != self.pid
        )

    def read(self) -> Mapping[str, float]:
        """Return ``cpu.own_s``, ``memory.tree_bytes`` and ``memory.main_bytes``, now.

        Memory is the sum of what is resident: pages that processes share count once for each.
        """
        ticks = pages = main = 0
        for pid in self.members():
            stat = self._stat(pid)
            if not stat:
                continue
            ticks += sum(map(int, stat[USER:CHILDREN_END]))
            resident = int(stat[RESIDENT])
            pages += 0 if pid == self.apart else resident
            main += resident if pid == self.pid else 0
        return {
            "cpu.own_s": ticks / TICKS,
            "memory.tree_bytes": float(pages * PAGE_BYTES),
            "memory.main_bytes": float(main * PAGE_BYTES),
        }

    def _stat(self, pid: int) -> list[str]:
        with suppress(OSError):
            return self.tree.text(f"proc/{pid}/stat").rpartition(")")[2].split()
        return []


def peak_bytes(tree: Tree | None = None, *, pid: int | None = None) -> int:
    """Return a process's highest resident memory since it began, or since it was forgotten.

    Raises:
        LookupError: the system keeps no peak.
        OSError: the process is not there.
    """
    name = f"proc/{'self' if pid is None else pid}/status"
    fields = (tree or Tree()).fields(name)
    if "VmHWM" not in fields:
        raise LookupError(f"/{name} has no VmHWM")
    return int(fields["VmHWM"].split()[0]) * 1024


def forget_peak(root: Path = Path("/")) -> bool:
    """Let the kernel begin this process's peak anew; say whether it did."""
    with suppress(OSError):
        (root / f"proc/{os.getpid()}/clear_refs").write_text(CLEAR_PEAK)
        return True
    return False
