"""The machine that a measurement or a compiled engine belongs to."""

from __future__ import annotations

import math
import os
import platform
from contextlib import suppress
from pathlib import Path


def machine() -> dict[str, str | int]:
    """Tell what a measurement depends on: processor, usable cores, architecture, system."""
    return {
        "cpu": processor(),
        "cores": usable_cores(),
        "architecture": platform.machine(),
        "system": platform.system(),
    }


def usable_cores(root: Path = Path("/")) -> int:
    """Count the cores that this process may keep busy: those it may run on, within its quota.

    A container with half a core more than whole ones gets the next whole number. ``root`` is where
    the system's ``proc`` and ``sys`` stand.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = quota_cores(root)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def quota_cores(root: Path) -> float | None:
    """Return the least quota of the control groups around this process, in cores; None for none.

    Version 2 writes quota and period into ``cpu.max``, version 1 into two files (Linux,
    Documentation/admin-guide/cgroup-v2.rst and scheduler/sched-bwc.rst).
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    quotas: list[float] = []
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, place = rest.partition(":")
        if number == "0" and not controllers:
            mounts = [root / "sys/fs/cgroup"]
        elif "cpu" in controllers.split(","):
            mounts = [root / "sys/fs/cgroup" / name for name in (controllers, "cpu")]
        else:
            continue
        for mount in mounts:
            group = mount / place.strip("/")
            # Also those around it. In a container its own group may stand at the mount itself.
            groups = [each for each in (group, *group.parents) if each.is_relative_to(mount)]
            quotas += [quota for each in groups if (quota := _quota(each)) is not None]
    return min(quotas, default=None)


def _quota(group: Path) -> float | None:
    """Return the quota of one control group, in cores."""
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text(encoding="utf-8").split()
        else:
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            quota, period = ((group / name).read_text(encoding="utf-8") for name in names)
        cores = float(quota) / float(period)
    except (OSError, ValueError, ZeroDivisionError):  # also where it says "max"
        return None
    return cores if cores > 0 else None


def processor() -> str:
    """Return the name of the processor, as the system knows it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model"):
                return value.strip()
    with suppress(OSError):
        text = Path("/proc/device-tree/model").read_text(encoding="utf-8")
        return text.strip("\0\n ")
    return platform.processor() or "unknown"
