"""One measurement from beginning to end: bundles and photos in, a Report out."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import numpy as np

from stylepress import __version__
from stylepress.artifact import file_digest
from stylepress.benchmarks.page import page
from stylepress.benchmarks.pictures.camera import camera, render, warp_error
from stylepress.benchmarks.pictures.gallery import Drawing, gallery
from stylepress.benchmarks.pictures.photos import Photo, golden_photos, read_photos, unit
from stylepress.benchmarks.pictures.quality import (
    content_distance,
    grid_energy,
    psnr_db,
    ssim,
    style_distance,
)
from stylepress.benchmarks.report import (
    Consistency,
    FileFact,
    Latency,
    Model,
    Quality,
    Report,
    Scenario,
    Skipped,
    speedups,
)
from stylepress.benchmarks.summary import summary
from stylepress.benchmarks.timing.latency import Plan, System, Timing, measure
from stylepress.benchmarks.timing.machine import record_machine
from stylepress.benchmarks.timing.systems import (
    Contender,
    Field,
    bundle_model,
    named,
)
from stylepress.errors import RecipeError
from stylepress.progress import Progress
from stylepress.replace import replacing_file
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.media.images import read_picture

JSON, MARKDOWN, HTML = "report.json", "report.md", "report.html"


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """How a measurement is made.

    ``size`` is (height, width) of the frames; photos are scaled to cover it and cropped.
    ``backends`` are all that run here when None, ``threads`` as many as there are cores.
    Quality is taken on ``most_photos`` photos, ``shown`` of them are put on the page, and
    ``clip_frames`` frames of a moving camera are checked for flicker (0: none). ``created`` is the
    time now as ISO 8601, ``environ`` the environment, which is recorded where it sets threads.
    """

    size: tuple[int, int] = (512, 512)
    plan: Plan = field(default_factory=Plan)
    threads: int | None = None
    backends: tuple[str, ...] | None = None
    most_photos: int = 6
    shown: int = 3
    clip_frames: int = 8
    created: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
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

    ``teacher`` is a checkpoint (its baselines need torch), ``student`` the float bundle of the
    student, ``photos`` a folder of photos that no training saw (the bundle's golden pictures when
    None), ``style`` the style picture.

    Raises:
        ArtifactError, BackendError, FrameError, CheckpointError: what was handed in cannot be
            used, with the mend.
    """
    if not bundles:
        raise RecipeError("There is no bundle to measure. Name the folder that `build` wrote.")
    names: set[str] = set()
    loaded = list(named(bundles, names))
    pictures = (
        golden_photos(loaded[0][0], options.size, limit=options.most_photos)
        if photos is None
        else read_photos(photos, options.size, limit=options.most_photos, progress=progress)
    )
    engine = EngineOptions(threads=options.threads, size=options.size)
    with (
        tempfile.TemporaryDirectory(prefix="stylepress-bench-") as work,
        Field(engine, options.backends) as systems,
    ):
        if teacher is not None:
            _enter_teacher(systems, teacher, Path(work), pictures, options, progress)
        for bundle, name in named([student] if student else [], names):
            model = bundle_model(bundle, "student", options.size, name)
            systems.enter(model, bundle, systems.backends, baseline=False)
        for bundle, name in loaded:
            model = bundle_model(bundle, "bundle", options.size, name)
            systems.enter(model, bundle, systems.backends, baseline=False)
        systems.enter_null(loaded[0][0])
        return _Measurement(systems, pictures, style, options, progress).report()


def write_report(report: Report, out: Path) -> tuple[Path, Path, Path]:
    """Write ``report.json``, ``report.md`` and ``report.html`` into a folder.

    Raises:
        OutputError: the folder cannot be written to.
    """
    made = out / JSON, out / MARKDOWN, out / HTML
    write_json(report, made[0])
    write_markdown(report, made[1])
    write_html(report, made[2])
    return made


def write_json(report: Report, path: Path) -> None:
    """Write a report for programs."""
    text = json.dumps(report.model_dump(mode="json"), indent=1, allow_nan=False)
    with replacing_file(path) as beside:
        beside.write_text(text + "\n", encoding="utf-8")


def write_markdown(report: Report, path: Path) -> None:
    """Write a report's tables."""
    with replacing_file(path) as beside:
        beside.write_text(summary(report), encoding="utf-8")


def write_html(report: Report, path: Path) -> None:
    """Write a report as one page that needs nothing else."""
    with replacing_file(path) as beside:
        beside.write_text(page(report), encoding="utf-8")


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


