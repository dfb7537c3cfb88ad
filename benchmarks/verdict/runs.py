"""Runs in fresh processes: who goes first, what each one told, and what is taken of a pair."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Literal

from stylepress.benchmarks.intervals import least_samples, upper_percentile
from stylepress.benchmarks.part import Part

Arm = Literal["base", "new"]
LookName = Literal["first", "extension", "confirmation"]
Pairs = tuple[tuple[float, ...], tuple[float, ...]]
"""Values of both arms, base first."""


class Run(Part):
    """One fresh process: every timed call, and what surrounded them.

    ``place`` is its number in the whole measurement, from 0. ``invalid`` holds why the run does not
    count; it is kept all the same.
    """

    part: LookName
    pair: int
    place: int
    backend: str
    arm: Arm
    bundle: str = ""
    samples_ns: tuple[int, ...]
    load_ns: int
    first_call_ns: int
    stable: bool
    peak_rss_bytes: int | None
    invalid: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        return subject_of(self.bundle, self.backend)


def subject_of(bundle: str, backend: str) -> str:
    """Name what a figure is of: the backend, and which bundle where there are several."""
    return f"{bundle} in {backend}" if bundle else backend


def orders(pairs: int, *, seed: int, part: str = "first") -> tuple[tuple[Arm, Arm], ...]:
    """Draw who goes first in each pair; of two neighbours the second reverses the first.

    ABBA and BAAB: a drift that is linear over four runs cancels within them. ``part`` names the part
    of the measurement, so that each has its own draw. The same on every machine and Python.

    >>> all(one[::-1] == two for one, two in zip(*[iter(orders(10, seed=0))] * 2))
    True
    """
    coin = random.Random(f"{part} {seed}")
    drawn: list[tuple[Arm, Arm]] = []
    while len(drawn) < pairs:
        first: tuple[Arm, Arm] = ("base", "new") if coin.random() < 0.5 else ("new", "base")
        drawn += [first, (first[1], first[0])]
    return tuple(drawn[:pairs])


def p50_ms(run: Run) -> float:
    return median(run.samples_ns) / 1e6


def p90_ms(run: Run, calls: int) -> float | None:
    """Upper estimate of the 90th percentile of the first calls, ms; None below 64 of them."""
    value = upper_percentile(run.samples_ns[:calls], 0.9)
    return None if value is None else value / 1e6


MEASURES: Mapping[str, Callable[[Run, int], float | None]] = {
    "p50_percent": lambda run, _: p50_ms(run),
    "p90_percent": p90_ms,
    "memory_percent": lambda run, _: run.peak_rss_bytes and run.peak_rss_bytes / 1e6,
    "load_percent": lambda run, _: run.load_ns / 1e6,
    "first_call_percent": lambda run, _: run.first_call_ns / 1e6,
}
"""What is taken of a run, by its name in a gate file; None where the run does not give it. Each is
told how many calls to look at: a percentile that is estimated from above lies higher the fewer calls
there are, so both runs of a pair show as many."""
WHY_NOT: Mapping[str, str] = {
    "p90_percent": f"needs {least_samples(0.9)} calls a run",
    "memory_percent": "this system does not tell it",
}


def pairs_of(runs: Sequence[Run], subject: str, key: str) -> Pairs | None:
    """Return the values of both arms, pair by pair; None where a run does not give it, or none is.

    Runs that do not count are left out; both runs of every pair must be there.
    """
    arms: dict[str, dict[tuple[str, int], Run]] = {"base": {}, "new": {}}
    for run in runs:
        if run.subject == subject and not run.invalid:
            arms[run.arm][run.part, run.pair] = run
    both = [(base, arms["new"][pair]) for pair, base in arms["base"].items() if pair in arms["new"]]
    base, new = list[float](), list[float]()
    for pair in both:
        calls = min(len(run.samples_ns) for run in pair)
        one, two = (MEASURES[key](run, calls) for run in pair)
        if one is None or two is None:
            return None
        base.append(one)
        new.append(two)
    return (tuple(base), tuple(new)) if both else None
