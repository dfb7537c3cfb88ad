"""Everything that is watched while a model runs: found once, then read ten times a second.

``python -m stylepress.benchmarks.machine.sensors JSON`` reads it in a process of its own, which
neither waits for the interpreter of what is measured nor makes it wait. It writes one JSON object a
line into the file named, first why sensors are missing, then times and values, and ends when its
standard input does: it cannot outlive the process that started it.
"""

from __future__ import annotations

import json
import math
import os
import select
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from stylepress.targets.files import Tree, reason
from stylepress.targets.gpus import open_gpus
from stylepress.targets.jetson import gpu_folders

Probe = Callable[[], Mapping[str, float]]
"""Read some sensors once: values by name. One that fails now is left out."""
READY = "ready\n"
UNREAD = (OSError, LookupError, ValueError, psutil.Error)
INA3221, RAPL = "power.ina3221.", "energy.rapl."
WHOLE = ("VDD_IN", "POM_5V_IN", "VDD_IN_SYS", "5V_IN")
"""Rails that feed the whole module; where there is one, the others are parts of it."""
NOT_PASSIVE = ("fan", "tcc", "lcd", "backlight", "wifi", "iwl", "charge")
"""Cooling devices of these kinds do not slow a processor down when they are on."""
SLOWLY = 10
"""Reads between two of what costs milliseconds and changes in seconds."""