class _Measurement:
    """The parts of a report, in the order they are measured."""

    def __init__(
        self,
        systems: Field,
        photos: Sequence[Photo],
        style: Path | None,
        options: BenchOptions,
        progress: Progress,
    ) -> None:
        self.systems, self.photos, self.options = systems, photos, options
        self.progress = progress
        self.style = None if style is None else read_picture(style).pixels
        self.style_fact = (
            None if style is None else FileFact(name=style.name, sha256=file_digest(style))
        )
        self.skipped: list[Skipped] = list(systems.skipped)

    def report(self) -> Report:
        machine = record_machine(self.options.environ)
        latencies = self._latencies()
        best = self._best(latencies)
        drawn = self._drawn(best)
        return Report(
            tool=f"stylepress {__version__}",
            created=self.options.created,
            scenario=self._scenario(),
            machine=machine,
            models=tuple(self._models().values()),
            latencies=latencies,
            speedups=speedups(latencies),
            qualities=tuple(self._qualities(drawn)),
            consistencies=tuple(self._consistencies(best)),
            skipped=tuple(self.skipped),
            gallery=gallery(drawn[: self.options.shown]),
        )

    def _models(self) -> dict[str, Model]:
        models = [one.model for one in self.systems.contenders if one.model is not None]
        return {model.name: model for model in models}

    def _scenario(self) -> Scenario:
        plan = self.options.plan
        return Scenario(
            height=self.options.size[0],
            width=self.options.size[1],
            threads=self.systems.options.all_threads,
            rounds=plan.rounds,
            turn_s=plan.turn_s,
            warm_up=plan.warm_up,
            photos=tuple(photo.fact for photo in self.photos),
            style=self.style_fact,
        )

    def _latencies(self) -> tuple[Latency, ...]:
        frames = cycle([photo.frame for photo in self.photos])
        contenders = self.systems.contenders
        timings = measure(
            [System(one.name, one.run) for one in contenders],
            lambda: next(frames),
            plan=self.options.plan,
            progress=self.progress,
        )
        return tuple(_latency(one, timing) for one, timing in zip(contenders, timings, strict=True))

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

    def _drawn(self, best: Mapping[Model, Contender]) -> list[Drawing]:
        self.progress.start("Stylizing photos", len(self.photos) * len(best))
        drawn = []
        for photo in self.photos:
            made = {}
            for model, one in best.items():
                made[model] = one.run(photo.frame)
                self.progress.advance(note=model.name)
            drawn.append(Drawing(photo.fact.name, photo.frame, made))
        self.progress.finish()
        return drawn

    def _qualities(self, drawn: Sequence[Drawing]) -> Iterable[Quality]:
        style = None if self.style is None else unit(self.style[np.newaxis])
        self.progress.start("Judging pictures", sum(len(each.made) for each in drawn))
        for each in drawn:
            content = unit(each.content)
            for model, frame in each.made.items():
                reference = each.reference(model)
                other = None if reference is None else unit(each.made[reference])
                picture = unit(frame)
                level = math.inf if other is None else psnr_db(picture, other)
                yield Quality(
                    model=model.name,
                    photo=each.photo,
                    reference=None if reference is None else reference.name,
                    style_distance=None if style is None else style_distance(picture, style),
                    content_distance=content_distance(picture, content),
                    grid_energy=grid_energy(picture),
                    psnr_db=level if math.isfinite(level) else None,
                    ssim=None if other is None else ssim(picture, other),
                    identical=other is not None and math.isinf(level),
                )
                self.progress.advance(note=model.name)
        self.progress.finish()

    def _consistencies(self, best: Mapping[Model, Contender]) -> Iterable[Consistency]:
        count, size = self.options.clip_frames, self.options.size
        path = self.photos[0].path
        if count < 2 or path is None:
            why = "no frames were asked for" if path else "the golden pictures are too small"
            self.skipped.append(Skipped(what="consistency of video", why=why))
            return
        # A hundredth of a ten-second loop a frame: neighbours as a video has them.
        still, matrices = camera(path, size, 300)
        frames = list(render(still, matrices[:count], size))
        self.progress.start("Following a moving camera", count * len(best))
        floor = warp_error(frames, matrices[:count])
        for model, one in best.items():
            made = []
            for frame in frames:
                made.append(one.run(np.array(frame)[np.newaxis])[0])
                self.progress.advance(note=model.name)
            error = warp_error(made, matrices[:count])
            yield Consistency(model=model.name, warp_error=error, input_warp_error=floor)
        self.progress.finish()


def _latency(one: Contender, timing: Timing) -> Latency:
    return Latency(
        name=one.name,
        model=None if one.model is None else one.model.name,
        backend=one.backend,
        facts=dict(one.facts),
        baseline=one.baseline,
        rounds_ms=tuple(tuple(round(call, 4) for call in calls) for calls in timing.rounds_ms),
        median_ms=timing.median_ms,
        p90_ms=timing.percentile_ms(0.9),
    )
