"""Processor, limits and pressure of a Linux machine, as files tell what no library does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

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
