"""Everything that is watched while a model runs: found once, then read ten times a second."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from stylepress.benchmarks.machine.files import Probe, Tree, numbers, reason
from stylepress.benchmarks.machine.gpu import nvml_probe
from stylepress.benchmarks.machine.processes import TICKS, ProcessTree
from stylepress.benchmarks.resources.ina3221 import ina3221_probe
from stylepress.benchmarks.resources.rapl import rapl_probe

NOT_PASSIVE = ("fan", "tcc", "lcd", "backlight", "wifi", "iwl", "charge")
"""Cooling devices of these kinds do not slow a processor down when they are on."""
GPU_NAMES = ("gpu", "ga10b", "gv11b", "gp10b", "gm20b", "gb10b")
"""What NVIDIA's integrated GPUs are called below /sys/class/devfreq."""


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
        except (OSError, LookupError, ValueError) as error:
            self.missing[name] = reason(error, self.tree.root)
            return
        self.probes[name] = probe

    def read(self) -> dict[str, float]:
        """Read every probe; what fails now is left out."""
        values: dict[str, float] = {}
        for probe in self.probes.values():
            with suppress(OSError, LookupError, ValueError):
                values.update(probe())
        return values


def find_sensors(tree: Tree, pid: int, *, apart: int = -1) -> Sensors:
    """Look for all sensors of a system, for a process and its children.

    ``apart`` is the process that does the watching.
    """
    ours = ProcessTree(tree, pid, apart=apart)
    found = Sensors(tree)
    found.add("processor", lambda: processor_probe(tree, usable_cpus()))
    found.add("process tree", lambda: ours.read)
    found.add("memory", lambda: memory_probe(tree))
    found.add("pressure", lambda: pressure_probe(tree))
    found.add("processor clock", lambda: clock_probe(tree))
    found.add("processor throttling", lambda: throttle_probe(tree))
    found.add("temperature", lambda: temperature_probe(tree))
    found.add("cooling", lambda: cooling_probe(tree))
    found.add("power alarms", lambda: alarm_probe(tree))
    found.add("integrated GPU clock", lambda: devfreq_probe(tree))
    found.add("ina3221", lambda: ina3221_probe(tree))
    found.add("rapl", lambda: rapl_probe(tree))
    found.add("nvml", lambda: nvml_probe(ours.members))
    return found


def usable_cpus() -> frozenset[int]:
    """Return the processors that this process may run on; none when the system does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset()


def processor_probe(tree: Tree, cpus: frozenset[int]) -> Probe:
    """Return ``cpu.busy_s`` and ``cpu.steal_s``: since boot, over these processors or all.

    Busy is user, nice, system and interrupts; stolen is what the host gave to others.
    """

    def read() -> Mapping[str, float]:
        busy = steal = 0
        seen = 0
        for line in tree.text("proc/stat").splitlines():
            name, *rest = line.split()
            if not name.startswith("cpu") or name == "cpu":
                continue
            if cpus and int(name[3:]) not in cpus:
                continue
            user, nice, system, _, _, irq, softirq, stolen = map(int, rest[:8])
            busy += user + nice + system + irq + softirq
            steal += stolen
            seen += 1
        return {"cpu.busy_s": busy / TICKS, "cpu.steal_s": steal / TICKS, "cpu.count": float(seen)}

    return read


def memory_probe(tree: Tree) -> Probe:
    """Return ``memory.available_bytes`` and ``swap.in_pages`` since boot."""

    def read() -> Mapping[str, float]:
        swapped = tree.fields("proc/vmstat").get("pswpin", "0")
        return {
            "memory.available_bytes": float(tree.memory_bytes("MemAvailable")),
            "swap.in_pages": float(swapped),
        }

    return read


def pressure_probe(tree: Tree) -> Probe:
    """Return ``pressure.cpu_s``: how long some task waited for a processor, since boot."""

    def read() -> Mapping[str, float]:
        some = tree.text("proc/pressure/cpu").splitlines()[0]
        return {"pressure.cpu_s": int(some.rpartition("total=")[2]) / 1e6}

    return read


def clock_probe(tree: Tree) -> Probe:
    """Return ``clock.cpuN_mhz`` of every group of processors that shares a clock."""
    files = tree.names("sys/devices/system/cpu/cpufreq/policy*/scaling_cur_freq")
    if not files:
        raise LookupError("this system does not tell the clocks of its processors")
    names = {f"clock.cpu{name.split('policy')[1].split('/')[0]}_mhz": name for name in files}
    return numbers(tree, names, scale=1e-3)


def throttle_probe(tree: Tree) -> Probe:
    """Return ``throttle.cpu``: how often x86 processors were slowed down by heat, since boot."""
    files = tree.names("sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count")
    if not files:
        raise LookupError("this processor counts no throttling")
    return lambda: {"throttle.cpu": sum(tree.number(name) for name in files)}


def temperature_probe(tree: Tree) -> Probe:
    """Return ``temperature.NAME_c`` of every thermal zone, and of the processor's own chip."""
    names: dict[str, str] = {}
    for zone in tree.names("sys/class/thermal/thermal_zone*"):
        with suppress(OSError):
            kind = tree.text(f"{zone}/type").removesuffix("-thermal")
            tree.number(f"{zone}/temp")  # on a Jetson the zones of parts that sleep cannot be read
            names[_free(names, f"temperature.{kind}_c")] = f"{zone}/temp"
    for chip in tree.chips("coretemp", "k10temp"):
        for file in tree.names(f"{chip}/temp*_input"):
            label = file.removesuffix("_input") + "_label"
            kind = tree.text(label) if (tree.root / label).is_file() else tree.text(f"{chip}/name")
            names[_free(names, f"temperature.{kind}_c")] = file
    if not names:
        raise LookupError("this system has no readable thermal zone")
    return numbers(tree, names, scale=1e-3)


