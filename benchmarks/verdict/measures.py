"""What is taken of a run: one value each, and why it may be missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from stylepress.benchmarks.verdict.comparison import Run
from stylepress.benchmarks.verdict.percentile import least_samples, upper_percentile

Pairs = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of one run. ``of`` returns None where the run does not give it.

    It is told how many calls to look at: a percentile that is estimated from above lies higher the
    fewer calls there are, so both runs of a pair show as many.
    """

    of: Callable[[Run, int], float | None]
    why_not: str = "not measured"


def p50_ms(run: Run) -> float:
    """Median of all calls, milliseconds."""
    return median(run.samples_ns) / 1e6


def p90_ms(run: Run, calls: int) -> float | None:
    """Upper estimate of the 90th percentile of the first calls, ms; None below 64 of them."""
    value = upper_percentile(run.samples_ns[:calls], 0.9)
    return None if value is None else value / 1e6


MEASURES: Mapping[str, Measure] = {
    "p50_percent": Measure(lambda run, _: p50_ms(run)),
    "p90_percent": Measure(p90_ms, f"needs {least_samples(0.9)} calls a run"),
    "memory_percent": Measure(
        lambda run, _: None if run.peak_rss_bytes is None else run.peak_rss_bytes / 1e6,
        "this system does not tell it",
    ),
    "load_percent": Measure(lambda run, _: run.load_ns / 1e6),
    "first_call_percent": Measure(lambda run, _: run.first_call_ns / 1e6),
}
"""By their names in a gate file."""


def pairs_of(runs: Sequence[Run], subject: str, measure: Measure) -> Pairs | None:
    """Return the values of both arms, pair by pair; None where a run does not give it, or none is.

    Runs that do not count are left out; both runs of every pair must be there.
    """
    arms: dict[str, dict[tuple[str, int], Run]] = {"base": {}, "new": {}}
    for run in runs:
        if run.subject == subject and not run.invalid:
            arms[run.arm][run.part, run.pair] = run
    values = []
    for pair, base in arms["base"].items():
        new = arms["new"].get(pair)
        if new is None:
            continue
        calls = min(len(base.samples_ns), len(new.samples_ns))
        one, two = measure.of(base, calls), measure.of(new, calls)
        if one is None or two is None:
            return None
        values.append((one, two))
    if not values:
        return None
    return tuple(one for one, _ in values), tuple(two for _, two in values)


def pooled_p99_ms(runs: Sequence[Run], subject: str) -> tuple[float | None, float | None]:
    """Upper estimates of the 99th percentile over as many calls of both arms, base first."""
    every = [
        [ns for run in runs if (run.subject, run.arm) == (subject, arm) and not run.invalid
         for ns in run.samples_ns]
        for arm in ("base", "new")
    ]  # fmt: skip
    count = min(map(len, every))
    values = [upper_percentile(calls[:count], 0.99) for calls in every]
    one, two = (None if value is None else value / 1e6 for value in values)
    return one, two
