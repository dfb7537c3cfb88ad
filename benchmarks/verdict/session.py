"""Running the pairs: one fresh process after the other, in the drawn order, nothing left behind."""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import Field

from stylepress.benchmarks.part import Part
from stylepress.benchmarks.timing.worker import Answer, Request, fresh
from stylepress.benchmarks.verdict.runs import Arm, LookName, Run, orders, p50_ms, subject_of
from stylepress.progress import Progress

TRIES = 3
"""How often a pair is measured at least before a backend in which it is spoiled is given up."""
PAUSES_S = (5.0, 10.0, 20.0, 40.0, 60.0)
"""How long others are waited for after one, two, ... spoiled pairs in a row."""
QUIETER = (
    "Wait until the machine is quiet and cool, or let others use more of it with `--foreign-load`."
)
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
NUMBERS = re.compile(r"[\d.]+")
TAKEN = ("samples_ns", "load_ns", "first_call_ns", "stable", "peak_rss_bytes")
"""What an answer and a run have by the same names."""
CAP = 2
"""Times ``warm_s`` after which a warm-up that does not settle ends."""
TITLES: Mapping[LookName, str] = {
    "first": "Comparing",
    "extension": "Looking closer",
    "confirmation": "Confirming",
}


class PairPlan(Part):
    """How many pairs, and how long each run of them lasts; ``seed`` draws the order.

    A run warms up for at least ``warm_s`` and ``warm_count`` calls and measures at least ``min_s``
    and ``min_count`` calls; between two runs the machine rests ``rest_s``. What is open after
    ``pairs`` is measured as long again where the plan may ``extend``, and a failure that is not
    obvious once more where it shall ``confirm``. What others spoil is measured later;
    ``patience_s`` is how long they are waited for, all together. ``complete`` measures on where the
    comparison has failed already.
    """

    pairs: int = Field(default=10, ge=1)
    extend: bool = True
    confirm: bool = True
    min_s: Seconds = 1.0
    min_count: int = Field(default=30, ge=1)
    warm_s: Seconds = 1.0
    warm_count: int = Field(default=10, ge=0)
    rest_s: Seconds = 0.2
    seed: int = 0
    patience_s: Seconds = 600.0
    complete: bool = False


class Watch(AbstractContextManager[Any], Protocol):
    """Something that sees what spoils a run, throttling, foreign load, swapping; and keeps it."""

    def begin(self) -> None:
        """A run begins."""

    def end(self) -> Sequence[str]:
        """The run is over: return why it does not count, nothing when it does."""


@dataclass(frozen=True, slots=True)
class Arms:
    """What both arms run: the folders of their bundles in one backend, on the same frames.

    ``name`` tells the bundle from others of the same comparison.
    """

    base: Path
    new: Path
    backend: str
    frames: Path
    name: str = ""

    @property
    def subject(self) -> str:
        return subject_of(self.name, self.backend)


Ask = Callable[[Request, Mapping[str, str]], Answer]
"""Runs one arm in the given environment: ``fresh``, unless a caller knows another place."""


