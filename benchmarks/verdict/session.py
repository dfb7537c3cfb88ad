"""Running the pairs: one fresh process after the other, in the drawn order, nothing left behind."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter_ns
from typing import Protocol

from stylepress.benchmarks.machine.timeline import Curves, Timeline, Window
from stylepress.benchmarks.timing.worker import Answer, Request, fresh
from stylepress.benchmarks.verdict.comparison import LookName, Run
from stylepress.benchmarks.verdict.measures import p50_ms
from stylepress.benchmarks.verdict.order import Arm, orders
from stylepress.errors import RecipeError
from stylepress.progress import Progress

TRIES = 3
"""How often a pair is measured before a backend in which it is spoiled each time is given up."""
QUIETER = (
    "Wait until the machine is quiet and cool, or let others use more of it with `--foreign-load`."
)
FIGURES = re.compile(r"[\d.]+")
CAP = 3
"""Times ``warm_s`` after which a warm-up that does not settle ends."""


@dataclass(frozen=True, slots=True)
class PairPlan:
    """How many pairs, and how long each run of them lasts; ``seed`` draws the order.

    A run warms up for at least ``warm_s`` and ``warm_count`` calls and measures at least ``min_s``
    and ``min_count`` calls; between two runs the machine rests ``rest_s``.
    """

    pairs: int = 10
    extend: bool = True
    confirm: bool = True
    min_s: float = 5.0
    min_count: int = 100
    warm_s: float = 3.0
    warm_count: int = 20
    rest_s: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.pairs < 1 or self.min_count < 1 or self.warm_count < 0:
            raise RecipeError(
                f"{self.pairs} pairs of {self.min_count} calls after {self.warm_count} measure "
                f"nothing. Ask for one pair and one call at least, e.g. `--pairs 10`."
            )
        times = (self.min_s, self.warm_s, self.rest_s)
        if not all(math.isfinite(time_s) and time_s >= 0 for time_s in times):
            raise RecipeError(
                f"Times of {self.min_s:g}, {self.warm_s:g} and {self.rest_s:g} s cannot be waited "
                f"for. Give 0 or more."
            )


class Watch(Protocol):
    """Something that sees what spoils a run, throttling, foreign load, swapping; and keeps it."""

    def begin(self) -> None:
        """A run begins."""

    def end(self) -> Sequence[str]:
        """The run is over: return why it does not count, nothing when it does."""

    def timeline(self) -> Timeline:
        """Return what all sensors said until now, on the clock of ``time.perf_counter_ns``."""


class Unwatched:
    """The Watch that sees nothing."""

    def begin(self) -> None:
        """Ignore it."""

    def end(self) -> Sequence[str]:
        """Let every run count."""
        return ()

    def timeline(self) -> Timeline:
        """Return nothing."""
        return Timeline(())


@dataclass(frozen=True, slots=True)
class Arms:
    """What the processes of both arms are asked: by arm, the bundle's folder and extra work."""

    bundles: Mapping[Arm, Path]
    frames: Path
    threads: int | None
    extra_bytes: Mapping[Arm, int] = field(default_factory=dict)


Ask = Callable[[Request, Mapping[str, str]], Answer]
"""Runs one arm in the given environment: ``fresh``, unless a caller knows another place."""


