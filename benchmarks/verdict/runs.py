"""Runs in fresh processes: who goes first, what each one told, and what is taken of a pair.

Both runs of a pair live at the same time and work by turns, A B B A: four neighbouring turns are a round.
A pair's time is that of its middle round, by the ratio of both arms: what the machine does to a round falls
on both of them, and a round that it divides unequally is not the middle one.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from statistics import median
from typing import Literal

from stylepress.benchmarks.intervals import least_samples, upper_percentile
from stylepress.benchmarks.part import Part

Arm = Literal["base", "new"]
LookName = Literal["first", "extension", "confirmation"]
AGREED = 0.1
Pairs = tuple[tuple[float, ...], tuple[float, ...]]
"""Values of both arms, base first."""


class Run(Part):
    """One fresh process: every timed call, and what surrounded them.

    ``place`` is its number in the whole measurement, from 0; ``turns`` are how many calls each of its
    turns has. ``invalid`` holds why the run does not count; it is kept all the same. ``disturbed`` holds
    what others did meanwhile to a run that counts.
    """

    part: LookName
    pair: int
    place: int
    backend: str
    arm: Arm
    bundle: str = ""
    samples_ns: tuple[int, ...]
    turns: tuple[int, ...]
    load_ns: int
    first_call_ns: int
    peak_rss_bytes: int | None
    invalid: tuple[str, ...] = ()
    disturbed: tuple[str, ...] = ()

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


def rounds_ms(base: Run, new: Run) -> list[tuple[float, float]]:
    """Return the median time of a call of both arms in each round, sorted by their ratio, ms."""
    both = zip(_rounds(base), _rounds(new), strict=True)
    return sorted(both, key=lambda pair: pair[1] / pair[0])


def _rounds(run: Run) -> list[float]:
    ends = [0, *accumulate(run.turns)][::2]
    return [median(run.samples_ns[begin:end]) / 1e6 for begin, end in pairwise(ends)]


def disagreement(base: Run, new: Run) -> float:
    """Return by which share the rounds of a pair disagree: the range of the middle half of their ratios."""
    ratios = [now / then for then, now in rounds_ms(base, new)]
    aside = len(ratios) // 4
    return ratios[-1 - aside] / ratios[aside] - 1


def agree(base: Run, new: Run) -> bool:
    """Say whether the rounds of a pair agree well enough to stand for it: within 10 %, or within half of
    what they show. The same for both arms exchanged, so that it favours none."""
    times = rounds_ms(base, new)
    before, after = times[len(times) // 2]
    return math.log1p(disagreement(base, new)) <= AGREED + abs(math.log(after / before)) / 2


def p50_ms(base: Run, new: Run) -> tuple[float, float]:
    """Return the medians of the middle round, ms."""
    times = rounds_ms(base, new)
    return times[len(times) // 2]


def p90_ms(base: Run, new: Run) -> tuple[float | None, float | None]:
    """Return upper estimates of the 90th percentile of as many calls of both, ms; None below 64 of them.

    An estimate from above lies higher the fewer calls there are.
    """
    calls = min(len(base.samples_ns), len(new.samples_ns))
    one, two = (upper_percentile(run.samples_ns[:calls], 0.9) for run in (base, new))
    return one and one / 1e6, two and two / 1e6


def _each(take: Callable[[Run], float | None]) -> Measure:
    return lambda base, new: (take(base), take(new))


Measure = Callable[[Run, Run], tuple[float | None, float | None]]
"""Takes a figure of both runs of a pair, None where a run does not give it."""
MEASURES: Mapping[str, Measure] = {
    "p50_percent": p50_ms,
    "p90_percent": p90_ms,
    "memory_percent": _each(lambda run: run.peak_rss_bytes and run.peak_rss_bytes / 1e6),
    "load_percent": _each(lambda run: run.load_ns / 1e6),
    "first_call_percent": _each(lambda run: run.first_call_ns / 1e6),
}
"""What is taken of a pair, by its name in a gate file."""
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
        one, two = MEASURES[key](*pair)
        if one is None or two is None:
            return None
        base.append(one)
        new.append(two)
    return (tuple(base), tuple(new)) if both else None
