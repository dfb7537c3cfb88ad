"""What psutil and files tell of a machine: processors, memory, heat, and a process with all it started."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import psutil

from stylepress.runtime.machine import quota_cores
from stylepress.targets.files import Tree

FLAGS = (
    *("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve"),
)
"""Processor features that decide which kernels a backend takes."""
CPUS = "sys/devices/system/cpu"


def linux_facts(tree: Tree) -> Mapping[str, Callable[[], Any]]:
    """Return what reads each fact, by the names of the machine record.

    A reader raises OSError, LookupError or ValueError where its fact is not told.
    """
    return {
        "cpu": lambda: _cpu(tree),
        "flags": lambda: tuple(flag for flag in FLAGS if flag in _flags(tree)),
        "distribution": lambda: tree.field("etc/os-release", "PRETTY_NAME"),
        "governor": lambda: _governor(tree),
        "turbo": lambda: _turbo(tree),
        "quota_cores": lambda: _quota_cores(tree),
    }


def _cpu(tree: Tree) -> str:
    """Return the processor's name; a board's own name where it has one, as ARM boards do."""
    with suppress(OSError):
        return tree.text("proc/device-tree/model")
    return tree.field("proc/cpuinfo", "model name", "Hardware", "Processor")


def _flags(tree: Tree) -> list[str]:
    return tree.field("proc/cpuinfo", "flags", "Features").split()


def _governor(tree: Tree) -> str:
    """Return who sets the clocks; several where groups of cores differ."""
    files = tree.names(f"{CPUS}/cpu[0-9]*/cpufreq/scaling_governor")
    if not files:
        raise FileNotFoundError(2, "No such file or directory", f"/{CPUS}/cpu0/cpufreq")
    return ",".join(sorted({tree.text(name) for name in files}))


def _turbo(tree: Tree) -> bool:
    with suppress(OSError):
        return tree.text(f"{CPUS}/intel_pstate/no_turbo") == "0"
    return tree.text(f"{CPUS}/cpufreq/boost") == "1"


def _quota_cores(tree: Tree) -> float:
    """Return the cores that the control groups grant: the least of a group and those above."""
    granted = quota_cores(tree.root)
    if granted is None:
        raise LookupError("no control group limits the processor")
    return granted


GIBIBYTE = 1 << 30
Error = psutil.Error
"""What is raised of a process that is gone, or is another user's."""


def system_facts() -> Mapping[str, Callable[[], Any]]:
    """Return what reads each fact, by the names of the machine record.

    A reader raises OSError or LookupError where its fact is not told.
    """
    return {
        "clocks_mhz": _clocks_mhz,
        "memory_gib": lambda: round(psutil.virtual_memory().total / GIBIBYTE, 1),
        "load_average": lambda: round(psutil.getloadavg()[0], 2),
    }


def _clocks_mhz() -> tuple[tuple[float, float], ...]:
    """Return the least and most clocks that are allowed, one pair for each kind of core."""
    ranges = {(one.min, one.max) for one in psutil.cpu_freq(percpu=True) if one.max}
    if not ranges:
        raise LookupError("this system does not tell the clocks that its processors may have")
    return tuple(sorted(ranges))


def processor_probe() -> Mapping[str, float]:
    """Return ``cpu.busy_s`` and ``cpu.steal_s``: since boot, over the processors we may run on.

    Busy is user, nice, system and interrupts; stolen is what the host gave to others.
    """
    every = psutil.cpu_times(percpu=True)
    if hasattr(os, "sched_getaffinity"):
        every = [one for number, one in enumerate(every) if number in os.sched_getaffinity(0)]
    names = ("user", "nice", "system", "irq", "softirq")
    return {
        "cpu.busy_s": sum(getattr(one, name, 0.0) for one in every for name in names),
        "cpu.steal_s": sum(getattr(one, "steal", 0.0) for one in every),
        "cpu.count": float(len(every)),
    }


def memory_probe() -> Mapping[str, float]:
    """Return ``memory.available_bytes``, and ``swap.in_bytes`` since boot."""
    return {
        "memory.available_bytes": float(psutil.virtual_memory().available),
        "swap.in_bytes": float(psutil.swap_memory().sin),
    }


def clock_probe() -> Mapping[str, float]:
    """Return ``clock.cpu_mhz``, the mean of all processors."""
    now = psutil.cpu_freq()
    if now is None or not now.current:
        raise LookupError("this system does not tell the clocks of its processors")
    return {"clock.cpu_mhz": now.current}


def temperature_probe() -> Mapping[str, float]:
    """Return ``temperature.NAME_c`` of every sensor, by chip and label."""
    found: dict[str, float] = {}
    for chip, readings in getattr(psutil, "sensors_temperatures", dict)().items():
        for number, one in enumerate(readings):
            name = one.label or (chip if len(readings) == 1 else f"{chip} {number + 1}")
            name = name if f"temperature.{name}_c" not in found else f"{chip} {name}"
            found[f"temperature.{name}_c"] = one.current
    if not found:
        raise LookupError("this system tells no temperature")
    return found


class ProcessTree:
    """Follow a process and its children, those of which died included in the processor time.

    A process that was seen once is not looked at again when it is none of ours, so a look costs
    one listing of processes and a read for each of ours.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._known: dict[int, psutil.Process | None] = {pid: psutil.Process(pid)}

    def members(self) -> list[int]:
        """Return the processes that are alive, the first one first."""
        alive = psutil.pids()
        self._known = {pid: self._known[pid] for pid in alive if pid in self._known}
        for pid in alive:  # rising, but numbers begin anew: a child may come before its parent
            self._learn(pid)
        ours = [pid for pid, process in self._known.items() if process is not None]
        return sorted(ours, key=lambda pid: pid != self.pid)

    def read(self) -> Mapping[str, float]:
        """Return ``cpu.own_s``, now."""
        seconds = 0.0
        for pid in self.members():
            process = self._known[pid]
            with suppress(psutil.Error):
                assert process is not None
                seconds += sum(process.cpu_times()[:4])  # of it and of its children that ended
        return {"cpu.own_s": seconds}

    def _learn(self, pid: int) -> bool:
        """Say whether a process is one of ours, asking each but once."""
        if pid not in self._known:
            self._known[pid] = None
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                above = process.ppid()
                if above and self._learn(above):
                    self._known[pid] = process
        return self._known[pid] is not None