class Session:
    """The runs of one comparison, in the order they were made; ``runs`` keeps them all.

    ``engines`` are what each arm told of its engines, by backend. ``given_up`` holds the backends in
    which the machine spoiled one pair three times, and why: nothing more is run in them.
    """

    def __init__(
        self,
        arms: Arms,
        plan: PairPlan,
        *,
        environ: Mapping[str, str],
        progress: Progress,
        watch: Watch | None = None,
        ask: Ask | None = None,
    ) -> None:
        self.arms, self.plan, self.environ, self.progress = arms, plan, environ, progress
        self.watch = watch or Unwatched()
        self.ask = ask or fresh
        self.runs: list[Run] = []
        self.engines: dict[Arm, dict[str, dict[str, str | int]]] = {"base": {}, "new": {}}
        self.given_up: dict[str, str] = {}
        self._made = 0
        self._began_ns = self._ended_ns = 0

    def measure(self, part: LookName, backends: Sequence[str], pairs: int) -> list[Run]:
        """Run ``pairs`` pairs in each backend; return those that count.

        Two neighbouring pairs of one backend (ABBA or BAAB) run without a pause for another. A pair
        that was spoiled is run again; a backend that is given up returns no pair at all.

        Raises:
            RunError: a process failed.
        """
        began = len(self.runs)
        order = orders(pairs, seed=self.plan.seed, part=part)
        titles = {"first": "Comparing", "extension": "Looking closer", "confirmation": "Confirming"}
        self.progress.start(f"{titles[part]}: {pairs} pairs", 2 * pairs * len(backends))
        for couple in range(0, pairs, 2):
            for backend in backends:
                for pair in range(couple, min(couple + 2, pairs)):
                    if backend not in self.given_up:
                        self._pair(part, pair, order[pair], backend)
        self.progress.finish()
        return [
            run for run in self.runs[began:] if not run.invalid and run.backend not in self.given_up
        ]

    def curves(self) -> Curves | None:
        """Return what the machine did from the first run to the last; None where nobody saw it."""
        curves = self.watch.timeline().curves(Window(self._began_ns, self._ended_ns))
        return curves if curves.at_s else None

    def _pair(self, part: LookName, pair: int, order: Sequence[Arm], backend: str) -> None:
        every: dict[str, str] = {}
        for left in reversed(range(TRIES)):
            made = [self._run(part, pair, arm, backend) for arm in order]
            # What both halves met is told once, though they met it in other numbers.
            told = {FIGURES.sub("", reason): reason for run in made for reason in run.invalid}
            spoiled = sorted(told.values())
            if spoiled:
                # A pair counts as a whole: its other half met a machine in another state.
                made = [run.model_copy(update={"invalid": tuple(spoiled)}) for run in made]
            self.runs += made
            if not spoiled:
                self.progress.advance(
                    len(made),
                    note=f"{backend} {', '.join(f'{p50_ms(run):.3g} ms' for run in made)}",
                )
                return
            every |= told
            if left:
                self.progress.warn(f"A pair is measured again: {'; '.join(spoiled)}.")
        why = f"one pair was spoiled {TRIES} times ({'; '.join(sorted(every.values()))})"
        self.given_up[backend] = why
        self.progress.warn(f"{backend} is given up: {why}. {QUIETER}")

    def _run(self, part: LookName, pair: int, arm: Arm, backend: str) -> Run:
        if self._made and self.plan.rest_s:
            time.sleep(self.plan.rest_s)
        self.watch.begin()
        began_ns = perf_counter_ns()
        answer = self._answer(arm, backend)
        self._ended_ns = perf_counter_ns()
        self._began_ns = self._began_ns or began_ns
        spoiled = tuple(self.watch.end())
        self.engines[arm].setdefault(backend, answer.engine)
        self._made += 1
        return Run(
            part=part,
            pair=pair,
            place=self._made - 1,
            backend=backend,
            arm=arm,
            began_s=(began_ns - self._began_ns) / 1e9,
            ended_s=(self._ended_ns - self._began_ns) / 1e9,
            samples_ns=answer.samples_ns,
            load_ns=answer.load_ns,
            first_call_ns=answer.first_call_ns,
            warm_calls=answer.warm_calls,
            stable=answer.stable,
            peak_rss_bytes=answer.peak_rss_bytes,
            waited_share=answer.waited_share,
            missing=answer.missing,
            invalid=spoiled,
        )

    def _answer(self, arm: Arm, backend: str) -> Answer:
        plan = self.plan
        request = Request(
            bundle=str(self.arms.bundles[arm]),
            backend=backend,
            frames=str(self.arms.frames),
            threads=self.arms.threads,
            warm_s=plan.warm_s,
            warm_count=plan.warm_count,
            warm_cap_s=CAP * plan.warm_s,
            min_s=plan.min_s,
            min_count=plan.min_count,
            extra_bytes=self.arms.extra_bytes.get(arm, 0),
        )
        return self.ask(request, self.environ)
