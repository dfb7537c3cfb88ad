"""One measurement from beginning to end: bundles and photos in, a Report out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from time import perf_counter_ns

from stylepress import __version__
from stylepress.benchmarks.check import Check
from stylepress.benchmarks.entries import Entries
from stylepress.benchmarks.lineage import check_originals
from stylepress.benchmarks.machine.energy import readable, why_unread
from stylepress.benchmarks.machine.record import Machine, record_machine
from stylepress.benchmarks.machine.timeline import Curves, Timeline, Window
from stylepress.benchmarks.machine.watch import Limits, Validity, Watch
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.quality.bundles import DriftOptions
from stylepress.benchmarks.quality.photos import (
    Photo,
    check_frame,
    golden_photos,
    read_photos,
    read_style,
)
from stylepress.benchmarks.quality.trials import (
    Photos,
    PicturePlan,
    PictureTrials,
    drift_is_studied,
    read_footages,
)
from stylepress.benchmarks.report import (
    Latency,
    Model,
    Report,
    Scenario,
    speedups,
)
from stylepress.benchmarks.timing.footprint import Footprint
from stylepress.benchmarks.timing.latency import Plan, System, Timing, measure
from stylepress.benchmarks.timing.loop import WarmRule
from stylepress.benchmarks.timing.outcome import Length, Setting
from stylepress.benchmarks.timing.scene import Scene
from stylepress.benchmarks.timing.systems import NULL, Contender, Field, check_threads, named
from stylepress.benchmarks.trials import Entrant, Trials
from stylepress.errors import RecipeError
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import Bundle


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """How a measurement is made.

    ``size`` is (height, width) of the frames; photos are scaled to cover it and cropped.
    ``backends`` are all that run here when None, ``threads`` as many as there are cores.
    Quality is taken on ``most_photos`` photos, ``shown`` of them are put on the page, and
    ``clip_frames`` frames of a moving camera are checked for flicker (0: none), as are some of
    each video of ``clips``. ``drift`` says how a bundle is studied against its original, on more
    photos where there are more.

    Each bundle is started ``starts`` times cold and warm in each backend, in fresh processes, and
    in its fastest one plays the scenarios of ``settings`` for ``length`` each after warming up by
    ``rule``.
    ``foreign_load`` is the share of all cores that others may use before the times do not count.
    ``created`` is the time now as ISO 8601, ``environ`` the environment of those processes, which
    is recorded where it sets threads.
    """

    size: tuple[int, int] = (512, 512)
    plan: Plan = field(default_factory=Plan)
    threads: int | None = None
    backends: tuple[str, ...] | None = None
    most_photos: int = 6
    shown: int = 3
    clip_frames: int = 8
    clips: tuple[Path, ...] = ()
    drift: DriftOptions = field(default_factory=DriftOptions)
    starts: int = 1
    settings: tuple[Setting, ...] = ()
    length: Length = field(default_factory=Length)
    rule: WarmRule = field(default_factory=WarmRule)
    foreign_load: float = Limits().foreign_load
    created: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.starts < 0 or not 0 <= self.foreign_load <= 1:
            raise RecipeError(
                f"{self.starts} starts and a foreign load of {100 * self.foreign_load:g} % cannot "
                f"be measured by.",
                "Give 0 starts or more, and 0 to 100 %.",
            )
        if self.most_photos < 1:
            raise RecipeError(
                f"Nothing can be measured on {self.most_photos} photos.", "Take one or more."
            )
        check_frame(self.size)

    @property
    def picture_plan(self) -> PicturePlan:
        """What is asked of pictures."""
        return PicturePlan(
            size=self.size,
            clip_frames=self.clip_frames,
            shown=self.shown,
            drift=self.drift,
            environ=self.environ,
        )


def bench(
    bundles: Sequence[Path],
    *,
    teacher: Path | None,
    student: Path | None,
    photos: Path | None,
    style: Path | None,
    options: BenchOptions,
    progress: Progress,
) -> Report:
    """Measure latency, size and quality of bundles, beside their teacher and float student.

    ``teacher`` is a checkpoint (its baselines need torch), ``student`` the student in float, as a
    bundle or as the checkpoint (which needs torch too), ``photos`` a folder of photos that no
    training saw (the bundle's golden pictures when None), ``style`` the style picture. Everything
    is read before anything is timed. A process of its own watches the machine meanwhile.

    Raises:
        ArtifactError, BackendError, FrameError, CheckpointError, RecipeError: what was handed in
            cannot be used, with the mend.
    """
    if not bundles:
        raise RecipeError("There is no bundle to measure.", "Name the folder that `build` wrote.")
    check_originals(student, teacher)
    names: set[str] = set()
    loaded = list(named(bundles, names))
    studied = drift_is_studied(options.drift, original=student or teacher)
    pictures = _pictures(loaded[0][0], photos, style, options, studied=studied, progress=progress)
    looking = PictureTrials(pictures, options.picture_plan, progress=progress)
    engine = EngineOptions(threads=options.threads, size=options.size)
    check_threads(engine, progress)
    machine = record_machine(options.environ)
    with (
        tempfile.TemporaryDirectory(prefix="stylepress-bench-") as work,
        Watch(limits=Limits(foreign_load=options.foreign_load)) as watch,
        Field(engine, options.backends) as systems,
    ):
        entries = Entries(
            systems, options.size, work=Path(work), photos=pictures.measured, progress=progress
        )
        if teacher is not None:
            entries.teacher(teacher)
        if student is not None:
            entries.student(student, names)
        entries.bundles(loaded)
        if options.drift.gated:
            entries.check_judged()
        systems.enter_null(loaded[0][0])
        given = _Given(
            {name: bundle for bundle, name in loaded}, looking, entries.strangers, Path(work)
        )
        measurement = _Measurement(systems, given, options, watch=watch, progress=progress)
        return measurement.report(machine)


def _pictures(
    bundle: Bundle,
    photos: Path | None,
    style: Path | None,
    options: BenchOptions,
    *,
    studied: bool,
    progress: Progress,
) -> Photos:
    """Read the photos, or else the bundle's golden pictures, the style picture and the clips."""
    limit = max(options.most_photos, options.drift.most_photos if studied else 0)
    found = (
        golden_photos(bundle, options.size, limit=limit)
        if photos is None
        else read_photos(photos, options.size, limit=limit, progress=progress)
    )
    painting = None if style is None else read_style(style)
    footages = read_footages(options.clips, options.size, progress=progress)
    return Photos(found[: options.most_photos], found if studied else (), painting, footages)


@dataclass(frozen=True, slots=True)
class _Given:
    """What was handed in: the bundles by name, the pictures, and a folder to work in.

    ``strangers`` are the bundles whose student is not the model they were made from.
    """

    bundles: Mapping[str, Bundle]
    looking: PictureTrials
    strangers: Mapping[str, Check]
    work: Path

    @property
    def photos(self) -> Sequence[Photo]:
        """The photos that everything is measured on."""
        return self.looking.photos.measured


class _Measurement:
    """The parts of a report, in the order they are measured."""

    def __init__(
        self,
        systems: Field,
        given: _Given,
        options: BenchOptions,
        *,
        watch: Watch,
        progress: Progress,
    ) -> None:
        self.systems, self.given, self.options = systems, given, options
        self.watch, self.progress = watch, progress
        self.trials = Trials(systems.options, watch=watch, progress=progress)
        self.skipped: list[Skipped] = list(systems.skipped)

    def report(self, machine: Machine) -> Report:
        entrants = [
            Entrant(one, self.given.bundles[one.model.name])
            for one in self.systems.contenders
            if one.model is not None and one.model.name in self.given.bundles
        ]
        footprints = self._footprints(entrants)
        latencies, validity, curves = self._latencies()
        best = self._best(latencies)
        fastest = [one for one in entrants if one.contender in best.values()]
        scenes = self._scenes(fastest)
        models = {one.model.name: one.model for one in self.systems.contenders if one.model}
        painters = {model: one.run for model, one in best.items() if one.backend != NULL}
        looks = self.given.looking.looks(painters, self.given.strangers)
        return Report(
            tool=f"stylepress {__version__}",
            created=self.options.created,
            scenario=self._scenario(),
            machine=machine,
            models=tuple(models.values()),
            latencies=latencies,
            speedups=speedups(latencies),
            **looks,
            validity=validity,
            curves=curves,
            scenes=scenes,
            footprints=footprints,
            skipped=(*self.skipped, *self.trials.skipped, *self.given.looking.skipped),
        )

    def _scenario(self) -> Scenario:
        plan, style = self.options.plan, self.given.looking.photos.style
        return Scenario(
            height=self.options.size[0],
            width=self.options.size[1],
            threads=self.systems.options.all_threads,
            rounds=plan.rounds,
            turn_s=plan.turn_s,
            warm_up=plan.warm_up,
            photos=tuple(photo.fact for photo in self.given.photos),
            style=None if style is None else style.fact,
        )

    def _footprints(self, entrants: Sequence[Entrant]) -> tuple[Footprint, ...]:
        rounds, environ = self.options.starts, self.options.environ
        if not rounds:
            self.skipped.append(Skipped(what="start and memory", why="no start was asked for"))
            return ()
        return tuple(self.trials.footprints(entrants, rounds=rounds, environ=environ))

    def _latencies(self) -> tuple[tuple[Latency, ...], Validity, Curves]:
        frames = cycle([photo.frame for photo in self.given.photos])
        contenders = self.systems.contenders
        began_ns = perf_counter_ns()
        timings = measure(
            [System(one.name, one.run) for one in contenders],
            lambda: next(frames),
            plan=self.options.plan,
            progress=self.progress,
        )
        window = Window(began_ns, perf_counter_ns())
        validity = self.watch.judged(window)
        latencies = tuple(
            _latency(one, timing) for one, timing in zip(contenders, timings, strict=True)
        )
        return latencies, validity, self.watch.timeline().curves(window)

    def _best(self, latencies: Sequence[Latency]) -> dict[Model, Contender]:
        """The fastest contender of each model, one that only copies frames if there is no other."""
        best: dict[str, tuple[tuple[bool, float], Contender]] = {}
        for one, latency in zip(self.systems.contenders, latencies, strict=True):
            if one.model is None or (one.model.role == "teacher" and one.model.precision == "int8"):
                continue
            order = one.backend == NULL, latency.median_ms
            known = best.get(one.model.name)
            if known is None or order < known[0]:
                best[one.model.name] = order, one
        return {one.model: one for _, one in best.values() if one.model is not None}

    def _scenes(self, fastest: Sequence[Entrant]) -> tuple[Scene, ...]:
        options = self.options
        scenes = tuple(
            self.trials.scenes(
                fastest,
                options.settings,
                self.given.photos,
                length=options.length,
                rule=options.rule,
            )
        )
        self.skipped += _no_energy(scenes, self.watch.timeline())
        return scenes


def _no_energy(scenes: Sequence[Scene], timeline: Timeline) -> Iterator[Skipped]:
    if not readable(timeline):
        yield Skipped(what="energy", why=why_unread(timeline))
    elif not scenes:
        why = "turns are too short for a sensor; ask for `--scenario single-stream`"
        yield Skipped(what="energy", why=why)
    for scene in scenes if readable(timeline) else ():
        if all(one.gross_j is None for one in scene.energies):
            why = "; ".join(f"{one.source}: {one.why}" for one in scene.energies)
            yield Skipped(what=f"energy of {scene.title}", why=why)


def _latency(one: Contender, timing: Timing) -> Latency:
    return Latency(
        name=one.name,
        model=None if one.model is None else one.model.name,
        backend=one.backend,
        facts=dict(one.facts),
        baseline=one.baseline,
        rounds_ms=tuple(tuple(round(call, 4) for call in calls) for calls in timing.rounds_ms),
        rounds_at_s=tuple(round(at, 3) for at in timing.rounds_at_s),
        median_ms=timing.median_ms,
        p90_ms=timing.percentile_ms(0.9),
    )
