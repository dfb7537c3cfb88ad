"""The machine that a measurement or a compiled engine belongs to."""

from __future__ import annotations

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


def usable_cores() -> int:
    """Count the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
