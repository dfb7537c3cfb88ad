"""How figures are written in a report: with three digits and their unit, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping

from stylepress.benchmarks.report import Latency
from stylepress.benchmarks.timing.outcome import Quantile

NONE = "-"


def milliseconds(value: float) -> str:
    """Write a latency with three digits.

    >>> milliseconds(5.6234), milliseconds(999.6), milliseconds(0.01234)
    ('5.62 ms', '1000 ms', '0.0123 ms')
    """
    return f"{value:.3g} ms" if value < 999.5 else f"{value:.0f} ms"


def megabytes(size: float) -> str:
    """Write a size.

    >>> megabytes(240_000), megabytes(6_700_000), megabytes(312_400_000)
    ('0.24 MB', '6.70 MB', '312 MB')
    """
    return f"{size / 1e6:.2f} MB" if size < 1e8 else f"{size / 1e6:.0f} MB"


def quantile(one: Quantile) -> str:
    """Write a quantile, or why there is none.

    >>> quantile(Quantile(share=0.9, value_ms=None, why="10 of 64 samples"))
    'none: 10 of 64 samples'
    """
    return f"none: {one.why}" if one.value_ms is None else milliseconds(one.value_ms)


def times(ratio: float) -> str:
    """Write a ratio with three digits.

    >>> times(123.4), times(99.04), times(0.9996)
    ('123x', '99.0x', '1.00x')
    """
    return f"{ratio:.{0 if ratio >= 100 else 1 if ratio >= 10 else 2}f}x"


def percentile(latency: Latency) -> str:
    """Write the 90th percentile, or why there is none."""
    return quantile(latency.at(0.9))


def engine_facts(latency: Latency) -> str:
    """Write version, threads and what else an engine tells; the model's name has its precision."""
    facts = {**latency.facts, "version": str(latency.facts.get("version", "")).partition("-")[0]}
    order = [
        "version",
        *(name for name in facts if name not in ("version", "backend", "precision")),
    ]
    return ", ".join(f"{name.replace('_', ' ')} {facts[name]}" for name in order)


def reasons(missing: Mapping[str, str]) -> str:
    """Tell what is missing by the reason, each once.

    >>> reasons({"turbo": "no file", "clocks_mhz": "no file", "board": "no Jetson"})
    'turbo, clocks: no file; board: no Jetson'
    """
    names: dict[str, list[str]] = {}
    for field, why in missing.items():
        name = field
        for unit in ("_mhz", "_gib", "_c", "_s"):
            name = name.removesuffix(unit)
        names.setdefault(why, []).append(name.replace("_", " "))
    return "; ".join(f"{', '.join(each)}: {why}" for why, each in names.items())
