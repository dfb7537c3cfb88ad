"""How values, tables and machines are written: with three digits and their unit, or why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stylepress.benchmarks.machine.record import Machine
from stylepress.benchmarks.machine.watch import Validity

NONE = "-"
UNITS = {"mhz": "MHz", "gib": "GiB", "mib": "MiB", "w": "W", "s": "s", "c": "°C", "percent": "%"}
"""How a field's name ends, and what it is in."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts under heads, and a title. The first column heads a row."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def filled(self) -> Table:
        """It without the columns in which no row has anything."""
        kept = [n for n in range(len(self.heads)) if any(row[n] != NONE for row in self.rows)]
        rows = [[row[n] for n in kept] for row in self.rows]
        return replace(self, heads=[self.heads[n] for n in kept], rows=rows)


def amount(value: float | None, unit: str = "") -> str:
    """Write a value with three digits and its unit; a dash for None.

    >>> amount(5.6234, "ms"), amount(1234.5, "ms"), amount(312.4, "MB"), amount(0.0123, "J")
    ('5.62 ms', '1234 ms', '312 MB', '12.3 mJ')
    >>> amount(99.04, "x"), amount(0.9996, "x"), amount(None)
    ('99.0x', '1.00x', '-')
    """
    if value is None:
        return NONE
    if unit == "J":
        return f"{1e3 * value:.3g} mJ" if abs(value) >= 1e-6 else "0 mJ"
    if unit in ("x", "MB"):
        text = f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"
        return f"{text}{'' if unit == 'x' else ' '}{unit}"
    return f"{value:.3g} {unit}".strip() if abs(value) < 999.5 else f"{value:.0f} {unit}".strip()


def reasons(missing: Mapping[str, str]) -> str:
    """Tell what is missing by the reason, each once.

    >>> reasons({"turbo": "no file", "clocks_mhz": "no file", "board": "no Jetson"})
    'turbo, clocks: no file; board: no Jetson'
    """
    names: dict[str, list[str]] = {}
    for field, why in missing.items():
        names.setdefault(why, []).append(_field(field)[0])
    return "; ".join(f"{', '.join(each)}: {why}" for why, each in names.items())


def machine_line(machine: Machine) -> str:
    """Name the machine in a few words."""
    gpus = [str(gpu["name"]) for gpu in machine.gpus or () if gpu["name"]]
    board = str(machine.board["model"] or "") if machine.board else ""
    cores = f"{machine.cores} cores" if machine.cores else ""
    return ", ".join(filter(None, (board or machine.cpu, cores, *gpus)))


def machine_facts(machine: Machine) -> Iterator[tuple[str, str]]:
    """Yield what is known of a machine, a name and a value each."""
    for field, value in machine.model_dump(exclude_none=True, exclude={"missing"}).items():
        name, unit = _field(field)
        for part in value if field == "gpus" else (value,):
            if text := _value(part):
                yield name.removesuffix("s") if field == "gpus" else name, f"{text} {unit}".strip()


def meanwhile(validity: Validity) -> str:
    """Say what was seen of the machine while the turns were measured."""
    load = validity.foreign_load
    sightings = [] if load is None else [f"others used {load:.0%} of the processor"]
    sightings += [event.what for event in validity.events if event.kind != "foreign load"]
    return "; ".join(sightings) or "nothing was seen"


def _field(field: str) -> tuple[str, str]:
    """Part a field's name into words and its unit.

    >>> _field("power_limit_w"), _field("cpu")
    (('power limit', 'W'), ('cpu', ''))
    """
    name, _, end = field.rpartition("_")
    if name and end in UNITS:
        return name.replace("_", " "), UNITS[end]
    return field.replace("_", " "), ""


def _value(value: Any) -> str:
    """Write a field's value.

    >>> _value(((800.0, 3700.0),)), _value(("avx2", "fma")), _value(True), _value({"fan": 0.5})
    ('800 to 3700', 'avx2 fma', 'yes', 'fan 0.5')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        known = ((name.replace("_", " "), item) for name, item in value.items() if item is not None)
        return ", ".join(f"{name} {_value(item)}" for name, item in known)
    if isinstance(value, tuple):
        if len(value) == 2 and all(isinstance(item, float) for item in value):
            return f"{value[0]:g} to {value[1]:g}"
        return (", " if any(isinstance(item, tuple) for item in value) else " ").join(
            map(_value, value)
        )
    return f"{value:g}" if isinstance(value, float) else str(value)