def cooling_probe(tree: Tree) -> Probe:
    """Return ``cooling.TYPE`` of what slows a processor down when it is above zero."""
    names: dict[str, str] = {}
    for device in tree.names("sys/class/thermal/cooling_device*"):
        with suppress(OSError):
            kind = tree.text(f"{device}/type")
            if not any(word in kind.lower() for word in NOT_PASSIVE):
                names[_free(names, f"cooling.{kind}")] = f"{device}/cur_state"
    if not names:
        raise LookupError("this system has no cooling device that slows a processor down")
    return numbers(tree, names)


def alarm_probe(tree: Tree) -> Probe:
    """Return ``alarm.NAME`` of power monitors, and ``overcurrent.NAME`` counts of a Jetson."""
    names: dict[str, str] = {}
    for chip in tree.chips("ina3221"):
        for kind in ("crit_alarm", "max_alarm"):
            for file in tree.names(f"{chip}/curr[1-3]_{kind}"):
                label = f"{chip}/in{file.rpartition('curr')[2][0]}_label"
                rail = tree.text(label) if (tree.root / label).is_file() else file[-17 : -len(kind)]
                names[_free(names, f"alarm.{rail} {kind}")] = file
    for file in tree.names("sys/class/hwmon/hwmon*/oc*_event_cnt"):
        names[_free(names, f"overcurrent.{file.rpartition('/')[2].split('_')[0]}")] = file
    if not names:
        raise LookupError("this system has no power monitor that gives alarms")
    return numbers(tree, names)


def devfreq_probe(tree: Tree) -> Probe:
    """Return ``clock.gpu_mhz`` of a GPU that is part of the board.

    Where its least and most were the same at first, ``lock.clock.gpu_mhz`` is that.
    """
    for folder in devfreq_gpus(tree):
        clock = numbers(tree, {"clock.gpu_mhz": f"{folder}/cur_freq"}, scale=1e-6)
        ends = numbers(tree, {end: f"{folder}/{end}_freq" for end in ("min", "max")}, scale=1e-6)()
        if "min" not in ends or ends["min"] != ends.get("max"):
            return clock
        return lambda: {**clock(), "lock.clock.gpu_mhz": ends["min"]}
    raise LookupError("this system has no integrated GPU with a clock in /sys/class/devfreq")


def devfreq_gpus(tree: Tree) -> list[str]:
    """Return the folders of integrated GPUs below /sys/class/devfreq."""
    return [
        folder
        for folder in tree.names("sys/class/devfreq/*")
        if any(word in folder.rpartition("/")[2].lower() for word in GPU_NAMES)
    ]


def _free(taken: Mapping[str, str], name: str) -> str:
    """Return a name that is not taken: two of one kind are numbered."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} {number}"
    return free
