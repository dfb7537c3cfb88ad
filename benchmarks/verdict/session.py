"""Running the pairs: two fresh processes by turns, in the drawn order, nothing left behind."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np
from pydantic import Field

from stylepress.benchmarks.machine.watch import Event
from stylepress.benchmarks.part import Part
from stylepress.benchmarks.quality.photos import Photo
from stylepress.benchmarks.timing.worker import Answer, Request, fresh
from stylepress.benchmarks.verdict.runs import (
    Arm,
    LookName,
    Run,
    agree,
    disagreement,
    orders,
    p50_ms,
    subject_of,
)
from stylepress.progress import Progress

TRIES = 3
"""How often a pair is measured at least before a backend in which it is spoiled is given up."""
PAUSES_S = (5.0, 10.0, 20.0, 40.0, 60.0)
"""How long others are waited for after one, two, ... spoiled pairs in a row."""
ROUNDS, TURN_S = 5, 0.1
"""Least rounds of a pair, an odd number, so that one is in the middle; and the longest turn in them."""
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


class PairPlan(Part):
    """How many pairs, and how long each run of them lasts; ``seed`` draws the order.

    A run warms up for ``warm_s``: what changes after that falls on both runs of a pair. It measures at least ``min_s``
    and ``min_count`` calls, by turns with the other of its pair; between two pairs the machine rests
    ``rest_s``. What is open after ``pairs`` is measured as long again where the plan may ``extend``,
    and a failure that is not obvious once more where it shall ``confirm``. What others spoil is measured
    later; ``patience_s`` is how long they are waited for, all together. ``complete`` measures on
    where the comparison has failed already.
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


class Watch(AbstractContextManager[Any], Protocol):
    """Something that sees what the machine does meanwhile: throttling, foreign load, swapping."""

    def begin(self) -> None:
        """A pair begins."""

    def end(self) -> Sequence[Event]:
        """The pair is over: return what happened."""


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


def frames_file(photos: Sequence[Photo], work: Path, name: str = "frames") -> Path:
    """Write the photos' frames for the arms, uint8 (K, H, W, 3)."""
    path = work / f"{name.replace('/', '-')}.npy"
    np.save(path, np.concatenate([photo.frame for photo in photos]))
    return path


Ask = Callable[[Sequence[Request], Mapping[str, str]], Sequence[Answer]]
"""Runs both arms by turns in an environment: ``fresh``, unless a caller knows another place."""


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
        order, waiting = orders(pairs, seed=self.plan.seed, part=part), deque(range(pairs))
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
        if self._made and self.plan.rest_s:
            time.sleep(self.plan.rest_s)
        if self.watch:
            self.watch.begin()
        answers = self.ask([self._request(arm, arms) for arm in order], self.environ)
        events = [event for event in self.watch.end() if event.invalidates] if self.watch else []
        runs: dict[Arm, Run] = {}
        for arm, answer in zip(order, answers, strict=True):
            self.engines.setdefault((arms.subject, arm), answer.engine)
            runs[arm] = Run(
                part=part,
                pair=pair,
                place=self._made,
                backend=arms.backend,
                arm=arm,
                bundle=arms.name,
                **{name: getattr(answer, name) for name in TAKEN},
            )
            self._made += 1
        both = runs["base"], runs["new"]
        why = tuple(event.what for event in events if event.kind not in OTHERS)
        others = tuple(event.what for event in events if event.kind in OTHERS)
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
        plan = self.plan
        return Request(
            bundle=str(arms.base if arm == "base" else arms.new),
            backend=arms.backend,
            frames=str(arms.frames),
            threads=self.threads,
            warm_s=plan.warm_s,
            min_s=plan.min_s,
            min_count=plan.min_count,
            turns=2 * plan.rounds,
        )
