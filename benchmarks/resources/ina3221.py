"""The INA3221 power monitor of a Jetson: what each rail of the board draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from stylepress.benchmarks.machine.files import Probe, Tree

PREFIX = "power.ina3221."
WHOLE = ("VDD_IN", "POM_5V_IN", "VDD_IN_SYS", "5V_IN")
"""Rails that feed the whole module; where there is one, the others are parts of it."""


def ina3221_probe(tree: Tree) -> Probe:
    """Return ``power.ina3221.RAIL_w`` of every rail in use: bus voltage times current.

    Raises:
        LookupError: there is no such monitor.
    """
    rails = {**_hwmon(tree), **_iio(tree)}
    if not rails:
        raise LookupError("this system has no INA3221 power monitor")

    def read() -> Mapping[str, float]:
        values: dict[str, float] = {}
        for name, factors in rails.items():
            with suppress(OSError, ValueError):
                watts = 1.0
                for file in factors:
                    watts *= 1e-3 * tree.number(file)
                values[f"{PREFIX}{name}_w"] = watts
        return values

    return read


def total_rails(rails: Iterable[str]) -> tuple[str, ...]:
    """Choose the rails whose sum is the board: the one that feeds it, else all.

    >>> total_rails(["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"])
    ('VDD_IN',)
    """
    known = sorted(rails)
    whole = tuple(rail for rail in known if rail in WHOLE)
    return whole[:1] or tuple(known)


def _hwmon(tree: Tree) -> dict[str, tuple[str, ...]]:
    """JetPack 5 and later: mV and mA. Inputs above 3 are shunt voltages and their sum."""
    rails: dict[str, tuple[str, ...]] = {}
    for chip in tree.chips("ina3221"):
        for channel in (1, 2, 3):
            with suppress(OSError, ValueError):
                label = tree.text(f"{chip}/in{channel}_label")
                files = f"{chip}/in{channel}_input", f"{chip}/curr{channel}_input"
                for file in files:
                    tree.number(file)
                if label and label != "NC":
                    rails[label] = files
    return rails


def _iio(tree: Tree) -> dict[str, tuple[str, ...]]:
    """JetPack 4: mW."""
    rails: dict[str, tuple[str, ...]] = {}
    for folder in tree.names("sys/bus/i2c/drivers/ina3221x/*/iio:device*"):
        for channel in (0, 1, 2):
            with suppress(OSError, ValueError):
                label = tree.text(f"{folder}/rail_name_{channel}")
                tree.number(f"{folder}/in_power{channel}_input")
                rails[label] = (f"{folder}/in_power{channel}_input",)
    return rails
