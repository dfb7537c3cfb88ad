"""RAPL: the energy counters of x86 processors, which wrap around."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from stylepress.benchmarks.machine.files import Probe, Tree

PREFIX = "energy.rapl."


def rapl_probe(tree: Tree) -> Probe:
    """Return ``energy.rapl.ZONE_j``, a sum that only grows, of packages and their memory.

    A counter that is smaller than it was has wrapped once at ``max_energy_range_uj``: at ten reads
    a second it cannot wrap twice. Cores and the rest of a package are part of it and are left out.

    Raises:
        LookupError: there are no counters.
        OSError: there are, but this user may not read them.
    """
    zones = _zones(tree)
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
                total_uj[name] += grown(last[name], now, ranges[name])
                last[name] = now
                values[f"{PREFIX}{name}_j"] = 1e-6 * total_uj[name]
        return values

    return read


def grown(before: float, now: float, most: float) -> float:
    """Return by how much a counter grew that begins anew at ``most``.

    >>> grown(5, 8, 9), grown(8, 1, 9)
    (3, 2)
    """
    return now - before if now >= before else now - before + most


def _zones(tree: Tree) -> dict[str, str]:
    """Map ``package-0``, ``package-0 dram``, ... to their folders."""
    zones: dict[str, str] = {}
    for folder in tree.names("sys/class/powercap/intel-rapl:*"):
        numbers = folder.rpartition("intel-rapl:")[2].split(":")
        name = tree.text(f"{folder}/name")
        if len(numbers) == 1 and name.startswith("package"):
            zones[name] = folder
        elif len(numbers) == 2 and name == "dram":
            above = tree.text(f"sys/class/powercap/intel-rapl:{numbers[0]}/name")
            zones[f"{above} dram"] = folder
    return zones
