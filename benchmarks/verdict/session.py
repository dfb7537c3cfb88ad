"""Running the pairs: two fresh processes by turns, in the drawn order, and what is taken of a pair.

Both runs of a pair live at the same time and work by turns, A B B A: four neighbouring turns are a round.
A pair's time is that of its middle round, by the ratio of both arms: what the machine does to a round falls
on both of them, and a round that it divides unequally is not the middle one.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from stylepress.benchmarks.intervals import least_samples, upper_percentile
from stylepress.benchmarks.machine.timeline import Window
from stylepress.benchmarks.machine.watch import Watch
from stylepress.benchmarks.part import Part
from stylepress.benchmarks.quality.photos import Photo
from stylepress.benchmarks.timing.worker import Answer, Request, fresh
from stylepress.progress import Progress

if TYPE_CHECKING:
    from stylepress.benchmarks.verdict.comparison import DuelOptions

Arm = Literal["base", "new"]
LookName = Literal["first", "extension", "confirmation"]
Pairs = tuple[tuple[float, ...], tuple[float, ...]]
"""Values of both arms, base first."""
Ask = Callable[[Sequence[Request], Mapping[str, str]], Sequence[Answer]]
"""Runs both arms by turns in an environment: ``fresh``, unless a caller knows another place."""
TRIES = 3
"""How often a pair is measured at least before a backend in which it is spoiled is given up."""
PAUSES_S = (5.0, 10.0, 20.0, 40.0, 60.0)
"""How long others are waited for after one, two, ... spoiled pairs in a row."""
ROUNDS, TURN_S = 5, 0.1
"""Least rounds of a pair, an odd number, so that one is in the middle; and the longest turn in them."""
AGREED = 0.1
OTHERS = ("foreign load", "foreign GPU process")
"""What falls on both arms of a pair alike: it spoils one whose rounds disagree, and no other."""
QUIETER = "Wait until the machine is quiet and cool."
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
TAKEN = ("samples_ns", "turns", "load_ns", "first_call_ns", "peak_rss_bytes")
"""What an answer and a run have by the same names."""
TITLES: Mapping[LookName, str] = {
    "first": "Comparing",
    "extension": "Looking closer",
    "confirmation": "Confirming",
}


class Run(Part):
    """One fresh process: every timed call, and what surrounded them.

    ``place`` is its number in the whole measurement, from 0; ``turns`` are how many calls each of its
    turns has. ``invalid`` holds why the run does not count, ``disturbed`` what others did meanwhile to
    one that counts.
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


class PairPlan(Part):
    """How many pairs, and how long each run of them lasts; ``seed`` draws the order.

    A run warms up for ``warm_s`` and measures at least ``min_s`` and ``min_count`` calls; between two
    pairs the machine rests ``rest_s``. What is open after ``pairs`` is measured as long again where the
    plan may ``extend``, and a failure that is not obvious once more where it shall ``confirm``. What
    others spoil is measured later; ``patience_s`` is how long they are waited for, all together.
    ``complete`` measures on where the comparison has failed already.
    """

    pairs: int = Field(default=10, ge=1)
    extend: bool = True
    confirm: bool = True
    min_s: Seconds = 1.0
    min_count: int = Field(default=10, ge=1)
    warm_s: Seconds = 1 / 3
    rest_s: Seconds = 0.1
    seed: int = 0
    patience_s: Seconds = 120.0
    complete: bool = False

    @property
    def rounds(self) -> int:
        """Rounds of a pair: an odd number of two turns an arm each."""
        return max(ROUNDS, math.ceil(self.min_s / (2 * TURN_S))) | 1


@dataclass(frozen=True, slots=True)
class Arms:
    """What both arms run: the folders of their bundles, of one ``name``, in one backend."""

    base: Path
    new: Path
    backend: str
    frames: Path
    name: str = ""

    @property
    def subject(self) -> str:
        return subject_of(self.name, self.backend)


def frames_file(photos: Sequence[Photo], work: Path, name: str = "frames") -> Path:
    """Write the photos' frames for the arms, uint8 (K, H, W, 3)."""
    path = work / f"{name}.npy"
    np.save(path, np.concatenate([photo.frame for photo in photos]))
    return path


