"""One measurement from beginning to end: bundles and photos in, a Report out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path
from time import perf_counter_ns

from stylepress import __version__
from stylepress.benchmarks.check import Check
from stylepress.benchmarks.intervals import upper_percentile
from stylepress.benchmarks.machine.record import Machine, record_machine
from stylepress.benchmarks.machine.timeline import Window
from stylepress.benchmarks.machine.watch import FOREIGN_LOAD, Watch
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.quality.photos import golden_photos, read_photos, read_style
from stylepress.benchmarks.quality.trials import (
    DriftOptions,
    Photos,
    PictureTrials,
    drift_is_studied,
    read_footages,
)
from stylepress.benchmarks.report import Latency, Model, Report, Scenario, speedups
from stylepress.benchmarks.timing.footprint import measure_footprint
from stylepress.benchmarks.timing.latency import Plan, Timing, measure
from stylepress.benchmarks.timing.loop import WarmRule
from stylepress.benchmarks.timing.outcome import Length, Outcome, Setting
from stylepress.benchmarks.timing.scenarios import play
from stylepress.benchmarks.timing.systems import (
    NULL,
    Contender,
    Entries,
    Run,
    check_originals,
    check_threads,
    named,
    opened,
)
from stylepress.errors import BackendError, VerificationError
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """How a measurement is made.

    ``size`` is (height, width) of the frames; ``backends`` are all that run here when None,
    ``threads`` as many as there are cores. Quality is taken on ``most_photos`` photos, ``shown`` of
    them are put on the page, and ``clip_frames`` frames of a moving camera are checked for flicker
    (0: none), as are some of each video of ``clips``.

    Each bundle is started ``starts`` times cold and warm in each backend, in fresh processes of the
    environment ``environ``, and in its fastest one plays the scenarios of ``settings`` for ``length``
    each after warming up by ``rule``. ``foreign_load`` is the share of all cores that others may use
    before the times do not count. ``created`` is the time now as ISO 8601.
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
    foreign_load: float = FOREIGN_LOAD
    created: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)


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

    ``teacher`` is a checkpoint, ``student`` a bundle or a checkpoint (checkpoints need torch),
    ``photos`` a folder of photos that no training saw (the bundle's golden pictures when None),
    ``style`` the style picture. Everything is read before anything is timed.

    Raises:
        ArtifactError, BackendError, FrameError, CheckpointError, RecipeError: what was handed in
            cannot be used, with the mend.
    """
    check_originals(student, teacher)
    names: set[str] = set()
    loaded = list(named(bundles, names))
    studied = drift_is_studied(options.drift, original=student or teacher)
    limit = max(options.most_photos, options.drift.most_photos if studied else 0)
    if photos is None:
        found = golden_photos(loaded[0][0], options.size, limit=limit)
    else:
        found = read_photos(photos, options.size, limit=limit, progress=progress)
    pictures = Photos(
        found[: options.most_photos],
        found if studied else (),
        None if style is None else read_style(style),
        read_footages(options.clips, options.size, progress=progress),
    )
    looking = PictureTrials(pictures, options, progress=progress)
    engine = EngineOptions(threads=options.threads, size=options.size)
    check_threads(engine, progress)
    machine = record_machine(options.environ)  # before we load it ourselves
    with (
        tempfile.TemporaryDirectory(prefix="stylepress-bench-") as work,
        Watch(foreign_load=options.foreign_load) as watch,
        Entries(
            engine, options.backends, work=Path(work), photos=pictures.measured, progress=progress
        ) as entries,
    ):
        if teacher is not None:
            entries.teacher(teacher)
        if student is not None:
            entries.student(student, names)
        entries.bundles(loaded)
        return _Bench(entries, options, watch).report(looking, machine)


@dataclass
class _Bench:
    """A measurement under way; what could not be measured is in ``skipped``."""

    entries: Entries
    options: BenchOptions
    watch: Watch
    skipped: list[Skipped] = field(default_factory=list)

    def report(self, looking: PictureTrials, machine: Machine) -> Report:
        entries, options, contenders = self.entries, self.options, self.entries.contenders
        own = [one for one in contenders if one.model and one.model.role == "bundle"]
        starts = list(self._starts(own))
        frames, began_ns = cycle([photo.frame for photo in entries.photos]), perf_counter_ns()
        timings = measure(
            {one.name: one.run for one in contenders},
            frames.__next__,
            plan=options.plan,
            progress=entries.progress,
        )
        window = Window(began_ns, perf_counter_ns())
        validity = self.watch.judged(window)
        latencies = tuple(_latency(one, timings[one.name]) for one in contenders)
        best = _best(contenders, timings)
        scenes = tuple(self._scenes([one for one in own if one in best.values()]))
        painters = {model: one.run for model, one in best.items() if one.backend != NULL}
        looks, style = looking.looks(painters), looking.photos.style
        unread = [Skipped(what=one.metric, why=one.note) for one in starts if one.new is None]
        skipped = *entries.skipped, *self.skipped, *unread, *_no_energy(scenes), *looking.skipped
        return Report(
            tool=f"stylepress {__version__}",
            created=options.created,
            scenario=Scenario(
                height=options.size[0],
                width=options.size[1],
                threads=entries.options.all_threads,
                rounds=options.plan.rounds,
                turn_s=options.plan.turn_s,
                warm_up=options.plan.warm_up,
                photos=tuple(photo.fact for photo in entries.photos),
                style=None if style is None else style.fact,
            ),
            machine=machine,
            models=tuple({one.model.name: one.model for one in contenders if one.model}.values()),
            latencies=latencies,
            speedups=speedups(latencies),
            **looks,
            validity=validity,
            scenes=scenes,
            starts=tuple(one for one in starts if one.new is not None),
            skipped=tuple(dict.fromkeys(skipped)),
        )

    def _starts(self, own: Sequence[Contender]) -> Iterator[Check]:
        options = self.options
        if not options.starts:
            self.skipped.append(Skipped(what="start and memory", why="no start was asked for"))
        for one in own if options.starts else ():
            with self._noted(f"start and memory of {one.name}"):
                yield from measure_footprint(
                    one,
                    self.entries.options,
                    rounds=options.starts,
                    watch=self.watch,
                    environ=options.environ,
                    progress=self.entries.progress,
                )

    def _scenes(self, own: Sequence[Contender]) -> Iterator[Outcome]:
        """Play every scenario with each, in an engine of its own where it needs other lanes."""
        lanes, options, progress = self.entries.options.lanes, self.options, self.entries.progress
        for one, setting in ((one, setting) for one in own for setting in options.settings):
            frames = cycle([photo.frame for photo in self.entries.photos])
            engine: AbstractContextManager[Run] = nullcontext(one.run)
            progress.start(f"{one.name}: {setting}", None)
            with self._noted(f"{setting} of {one.name}"):
                if setting.lanes != lanes and one.bundle is not None:
                    wider = replace(self.entries.options, lanes=setting.lanes)
                    engine = opened(one.bundle, one.backend, wider)
                with engine as run:
                    found = play(
                        run,
                        frames.__next__,
                        setting,
                        length=options.length,
                        rule=options.rule,
                        watch=self.watch,
                        system=one.name,
                    )
                progress.advance()
                yield found
            progress.finish()

    @contextmanager
    def _noted(self, what: str) -> Iterator[None]:
        """Go on where something cannot be measured, and keep why."""
        try:
            yield
        except (BackendError, VerificationError) as error:
            self.skipped.append(Skipped(what=what, why=str(error)))


def _best(contenders: Sequence[Contender], timings: Mapping[str, Timing]) -> dict[Model, Contender]:
    """The fastest contender of each model, one that only copies frames if there is no other."""

    def slowness(one: Contender) -> tuple[bool, float]:
        return one.backend == NULL, timings[one.name].median_ms

    models = dict.fromkeys(one.model for one in contenders if one.model)
    return {
        model: min((one for one in contenders if one.model == model), key=slowness)
        for model in models
        if (model.role, model.precision) != ("teacher", "int8")
    }


def _no_energy(scenes: Sequence[Outcome]) -> Iterator[Skipped]:
    if not scenes:
        why = "it is read during scenarios; ask for `--scenario single-stream`"
        yield Skipped(what="energy", why=why)
    for scene in scenes:
        if all(one.new is None for one in scene.energies):
            reasons = dict.fromkeys(one.note for one in scene.energies)
            yield Skipped(what=f"energy of {scene.title}", why="; ".join(reasons))


def _latency(one: Contender, timing: Timing) -> Latency:
    return Latency(
        name=one.name,
        model=None if one.model is None else one.model.name,
        backend=one.backend,
        facts=dict(one.facts),
        baseline=one.baseline,
        rounds_ms=tuple(tuple(round(call, 4) for call in calls) for calls in timing.rounds_ms),
        median_ms=timing.median_ms,
        p90_ms=upper_percentile([call for calls in timing.rounds_ms for call in calls], 0.9),
    )
