"""Equal bundles in one process, as `bench OLD NEW` measures them and `compare` judges its rounds.

There is one look and no confirmation. A trial draws the rounds of one session again, in blocks of
two neighbours (AB BA), with replacement: what two engines in one process differ by stays as it was.
The sessions are watched as `bench` watches: those that others disturbed are never judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from time import perf_counter_ns

import numpy as np

from stylepress.benchmarks.compare import compare
from stylepress.benchmarks.machine.record import record_machine
from stylepress.benchmarks.machine.timeline import Window
from stylepress.benchmarks.machine.watch import Validity, Watch
from stylepress.benchmarks.quality.photos import golden_photos
from stylepress.benchmarks.report import Latency, Model, Report, Scenario
from stylepress.benchmarks.timing.latency import Plan, System, Timing, measure
from stylepress.benchmarks.timing.systems import Field, bundle_model
from stylepress.benchmarks.verdict.comparison import Comparison
from stylepress.progress import Progress, Silent
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import load_bundle


@dataclass(frozen=True, slots=True)
class Turns:
    """What two contenders took in one session, by round, and whether that counts."""

    old: Timing
    new: Timing
    validity: Validity | None = None

    def again(self, rng: np.random.Generator) -> Turns:
        """Draw as many rounds of it with replacement, two neighbours together."""
        rounds = len(self.old.rounds_ms)
        starts = 2 * rng.integers(rounds // 2, size=(rounds + 1) // 2)
        places = [place for start in starts for place in (start, start + 1)][:rounds]
        old, new = (
            Timing(one.name, tuple(one.rounds_ms[place] for place in places))
            for one in (self.old, self.new)
        )
        return replace(self, old=old, new=new)


class Rounds:
    """Sessions of a bundle and a copy of it, with the engines opened anew for each."""

    def __init__(
        self,
        bundle: Path,
        size: tuple[int, int],
        backend: str,
        *,
        plan: Plan,
        environ: Mapping[str, str],
    ) -> None:
        self.bundle, self.plan, self.backend = load_bundle(bundle), plan, backend
        self.options = EngineOptions(size=size)
        self.machine = record_machine(environ)
        old = bundle_model(self.bundle, "bundle", size, "old")
        # What holds something else has another digest; the copy is given one to be taken for new.
        self.models = old, old.model_copy(update={"name": "new", "digest": "f" * 64})
        self.photos = golden_photos(self.bundle, size, limit=2)
        self.scenario = Scenario(
            height=size[0],
            width=size[1],
            threads=self.options.all_threads,
            rounds=plan.rounds,
            turn_s=plan.turn_s,
            warm_up=plan.warm_up,
            photos=tuple(photo.fact for photo in self.photos),
            style=None,
        )

    def measure(self, sessions: int, *, progress: Progress) -> list[Turns]:
        """Measure so many sessions, beside the null system as `bench` does."""
        found = []
        progress.start(f"Rounds of one process: {sessions} sessions", sessions)
        with Watch() as watch:
            for _ in range(sessions):
                found.append(self._session(watch))
                progress.advance(note=f"{found[-1].old.median_ms:.3g} ms")
        progress.finish()
        return found

    def _session(self, watch: Watch) -> Turns:
        frames = cycle([photo.frame for photo in self.photos])
        with Field(self.options, [self.backend]) as systems:
            for model in self.models:
                systems.enter(model, self.bundle, systems.backends, baseline=False)
            systems.enter_null(self.bundle)
            began_ns = perf_counter_ns()
            old, new, _ = measure(
                [System(one.name, one.run) for one in systems.contenders],
                lambda: next(frames),
                plan=self.plan,
                progress=Silent(),
            )
            validity = watch.judged(Window(began_ns, perf_counter_ns()))
        return Turns(old, new, validity)

    def judge(self, turns: Turns) -> Comparison:
        """Write two reports of a session, and compare them."""
        both = [
            self._latency(model, timing)
            for model, timing in zip(self.models, (turns.old, turns.new), strict=True)
        ]
        new = self._report(self.models, both).model_copy(update={"validity": turns.validity})
        return compare(self._report(self.models[:1], both[:1]), new)

    def _latency(self, model: Model, timing: Timing) -> Latency:
        return Latency(
            name=timing.name,
            model=model.name,
            backend=self.backend,
            facts={},
            baseline=False,
            rounds_ms=timing.rounds_ms,
            median_ms=timing.median_ms,
            p90_ms=None,
        )

    def _report(self, models: Sequence[Model], latencies: Sequence[Latency]) -> Report:
        return Report(
            tool="",
            created="",
            scenario=self.scenario,
            machine=self.machine,
            models=tuple(models),
            latencies=tuple(latencies),
            speedups=(),
            qualities=(),
        )
