"""Processor, memory and limits of a machine: by psutil, and by files where it does not tell them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import psutil

from stylepress.benchmarks.machine.files import Tree

FLAGS = (
    *("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve"),
)
"""Processor features that decide which kernels a backend takes."""
CPUS = "sys/devices/system/cpu"
GIBIBYTE = 1 << 30
NO_LIMIT = 1 << 60
"""What an old control group without a limit says is more than this many bytes."""


def facts(tree: Tree) -> Mapping[str, Callable[[], Any]]:
    """Return what reads each fact, by the names of the machine record.

    A reader raises OSError, LookupError or ValueError where its fact is not told.
    """
    text, field = tree.text, tree.field
    return {
        "cpu": lambda: _cpu(tree),
        "flags": lambda: tuple(flag for flag in FLAGS if flag in _flags(tree)),
        "virtual": lambda: "hypervisor" in _flags(tree),
        "distribution": lambda: field("etc/os-release", "PRETTY_NAME"),
        "threads_per_core": _threads_per_core,
        "smt": lambda: text(f"{CPUS}/smt/active") == "1",
        "cpuset": lambda: field("proc/self/status", "Cpus_allowed_list"),
        "governor": lambda: _governor(tree),
        "clocks_mhz": _clocks_mhz,
        "turbo": lambda: _turbo(tree),
        "quota_cores": lambda: _quota_cores(tree),
        "memory_gib": lambda: round(psutil.virtual_memory().total / GIBIBYTE, 1),
        "memory_limit_gib": lambda: _memory_limit_gib(tree),
        "memory_free_gib": lambda: round(psutil.virtual_memory().available / GIBIBYTE, 1),
        "load_average": lambda: round(psutil.getloadavg()[0], 2),
        "cpu_pressure": lambda: _pressure(tree),
        "uptime_s": lambda: round(time.time() - psutil.boot_time()),
        "boot_id": lambda: text("proc/sys/kernel/random/boot_id"),
        "mitigations": lambda: _mitigations(tree),
        "temperatures_c": temperatures_c,
        "fans": _fans,
    }


def temperatures_c() -> dict[str, float]:
    """Return every temperature, by chip and label.

    Raises:
        LookupError: none can be read.
    """
    found: dict[str, float] = {}
    for chip, readings in getattr(psutil, "sensors_temperatures", dict)().items():
        for number, one in enumerate(readings):
            name = one.label or (chip if len(readings) == 1 else f"{chip} {number + 1}")
            found[name if name not in found else f"{chip} {name}"] = round(one.current, 1)
    if not found:
        raise LookupError("this system tells no temperature")
    return found


def _fans() -> dict[str, float]:
    fans = getattr(psutil, "sensors_fans", dict)().items()
    found = {
        f"{chip} {one.label}".strip(): float(one.current) for chip, all_ in fans for one in all_
    }
    if not found:
        raise LookupError("this system tells the speed of no fan")
    return found


def _cpu(tree: Tree) -> str:
    """Return the processor's name; a board's own name where it has one, as ARM boards do."""
    with suppress(OSError):
        return tree.text("proc/device-tree/model")
    return tree.field("proc/cpuinfo", "model name", "Hardware", "Processor")


def _flags(tree: Tree) -> list[str]:
    return tree.field("proc/cpuinfo", "flags", "Features").split()


def _threads_per_core() -> int:
    logical, cores = psutil.cpu_count(), psutil.cpu_count(logical=False)
    if not logical or not cores:
        raise LookupError("this system does not tell its cores")
    return round(logical / cores)


def _governor(tree: Tree) -> str:
    """Return who sets the clocks; several where groups of cores differ."""
    files = tree.names(f"{CPUS}/cpu[0-9]*/cpufreq/scaling_governor")
    if not files:
        raise FileNotFoundError(2, "No such file or directory", f"/{CPUS}/cpu0/cpufreq")
    return ",".join(sorted({tree.text(name) for name in files}))


def _clocks_mhz() -> tuple[tuple[float, float], ...]:
    """Return the least and most clocks that are allowed, one pair for each kind of core."""
    ranges = {(one.min, one.max) for one in psutil.cpu_freq(percpu=True) if one.max}
    if not ranges:
        raise LookupError("this system does not tell the clocks that its processors may have")
    return tuple(sorted(ranges))


def _turbo(tree: Tree) -> bool:
    """Say whether cores may run above their nominal clock."""
    with suppress(OSError):
        return tree.text(f"{CPUS}/intel_pstate/no_turbo") == "0"
    return tree.text(f"{CPUS}/cpufreq/boost") == "1"


def _quota_cores(tree: Tree) -> float:
    """Return the cores that the control groups grant: the least of a group and those above."""
    granted = []
    for folder in tree.groups():
        with suppress(OSError):
            quota, period = tree.text(f"{folder}/cpu.max").split()
            if quota != "max":
                granted.append(int(quota) / int(period))
    old = "sys/fs/cgroup/cpu/cpu.cfs"
    with suppress(OSError):
        if (quota_us := tree.number(f"{old}_quota_us")) > 0 and not granted:
            granted.append(quota_us / tree.number(f"{old}_period_us"))
    if not granted:
        raise LookupError("no control group limits the processor")
    return min(granted)


def _memory_limit_gib(tree: Tree) -> float:
    """Return the memory that the control groups grant: the least of a group and those above."""
    granted = []
    old = "sys/fs/cgroup/memory/memory.limit_in_bytes"
    for name in (*(f"{folder}/memory.max" for folder in tree.groups()), old):
        with suppress(OSError, ValueError):  # "max" is no number
            limit = tree.number(name)
            granted += [limit] if limit < NO_LIMIT else []
    if not granted:
        raise LookupError("no control group limits the memory")
    return round(min(granted) / GIBIBYTE, 1)


def _pressure(tree: Tree) -> float:
    """Return the share of the last ten seconds in which some task waited, 0..1."""
    some = tree.text("proc/pressure/cpu").splitlines()[0]
    return float(some.partition("avg10=")[2].split()[0]) / 100


def _mitigations(tree: Tree) -> str:
    """Name the processor's faults that the kernel works around: it costs time."""
    files = tree.names(f"{CPUS}/vulnerabilities/*")
    if not files:
        raise LookupError(f"/{CPUS}/vulnerabilities is empty")
    found = [n.rpartition("/")[2] for n in files if tree.text(n).startswith("Mitigation")]
    return ",".join(sorted(found)) or "none"
