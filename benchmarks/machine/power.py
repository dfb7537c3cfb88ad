"""Power and energy that no library reads: a Jetson's INA3221, and RAPL of x86 processors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

from stylepress.targets.files import Tree

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
