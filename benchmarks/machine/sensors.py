"""Everything that is watched while a model runs: found once, then read ten times a second."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

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

Probe = Callable[[], Mapping[str, float]]
"""Read some sensors once: values by name. One that fails now is left out."""
INA3221, RAPL = "power.ina3221.", "energy.rapl."
WHOLE = ("VDD_IN", "POM_5V_IN", "VDD_IN_SYS", "5V_IN")
"""Rails that feed the whole module; where there is one, the others are parts of it."""


def ina3221_probe(tree: Tree) -> Probe:
    """Return ``power.ina3221.RAIL_w`` of every rail in use: bus voltage (mV) times current (mA).

    Inputs above 3 are shunt voltages and their sum.

    Raises:
        LookupError: there is no such monitor.
    """
    rails: dict[str, tuple[str, str]] = {}
    for chip in tree.chips("ina3221"):
        for n in (1, 2, 3):
            name, files = tree.known(f"{chip}/in{n}_label"), (f"in{n}_input", f"curr{n}_input")
            if name and name != "NC" and all(tree.known(f"{chip}/{file}") for file in files):
                rails[name] = f"{chip}/{files[0]}", f"{chip}/{files[1]}"
    if not rails:
        raise LookupError("this system has no INA3221 power monitor")

    def read() -> Mapping[str, float]:
        values: dict[str, float] = {}
        for name, (volts, amperes) in rails.items():
            with suppress(OSError, ValueError):
                values[f"{INA3221}{name}_w"] = 1e-6 * tree.number(volts) * tree.number(amperes)
        return values

    return read


def total_rails(rails: Iterable[str]) -> tuple[str, ...]:
    """Choose the rails whose sum is the board: the one that feeds it, else all.

    >>> total_rails(["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"])
    ('VDD_IN',)
    """
    known = sorted(rails)
    return tuple(rail for rail in known if rail in WHOLE)[:1] or tuple(known)


def rapl_probe(tree: Tree) -> Probe:
    """Return ``energy.rapl.ZONE_j``, a sum that only grows, of packages and their memory.

    A counter that is smaller than it was has wrapped once at ``max_energy_range_uj``: at ten reads
    a second it cannot wrap twice. Cores and the rest of a package are part of it and are left out.

    Raises:
        LookupError: there are no counters.
        OSError: there are, but this user may not read them.
    """
    zones = dict(_zones(tree))
    if not zones:
        raise LookupError("/sys/class/powercap has no intel-rapl package")
    ranges = {name: tree.number(f"{folder}/max_energy_range_uj") for name, folder in zones.items()}
    last = {name: tree.number(f"{folder}/energy_uj") for name, folder in zones.items()}
    total_uj = dict.fromkeys(zones, 0.0)

    def read() -> Mapping[str, float]:
        values: dict[str, float] = {}
        for name, folder in zones.items():
            with suppress(OSError, ValueError):
                now = tree.number(f"{folder}/energy_uj")
                total_uj[name] += now - last[name] + (ranges[name] if now < last[name] else 0)
                last[name] = now
                values[f"{RAPL}{name}_j"] = 1e-6 * total_uj[name]
        return values

    return read


def _zones(tree: Tree) -> Iterator[tuple[str, str]]:
    """Yield ``package-0``, ``package-0 dram``, ... with their folders."""
    for folder in tree.names("sys/class/powercap/intel-rapl:*"):
        above, _, part = folder.rpartition("intel-rapl:")[2].partition(":")
        name = tree.text(f"{folder}/name")
        if not part and name.startswith("package"):
            yield name, folder
        elif name == "dram":
            yield f"{tree.text(f'sys/class/powercap/intel-rapl:{above}/name')} dram", folder


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