class Session:
    """The runs of a comparison, in the order they were made; ``runs`` keeps them all.

    ``engines`` are what each arm of a subject told of its engine. ``given_up`` holds the subjects of
    which others spoiled pairs for longer than anybody waits, and why.
    """

    def __init__(
        self,
        plan: PairPlan,
        *,
        threads: int | None,
        environ: Mapping[str, str],
        progress: Progress,
        watch: Watch | None = None,
        ask: Ask | None = None,
    ) -> None:
        self.plan, self.threads, self.environ, self.progress = plan, threads, environ, progress
        self.watch, self.ask = watch, ask or fresh
        self.runs: list[Run] = []
        self.engines: dict[tuple[str, Arm], dict[str, str | int]] = {}
        self.given_up: dict[str, str] = {}
        self._left_s = plan.patience_s
        self._made = 0

    def measure(self, part: LookName, asked: Sequence[Arms], pairs: int) -> list[Run]:
        """Run ``pairs`` pairs of each; return those that count.

        Two neighbouring pairs of one engine (ABBA or BAAB) run without a pause for another. A pair
        that was spoiled is put off until the others are measured, after waiting a while.

        Raises:
            RunError: a process failed.
        """
        began = len(self.runs)
        order = orders(pairs, seed=self.plan.seed, part=part)
        waiting = deque(
            (pair, arms)
            for couple in range(0, pairs, 2)
            for arms in asked
            for pair in range(couple, min(couple + 2, pairs))
            if arms.subject not in self.given_up
        )
        where = ", ".join(arms.subject for arms in asked)
        self.progress.start(f"{TITLES[part]} in {where}: {pairs} pairs", 2 * len(waiting))
        tries: Counter[tuple[int, str]] = Counter()
        in_a_row = 0
        while waiting:
            pair, arms = waiting.popleft()
            why = self._pair(part, pair, order[pair], arms)
            if not why:
                in_a_row = 0
                continue
            tries[pair, arms.subject] += 1
            in_a_row += 1
            if self._left_s <= 0 and tries[pair, arms.subject] >= TRIES:
                why = f"one pair was spoiled {tries[pair, arms.subject]} times ({why})"
                self.given_up[arms.subject] = why
                self.progress.warn(f"{arms.subject} is given up: {why}. {QUIETER}")
                waiting = deque(one for one in waiting if one[1] != arms)
                continue
            waiting.append((pair, arms))
            self.progress.warn(f"A pair is put off: {why}.")
            self._wait(in_a_row)
        self.progress.finish()
        return [run for run in self.runs[began:] if not run.invalid]

    def _wait(self, in_a_row: int) -> None:
        pause_s = min(PAUSES_S[min(in_a_row, len(PAUSES_S)) - 1], self._left_s)
        if pause_s > 0:
            time.sleep(pause_s)
            self._left_s -= pause_s

    def _pair(self, part: LookName, pair: int, order: Sequence[Arm], arms: Arms) -> str:
        """Run both arms once; return why the pair does not count, nothing where it does."""
        both = [self._run(part, pair, arm, arms) for arm in order]
        # What both halves met is told once, though they met it in other numbers.
        spoiled = {NUMBERS.sub("", reason): reason for run in both for reason in run.invalid}
        why = tuple(sorted(spoiled.values()))
        # A pair counts as a whole: its other half met a machine in another state.
        self.runs += [run.model_copy(update={"invalid": why}) for run in both]
        if not why:
            times = ", ".join(
                f"{run.arm} {p50_ms(run):.3g} ms" for run in sorted(both, key=lambda run: run.arm)
            )
            self.progress.advance(len(both), note=times)
        return "; ".join(why)

    def _run(self, part: LookName, pair: int, arm: Arm, arms: Arms) -> Run:
        plan = self.plan
        if self._made and plan.rest_s:
            time.sleep(plan.rest_s)
        self._made += 1
        request = Request(
            bundle=str(arms.base if arm == "base" else arms.new),
            backend=arms.backend,
            frames=str(arms.frames),
            threads=self.threads,
            warm_s=plan.warm_s,
            warm_count=plan.warm_count,
            warm_cap_s=CAP * plan.warm_s,
            min_s=plan.min_s,
            min_count=plan.min_count,
        )
        if self.watch:
            self.watch.begin()
        answer = self.ask(request, self.environ)
        spoiled = tuple(self.watch.end()) if self.watch else ()
        self.engines.setdefault((arms.subject, arm), answer.engine)
        return Run(
            part=part,
            pair=pair,
            place=self._made - 1,
            backend=arms.backend,
            arm=arm,
            bundle=arms.name,
            invalid=spoiled,
            **{name: getattr(answer, name) for name in TAKEN},
        )