@dataclass
class Session:
    """The runs of a comparison, in the order they were made; ``runs`` keeps them all.

    ``engines`` are what each arm of a subject told of its engine. ``given_up`` holds the subjects of
    which others spoiled pairs for longer than anybody waits, and why.
    """

    options: DuelOptions
    progress: Progress
    watch: Watch | None = None
    ask: Ask = fresh
    runs: list[Run] = field(default_factory=list)
    engines: dict[tuple[str, Arm], dict[str, str | int]] = field(default_factory=dict)
    given_up: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._left_s = self.options.plan.patience_s

    def measure(self, part: LookName, arms: Arms, pairs: int) -> list[Run]:
        """Run so many pairs; return the runs that count, none of what was given up.

        A pair that was spoiled is put off until the others are measured, after waiting a while. When
        others have been waited for long enough, what they do only makes intervals wider.

        Raises:
            RunError: a process failed.
        """
        if arms.subject in self.given_up:
            return []
        began, tries, in_a_row = len(self.runs), Counter[int](), 0
        order, waiting = orders(pairs, seed=self.options.plan.seed, part=part), deque(range(pairs))
        self.progress.start(f"{TITLES[part]} in {arms.subject}: {pairs} pairs", 2 * pairs)
        while waiting:
            pair = waiting.popleft()
            why = self._pair(part, pair, order[pair], arms)
            if not why:
                in_a_row = 0
                continue
            tries[pair] += 1
            in_a_row += 1
            if self._left_s <= 0 and tries[pair] >= TRIES:
                why = f"one pair was spoiled {tries[pair]} times ({why})"
                self.given_up[arms.subject] = why
                self.progress.warn(f"{arms.subject} is given up: {why}. {QUIETER}")
                break
            waiting.append(pair)
            self.progress.warn(f"A pair is put off: {why}.")
            pause_s = min(PAUSES_S[min(in_a_row, len(PAUSES_S)) - 1], self._left_s)
            if pause_s > 0:
                time.sleep(pause_s)
                self._left_s -= pause_s
        self.progress.finish()
        return [run for run in self.runs[began:] if not run.invalid]

    def _pair(self, part: LookName, pair: int, order: Sequence[Arm], arms: Arms) -> str:
        """Run both arms once; return why the pair does not count, nothing where it does."""
        if self.runs and self.options.plan.rest_s:
            time.sleep(self.options.plan.rest_s)
        began_ns = time.perf_counter_ns()
        answers = self.ask([self._request(arm, arms) for arm in order], self.options.environ)
        ran = Window(began_ns, time.perf_counter_ns())
        events = self.watch.judged(ran).events if self.watch else ()
        runs: dict[Arm, Run] = {}
        for place, (arm, answer) in enumerate(zip(order, answers, strict=True), len(self.runs)):
            self.engines.setdefault((arms.subject, arm), answer.engine)
            runs[arm] = Run(
                part=part,
                pair=pair,
                place=place,
                backend=arms.backend,
                arm=arm,
                bundle=arms.name,
                **{name: getattr(answer, name) for name in TAKEN},
            )
        both = runs["base"], runs["new"]
        spoilers = [event for event in events if event.invalidates]
        why = tuple(event.what for event in spoilers if event.kind not in OTHERS)
        others = tuple(event.what for event in spoilers if event.kind in OTHERS)
        if others and self._left_s > 0 and not agree(*both):
            apart = f"its rounds disagree by {disagreement(*both):.0%}"
            why, others = (*why, *others, apart), ()
        marks = {"invalid": why, "disturbed": others}
        self.runs += [runs[arm].model_copy(update=marks) for arm in order]
        if not why:
            base, new = p50_ms(*both)
            self.progress.advance(2, note=f"base {base:.3g} ms, new {new:.3g} ms")
        return "; ".join(why)

    def _request(self, arm: Arm, arms: Arms) -> Request:
        plan = self.options.plan
        return Request(
            bundle=str(arms.base if arm == "base" else arms.new),
            backend=arms.backend,
            frames=str(arms.frames),
            threads=self.options.threads,
            warm_s=plan.warm_s,
            min_s=plan.min_s,
            min_count=plan.min_count,
            turns=2 * plan.rounds,
        )


def orders(pairs: int, *, seed: int, part: str = "first") -> tuple[tuple[Arm, Arm], ...]:
    """Draw who goes first in each pair; of two neighbours the second reverses the first.

    ABBA and BAAB: a drift that is linear over four runs cancels within them. Each ``part`` of the
    measurement has its own draw, the same on every machine and Python.

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
    before, after = p50_ms(base, new)
    return math.log1p(disagreement(base, new)) <= AGREED + abs(math.log(after / before)) / 2


def p50_ms(base: Run, new: Run) -> tuple[float, float]:
    """Return the medians of the middle round, ms."""
    times = rounds_ms(base, new)
    return times[len(times) // 2]


def p90_ms(base: Run, new: Run) -> tuple[float | None, float | None]:
    """Return upper estimates of the 90th percentile, ms; None below 64 calls."""
    # Of as many calls of both: an estimate from above lies higher the fewer there are.
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


def pairs_of(runs: Sequence[Run], key: str) -> Pairs | None:
    """Return a figure of the runs of one subject, pair by pair; None where one does not give it."""
    arms = ([run for run in runs if run.arm == arm] for arm in ("base", "new"))
    values = [MEASURES[key](*both) for both in zip(*arms, strict=True)]
    known = [(base, new) for base, new in values if base is not None and new is not None]
    if not known or len(known) < len(values):
        return None
    base, new = zip(*known, strict=True)
    return base, new
