"""One measurement from beginning to end: bundles and photos in, a Report out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from time import perf_counter_ns

from stylepress import __version__
from stylepress.artifact import Artifact, file_digest
from stylepress.benchmarks.drift.bundles import DriftOptions
from stylepress.benchmarks.machine.record import Machine, record_machine
from stylepress.benchmarks.machine.timeline import Curves, Timeline, Window
from stylepress.benchmarks.machine.watch import Limits, Validity, Watch
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.picture_trials import (
    Looks,
    Photos,
    PicturePlan,
    PictureTrials,
    drift_is_studied,
    read_footages,
)
from stylepress.benchmarks.pictures.judged import Painters
from stylepress.benchmarks.pictures.photos import Photo, golden_photos, read_photos
from stylepress.benchmarks.report import (
    FileFact,
    Latency,
    Model,
    Report,
    Scenario,
    speedups,
)
from stylepress.benchmarks.resources.energy import readable, why_unread
from stylepress.benchmarks.resources.footprint import Footprint
from stylepress.benchmarks.scenarios.outcome import Length, Setting
from stylepress.benchmarks.scenarios.scene import Scene
from stylepress.benchmarks.scenarios.warm_up import WarmRule
from stylepress.benchmarks.timing.latency import Plan, System, Timing, measure
from stylepress.benchmarks.timing.systems import Contender, Field, bundle_model, named
from stylepress.benchmarks.trials import Entrant, Trials, roof_shares
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
    ``rule``. ``split`` also takes a film through it, ``roof`` measures the machine's peaks.
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
    split: bool = False
    roof: bool = False
    foreign_load: float = Limits().foreign_load
    created: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.starts < 0 or not 0 <= self.foreign_load <= 1:
            raise RecipeError(
                f"{self.starts} starts and a foreign load of {100 * self.foreign_load:g} % cannot "
                f"be measured by. Give 0 starts or more, and 0 to 100 %."
            )
        if min(self.size) < 64 or self.most_photos < 1:
            raise RecipeError(
                f"Frames of {self.size[1]}x{self.size[0]} and {self.most_photos} photos are too "
                f"few pixels to judge quality by. Measure at 64x64 or more, on one photo or more."
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

    ``teacher`` is a checkpoint (its baselines need torch), ``student`` the student in
    float, as a bundle or as the checkpoint (which needs torch too), ``photos`` a folder of photos that no training saw (the bundle's golden pictures when
    None), ``style`` the style picture. A process of its own watches the machine meanwhile.

    Raises:
        ArtifactError, BackendError, FrameError, CheckpointError: what was handed in cannot be
            used, with the mend.
    """
    if not bundles:
        raise RecipeError("There is no bundle to measure. Name the folder that `build` wrote.")
    names: set[str] = set()
    loaded = list(named(bundles, names))
    studied = drift_is_studied(options.drift, original=student or teacher)
    pictures = _pictures(loaded[0][0], photos, style, options, studied=studied, progress=progress)
    engine = EngineOptions(threads=options.threads, size=options.size)
    machine = record_machine(options.environ)
    with (
        tempfile.TemporaryDirectory(prefix="stylepress-bench-") as work,
        Watch(limits=Limits(foreign_load=options.foreign_load)) as watch,
        Field(engine, options.backends) as systems,
    ):
        if teacher is not None:
            _enter_teacher(systems, teacher, Path(work), pictures.measured, options, progress)
        floats = [_float(student, Path(work), pictures, progress)] if student else []
        for bundle, name in named(floats, names):
            model = bundle_model(bundle, "student", options.size, name)
            systems.enter(model, bundle, systems.backends, baseline=False)
        for bundle, name in loaded:
            model = bundle_model(bundle, "bundle", options.size, name)
            systems.enter(model, bundle, systems.backends, baseline=False)
        systems.enter_null(loaded[0][0])
        given = _Given({name: bundle for bundle, name in loaded}, pictures, Path(work))
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
    """Read the photos, or else the bundle's golden pictures, and the clips."""
    limit = max(options.most_photos, options.drift.most_photos if studied else 0)
    found = (
        golden_photos(bundle, options.size, limit=limit)
        if photos is None
        else read_photos(photos, options.size, limit=limit, progress=progress)
    )
    footages = read_footages(options.clips, options.size, progress=progress)
    return Photos(found[: options.most_photos], found if studied else (), style, footages)