def main(asked: str) -> None:
    """Sample until standard input ends; ``asked`` is JSON with pid, out, period_s and root."""
    options = json.loads(asked)
    period_ns = round(1e9 * options["period_s"])
    sensors = find_sensors(Tree(Path(options["root"])), options["pid"])
    with Path(options["out"]).open("w", encoding="utf-8", buffering=1) as out:
        out.write(json.dumps({"missing": sensors.missing}) + "\n")
        due, told = time.perf_counter_ns(), False
        while True:
            began = time.perf_counter_ns()
            values = sensors.read()
            ended = time.perf_counter_ns()
            # Values are of the middle of the reading, which a busy machine may stretch.
            out.write(json.dumps([(began + ended) // 2, values]) + "\n")
            if not told:
                sys.stdout.write(READY)
                sys.stdout.flush()
                told = True
            due = max(due + period_ns, ended)
            while (left := due - time.perf_counter_ns()) > 0:
                ready, _, _ = select.select([sys.stdin], [], [], left / 1e9)
                if ready and not os.read(sys.stdin.fileno(), 1):
                    return


@dataclass(frozen=True, slots=True)
class Sensors:
    """Probes that gave a value once, and why others are not there."""

    probes: tuple[Probe, ...]
    missing: Mapping[str, str]

    def read(self) -> dict[str, float]:
        values: dict[str, float] = {}
        for probe in self.probes:
            with suppress(*UNREAD):
                values.update(probe())
        return values


def find_sensors(tree: Tree, pid: int) -> Sensors:
    """Look for all sensors of a system, for a process and its children."""
    ours = ProcessTree(pid)
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
    probes, missing = list[Probe](), dict[str, str]()
    for name, find in finders.items():
        try:
            probe = find()
            if not probe():
                raise LookupError("it is there, but gives no value")
            probes.append(probe)
        except UNREAD as error:  # noqa: PERF203
            missing[name] = reason(error, tree.root)
    return Sensors(tuple(probes), missing)


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
        return sorted(self._alive(), key=lambda pid: pid != self.pid)

    def read(self) -> Mapping[str, float]:
        """Return ``cpu.own_s``, now."""
        seconds = 0.0
        for process in self._alive().values():
            with suppress(psutil.Error):
                seconds += sum(process.cpu_times()[:4])  # of it and of its children that ended
        return {"cpu.own_s": seconds}

    def _alive(self) -> dict[int, psutil.Process]:
        alive = psutil.pids()
        self._known = {pid: self._known[pid] for pid in alive if pid in self._known}
        for pid in alive:  # rising, but numbers begin anew: a child may come before its parent
            self._learn(pid)
        return {pid: process for pid, process in self._known.items() if process is not None}

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


def numbers(
    tree: Tree, names: Mapping[str, tuple[str, ...]], absent: str, *, scale: float = 1.0
) -> Probe:
    """Return a probe of ``scale`` times the product of the numbers in a sensor's files.

    Raises:
        LookupError: there is none, and ``absent`` says so.
    """
    if not names:
        raise LookupError(absent)

    def read() -> Mapping[str, float]:
        values: dict[str, float] = {}
        for name, files in names.items():
            with suppress(OSError, ValueError):
                values[name] = scale * math.prod(map(tree.number, files))
        return values

    return read


def throttle_probe(tree: Tree) -> Probe:
    """Return ``throttle.cpu``: how often x86 processors were slowed down by heat, since boot."""
    files = tree.names("sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count")
    if not files:
        raise LookupError("this processor counts no throttling")
    return lambda: {"throttle.cpu": sum(map(tree.number, files))}


def cooling_probe(tree: Tree) -> Probe:
    """Return ``cooling.TYPE`` of what slows a processor down when it is above zero."""
    names: dict[str, tuple[str, ...]] = {}
    for device in tree.names("sys/class/thermal/cooling_device*"):
        kind = tree.known(f"{device}/type")
        if kind and not any(word in kind.lower() for word in NOT_PASSIVE):
            names[f"cooling.{kind} {device.rpartition('device')[2]}"] = (f"{device}/cur_state",)
    return numbers(tree, names, "this system has no cooling device that slows a processor down")


def alarm_probe(tree: Tree) -> Probe:
    """Return ``alarm.NAME`` of power monitors, and ``overcurrent.NAME`` counts of a Jetson."""
    names: dict[str, tuple[str, ...]] = {}
    for chip in tree.chips("ina3221"):
        for file in tree.names(f"{chip}/curr[1-3]_*_alarm"):
            channel, _, kind = file.rpartition("curr")[2].partition("_")
            names[f"alarm.{tree.known(f'{chip}/in{channel}_label') or channel} {kind}"] = (file,)
    for file in tree.names("sys/class/hwmon/hwmon*/oc*_event_cnt"):
        names[f"overcurrent.{file.rpartition('/')[2].partition('_')[0]}"] = (file,)
    return numbers(tree, names, "this system has no power monitor that gives alarms")


def devfreq_probe(tree: Tree) -> Probe:
    """Return ``clock.gpu_mhz`` of a GPU that is part of the board."""
    folder = next(iter(gpu_folders(tree)), None)
    names = {"clock.gpu_mhz": (f"{folder}/cur_freq",)} if folder else {}
    absent = "this system has no integrated GPU with a clock in /sys/class/devfreq"
    return numbers(tree, names, absent, scale=1e-6)


def ina3221_probe(tree: Tree) -> Probe:
    """Return ``power.ina3221.RAIL_w`` of every rail in use: bus voltage (mV) times current (mA).

    Inputs above 3 are shunt voltages and their sum.
    """
    rails: dict[str, tuple[str, ...]] = {}
    for chip in tree.chips("ina3221"):
        for n in (1, 2, 3):
            name = tree.known(f"{chip}/in{n}_label")
            files = f"{chip}/in{n}_input", f"{chip}/curr{n}_input"
            if name and name != "NC" and all(map(tree.known, files)):
                rails[f"{INA3221}{name}_w"] = files
    return numbers(tree, rails, "this system has no INA3221 power monitor", scale=1e-6)


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


def nvml_probe(ours: ProcessTree) -> Probe:
    """Return the probe of all NVIDIA GPUs."""
    gpus = open_gpus()
    return lambda: gpus.read(ours.members())


if __name__ == "__main__":
    main(sys.argv[1])
