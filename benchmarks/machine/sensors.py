"""Everything that is watched while a model runs: found once, then read ten times a second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from stylepress.benchmarks.machine.power import Probe, ina3221_probe, rapl_probe
from stylepress.benchmarks.machine.system import (
    Error,
    ProcessTree,
    clock_probe,
    memory_probe,
    processor_probe,
    temperature_probe,
)
from stylepress.targets.files import Tree, reason
from stylepress.targets.gpus import open_gpus
from stylepress.targets.jetson import gpu_folders

NOT_PASSIVE = ("fan", "tcc", "lcd", "backlight", "wifi", "iwl", "charge")
"""Cooling devices of these kinds do not slow a processor down when they are on."""
SLOWLY = 10
"""Reads between two of what costs milliseconds and changes in seconds."""


@dataclass(slots=True)
class Sensors:
    """Probes by what they read, and why others are not there."""

    tree: Tree
    probes: dict[str, Probe] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, find: Callable[[], Probe]) -> None:
        """Look for a probe and read it once; note why when there is none."""
        try:
            probe = find()
            if not probe():
                raise LookupError("it is there, but gives no value")
        except (OSError, LookupError, ValueError, Error) as error:
            self.missing[name] = reason(error, self.tree.root)
            return
        self.probes[name] = probe

    def read(self) -> dict[str, float]:
        values: dict[str, float] = {}
        for probe in self.probes.values():
            with suppress(OSError, LookupError, ValueError, Error):
                values.update(probe())
        return values


def find_sensors(tree: Tree, pid: int) -> Sensors:
    """Look for all sensors of a system, for a process and its children."""
    ours = ProcessTree(pid)
    found = Sensors(tree)
    finders: dict[str, Callable[[], Probe]] = {
        "processor": lambda: processor_probe,
        "process tree": lambda: ours.read,
        "memory": lambda: memory_probe,
        "processor clock": lambda: slowly(clock_probe),
        "processor throttling": lambda: throttle_probe(tree),
        "temperature": lambda: slowly(temperature_probe),
        "cooling": lambda: cooling_probe(tree),
        "power alarms": lambda: alarm_probe(tree),
        "integrated GPU clock": lambda: devfreq_probe(tree),
        "ina3221": lambda: ina3221_probe(tree),
        "rapl": lambda: rapl_probe(tree),
        "nvml": lambda: nvml_probe(ours),
    }
    for name, find in finders.items():
        found.add(name, find)
    return found


def slowly(probe: Probe) -> Probe:
    """Read only every tenth time, and tell the same between."""
    count, last = -1, dict[str, float]()

    def read() -> Mapping[str, float]:
        nonlocal count, last
        count += 1
        if count % SLOWLY == 0:
            last = dict(probe())
        return last

    return read


def throttle_probe(tree: Tree) -> Probe:
    """Return ``throttle.cpu``: how often x86 processors were slowed down by heat, since boot."""
    files = tree.names("sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count")
    if not files:
        raise LookupError("this processor counts no throttling")
    return lambda: {"throttle.cpu": sum(tree.number(name) for name in files)}


def cooling_probe(tree: Tree) -> Probe:
    """Return ``cooling.TYPE`` of what slows a processor down when it is above zero."""
    names: dict[str, str] = {}
    for device in tree.names("sys/class/thermal/cooling_device*"):
        with suppress(OSError):
            kind = tree.text(f"{device}/type")
            if not any(word in kind.lower() for word in NOT_PASSIVE):
                names[f"cooling.{kind} {device.rpartition('device')[2]}"] = f"{device}/cur_state"
    if not names:
        raise LookupError("this system has no cooling device that slows a processor down")
    return numbers(tree, names)


def alarm_probe(tree: Tree) -> Probe:
    """Return ``alarm.NAME`` of power monitors, and ``overcurrent.NAME`` counts of a Jetson."""
    names: dict[str, str] = {}
    for chip in tree.chips("ina3221"):
        for file in tree.names(f"{chip}/curr[1-3]_*_alarm"):
            channel, _, kind = file.rpartition("curr")[2].partition("_")
            rail = channel
            with suppress(OSError):
                rail = tree.text(f"{chip}/in{channel}_label")
            names[f"alarm.{rail} {kind}"] = file
    for file in tree.names("sys/class/hwmon/hwmon*/oc*_event_cnt"):
        names[f"overcurrent.{file.rpartition('/')[2].partition('_')[0]}"] = file
    if not names:
        raise LookupError("this system has no power monitor that gives alarms")
    return numbers(tree, names)


def devfreq_probe(tree: Tree) -> Probe:
    """Return ``clock.gpu_mhz`` of a GPU that is part of the board."""
    for folder in gpu_folders(tree):
        return numbers(tree, {"clock.gpu_mhz": f"{folder}/cur_freq"}, scale=1e-6)
    raise LookupError("this system has no integrated GPU with a clock in /sys/class/devfreq")


def nvml_probe(ours: ProcessTree) -> Probe:
    """Return the probe of all NVIDIA GPUs."""
    gpus = open_gpus()
    return lambda: gpus.read(ours.members())


def numbers(tree: Tree, names: Mapping[str, str], *, scale: float = 1.0) -> Probe:
    """Return a probe of one number a file: ``names`` maps a sensor to its file."""

    def read() -> Mapping[str, float]:
        values: dict[str, float] = {}
        for name, file in names.items():
            with suppress(OSError, ValueError):
                values[name] = scale * tree.number(file)
        return values

    return read