def _float(student: Path, work: Path, photos: Photos, progress: Progress) -> Path:
    """Return the student's float bundle; a checkpoint is exported first."""
    artifact = Artifact.load(student)
    if artifact.kind != "checkpoint":
        return student
    from stylepress.benchmarks.timing.baselines import float_bundle  # torch, onnx

    return float_bundle(artifact, work, photos.measured[0].frame, progress=progress).folder


def _enter_teacher(
    systems: Field,
    source: Path,
    work: Path,
    photos: Sequence[Photo],
    options: BenchOptions,
    progress: Progress,
) -> None:
    from stylepress.benchmarks.timing.baselines import Teacher  # torch, onnx: only with a teacher

    frames = [photo.frame for photo in photos]
    Teacher(source, work, frames=frames, progress=progress).enter(systems, options.size)


@dataclass(frozen=True, slots=True)
class _Given:
    """What was handed in: the bundles by name, the pictures, and a folder to work in."""

    bundles: Mapping[str, Bundle]
    pictures: Photos
    work: Path

    @property
    def photos(self) -> Sequence[Photo]:
        """The photos that everything is measured on."""
        return self.pictures.measured


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
        splits = tuple(self.trials.splits(fastest, self._photo())) if self.options.split else ()
        models = {one.model.name: one.model for one in self.systems.contenders if one.model}
        roofs = (
            self.trials.roofs(self.systems.backends, self.given.work) if self.options.roof else ()
        )
        painters = {model: one.run for model, one in best.items()}
        looks = self._looks(painters)
        return Report(
            tool=f"stylepress {__version__}",
            created=self.options.created,
            scenario=self._scenario(),
            machine=machine,
            models=tuple(models.values()),
            latencies=latencies,
            speedups=speedups(latencies),
            qualities=looks.qualities,
            consistencies=looks.consistencies,
            clips=looks.clips,
            drifts=looks.drifts,
            validity=validity,
            curves=curves,
            scenes=scenes,
            footprints=footprints,
            splits=splits,
            roofs=roofs,
            roof_shares=tuple(roof_shares(roofs, latencies, models)),
            skipped=(*self.skipped, *self.trials.skipped, *looks.skipped),
            gallery=looks.gallery,
            suffered=looks.suffered,
        )

    def _scenario(self) -> Scenario:
        plan, style = self.options.plan, self.given.pictures.style
        return Scenario(
            height=self.options.size[0],
            width=self.options.size[1],
            threads=self.systems.options.all_threads,
            rounds=plan.rounds,
            turn_s=plan.turn_s,
            warm_up=plan.warm_up,
            photos=tuple(photo.fact for photo in self.given.photos),
            style=None if style is None else FileFact(name=style.name, sha256=file_digest(style)),
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
        """The fastest contender of each model that pictures are asked of."""
        best: dict[str, tuple[float, Contender]] = {}
        for one, latency in zip(self.systems.contenders, latencies, strict=True):
            if one.model is None or (one.model.role == "teacher" and one.model.precision == "int8"):
                continue
            known = best.get(one.model.name)
            if known is None or latency.median_ms < known[0]:
                best[one.model.name] = latency.median_ms, one
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

    def _photo(self) -> Path | None:
        return self.given.photos[0].path

    def _looks(self, painters: Painters) -> Looks:
        options = self.options
        plan = PicturePlan(
            size=options.size,
            clip_frames=options.clip_frames,
            shown=options.shown,
            drift=options.drift,
            environ=options.environ,
        )
        return PictureTrials(self.given.pictures, painters, plan, progress=self.progress).looks()


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
