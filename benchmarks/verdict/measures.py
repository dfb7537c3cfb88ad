"""What is taken of a run: one value each, and why it may be missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from stylepress.benchmarks.verdict.comparison import Run
from stylepress.benchmarks.verdict.percentile import least_samples, upper_percentile

GATED = ("p50", "memory")
"""What is judged unless the user asks for other figures: few, as each one more costs power."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of one run. ``of`` returns None where the run does not give it."""

    title: str
    unit: str
    larger_is_worse: bool
    of: Callable[[Run], float | None]
    why_not: str = "not measured"


def p50_ms(run: Run) -> float:
    """Median of all calls, milliseconds."""
    return median(run.samples_ns) / 1e6


def p90_ms(run: Run) -> float | None:
    """Upper estimate of the 90th percentile, milliseconds; None below 64 calls."""
    value = upper_percentile(run.samples_ns, 0.9)
    return None if value is None else value / 1e6


def throughput(run: Run) -> float:
    """Frames a second of one stream: calls over the sum of their times."""
    return 1e9 * len(run.samples_ns) / sum(run.samples_ns)


MEASURES: Mapping[str, Measure] = {
    "p50": Measure("latency p50", "ms", True, p50_ms),
    "p90": Measure("latency p90", "ms", True, p90_ms, f"n/a (need {least_samples(0.9)} calls)"),
    "throughput": Measure("throughput", "frames/s", False, throughput),
    "memory": Measure(
        "peak memory",
        "MB",
        True,
        lambda run: None if run.peak_rss_bytes is None else run.peak_rss_bytes / 1e6,
        "this system does not tell it",
    ),
    "load": Measure("load", "ms", True, lambda run: run.load_ns / 1e6),
    "first-call": Measure("first call", "ms", True, lambda run: run.first_call_ns / 1e6),
}


def pairs_of(
    runs: Sequence[Run], backend: str, measure: Measure
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return the values of both arms, pair by pair; None where a run does not give it, or none is.

    Runs that do not count are left out; both runs of every pair must be there.
    """
    arms: dict[str, dict[tuple[str, int], float]] = {"base": {}, "new": {}}
    for run in runs:
        if run.backend != backend or run.invalid:
            continue
        value = measure.of(run)
        if value is None:
            return None
        arms[run.arm][run.part, run.pair] = value
    base, new = arms["base"], arms["new"]
    both = [pair for pair in base if pair in new]
    if not both:
        return None
    return tuple(base[pair] for pair in both), tuple(new[pair] for pair in both)


def pooled_percentile_ms(runs: Sequence[Run], share: float) -> float | None:
    """Upper estimate of a percentile over all calls of some runs; None when they are too few."""
    every = [sample for run in runs if not run.invalid for sample in run.samples_ns]
    value = upper_percentile(every, share)
    return None if value is None else value / 1e6
