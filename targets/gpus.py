"""NVIDIA GPUs as the driver's management library (NVML) sees them; nvidia-ml-py is optional."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

SLOWED: Mapping[str, int] = {
    "hardware slowdown": 0x8,
    "software thermal slowdown": 0x20,
    "hardware thermal slowdown": 0x40,
    "power brake": 0x80,
}
"""Clock event bits (nvml.h) that make a measurement worthless; 0x4 below only speaks of a limit."""
POWER_CAPPED = 0x4
MEBIBYTE = 1 << 20


class Gpus:
    """The GPUs of this machine. What one does not support is None.

    Raises:
        LookupError: the driver or a GPU is missing.
    """

    def __init__(self, library: Any) -> None:
        self._nvml = library
        try:
            library.nvmlInit()
            numbers = range(library.nvmlDeviceGetCount())
            self._handles = [library.nvmlDeviceGetHandleByIndex(number) for number in numbers]
        except library.NVMLError as error:
            said = str(error)
            raise LookupError(said if "NVML" in said else f"NVML: {said}") from error
        if not self._handles:
            raise LookupError("NVML finds no GPU")
        self._used_until = [0] * len(self._handles)

    def facts(self) -> list[dict[str, Any]]:
        """Return what each GPU is and how it is set."""
        return [self._facts(handle) for handle in self._handles]

    def read(self, ours: Sequence[int]) -> Mapping[str, float]:
        """Return ``gpuN.…`` values of every GPU, now; ``ours`` are the processes that count as own.

        ``clock_events`` is a sum of bits, ``energy_j`` counts since the driver was loaded,
        ``power_w`` is the driver's own average. ``foreign_processes`` compute; ``foreign_load`` is the
        share of the GPU that they and those that draw used, 0..1.
        """
        own = frozenset(ours)
        return {
            f"gpu{index}.{name}": value
            for index in range(len(self._handles))
            for name, value in self._now(index, own).items()
            if value is not None
        }

    def _facts(self, handle: Any) -> dict[str, Any]:
        nvml, ask = self._nvml, self._ask
        uuid, memory = ask("DeviceGetUUID", handle), ask("DeviceGetMemoryInfo", handle)
        capability, cuda = (
            ask("DeviceGetCudaComputeCapability", handle),
            ask("SystemGetCudaDriverVersion"),
        )
        limit = ask("DeviceGetEnforcedPowerLimit", handle)
        mig = ask("DeviceGetMigMode", handle)
        return {
            "name": _text(ask("DeviceGetName", handle)),
            "uuid_sha256": uuid and hashlib.sha256(str(_text(uuid)).encode()).hexdigest()[:16],
            "memory_mib": memory and round(memory.total / MEBIBYTE),
            "driver": _text(ask("SystemGetDriverVersion")),
            "cuda": cuda and f"{cuda // 1000}.{cuda % 1000 // 10}",
            "capability": capability and f"{capability[0]}.{capability[1]}",
            "mig": mig and bool(mig[0]),
            "power_limit_w": limit and limit / 1000,
            "most_sm_mhz": ask("DeviceGetMaxClockInfo", handle, nvml.NVML_CLOCK_SM),
            "set_sm_mhz": ask("DeviceGetApplicationsClock", handle, nvml.NVML_CLOCK_SM),
        }

    def _now(self, index: int, ours: frozenset[int]) -> Mapping[str, float | None]:
        nvml, handle = self._nvml, self._handles[index]

        def ask(name: str, *more: Any) -> Any:
            return self._ask(f"DeviceGet{name}", handle, *more)

        energy, power, memory = map(ask, ("TotalEnergyConsumption", "PowerUsage", "MemoryInfo"))
        events = ask("CurrentClocksEventReasons")
        if events is None:  # its name before driver 535
            events = ask("CurrentClocksThrottleReasons")
        running = ask("ComputeRunningProcesses")
        own = [one for one in running or () if one.pid in ours]
        held = [one.usedGpuMemory for one in own if one.usedGpuMemory is not None]
        return {
            "clock_events": events,
            "sm_mhz": ask("ClockInfo", nvml.NVML_CLOCK_SM),
            "temperature_c": ask("Temperature", nvml.NVML_TEMPERATURE_GPU),
            "power_w": None if power is None else power / 1000,
            "energy_j": None if energy is None else energy / 1000,
            "memory_bytes": memory and memory.used,
            "own_memory_bytes": sum(held) if held else None,
            "own_processes": None if running is None else len(own),
            "foreign_processes": None if running is None else len(running) - len(own),
            "foreign_load": self._used_by_others(index, ours),
        }

    def _used_by_others(self, index: int, ours: frozenset[int]) -> float | None:
        """Return what others used since the last call; None at first, and where it is not told.

        The driver has no samples of a GPU that nobody used.
        """
        since = self._used_until[index]
        samples = self._ask("DeviceGetProcessUtilization", self._handles[index], since)
        if not samples:
            return 0.0 if since else None
        self._used_until[index] = max(one.timeStamp for one in samples)
        latest = {one.pid: one.smUtil for one in sorted(samples, key=lambda one: one.timeStamp)}
        used = sum(share for pid, share in latest.items() if pid not in ours)
        return min(1.0, used / 100) if since else None

    def _ask(self, name: str, *arguments: Any) -> Any:
        """Call ``nvml…`` of the library; None when GPU, driver or package do not know it."""
        function = getattr(self._nvml, f"nvml{name}", None)
        try:
            return function and function(*arguments)
        except self._nvml.NVMLError:
            return None


def open_gpus() -> Gpus:
    """Load the library and find the GPUs.

    Raises:
        LookupError: the package, the driver or a GPU is missing.
    """
    try:
        library = import_module("pynvml")
    except ImportError as error:
        raise LookupError("the package nvidia-ml-py is not installed") from error
    return Gpus(library)


def slowed_by(events: int) -> tuple[str, ...]:
    """Name the bits of clock events that make a measurement worthless.

    >>> slowed_by(0x40 | 0x4 | 0x1)
    ('hardware thermal slowdown',)
    """
    return tuple(name for name, bit in SLOWED.items() if events & bit)


def _text(value: Any) -> str | None:
    return value.decode() if isinstance(value, bytes) else value
