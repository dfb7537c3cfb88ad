"""The report: measurements of one or more bundles on one machine, with the machine in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from stylepress.benchmarks.machine.record import Machine
from stylepress.benchmarks.machine.timeline import Curves
from stylepress.benchmarks.machine.watch import Validity
from stylepress.benchmarks.part import FileFact, Part, Skipped, read_json, schema_of
from stylepress.benchmarks.quality.study import Drift
from stylepress.benchmarks.timing.footprint import Footprint
from stylepress.benchmarks.timing.interval import Ratio, paired_ratio
from stylepress.benchmarks.timing.latency import Timing
from stylepress.benchmarks.timing.outcome import Outcome, Quantile, quantile_ms

SCHEMA_VERSION: Literal[5] = 5
"""5: a scene is an outcome, a footprint has no process tree, a machine only what is compared by."""
FLUCTUATION = 0.25
"""Spread (IQR) of the rounds over their median, above which a time is called unstable."""
BUSY_LOAD = 0.25
"""Load average a core before measuring, above which the machine is called busy."""

Role = Literal["teacher", "student", "bundle"]
Column = Literal["content", "teacher", "student", "bundle", "difference"]


class Scenario(Part):
    """What was run: two reports with different scenarios are not compared.

    ``single stream``: one frame after the other, uint8 in and out, each call timed alone.
    """

    name: Literal["single stream"] = "single stream"
    height: int
    width: int
    batch: Literal[1] = 1
    threads: int
    rounds: int
    turn_s: float
    warm_up: int
    photos: tuple[FileFact, ...]
    style: FileFact | None


class Model(Part):
    """One model that was measured.

    ``macs`` are multiply-accumulates of the convolutions for one frame of the scenario, None when
    nobody counted them. ``weights_bytes`` is the file with the weights, ``size_bytes`` all files.
    """

    name: str
    role: Role
    family: str
    precision: str
    digest: str
    parent: str | None
    size_bytes: int
    weights_bytes: int
    parameters: int | None = None
    macs: int | None = None


class Latency(Part):
    """Milliseconds of every call, by round, of one model in one backend.

    ``rounds_at_s`` is when each round began. ``p90_ms`` is an estimate from above that holds with
    99 % confidence, None below 64 calls. ``baseline`` says that this is what is compared with.
    """

    name: str
    model: str | None
    backend: str
    facts: dict[str, str | int]
    baseline: bool
    rounds_ms: tuple[tuple[float, ...], ...]
    rounds_at_s: tuple[float, ...] = ()
    median_ms: float
    p90_ms: float | None

    @property
    def timing(self) -> Timing:
        """The samples as the harness gave them."""
        return Timing(self.rounds_ms, self.rounds_at_s)

    def at(self, share: float) -> Quantile:
        """Return a quantile of all calls, or why there is none."""
        calls = [round(1e6 * call) for calls in self.rounds_ms for call in calls]
        return quantile_ms(calls, share)


class Speedup(Part):
    """How many times as long ``baseline`` takes as ``system``; 95 % interval, paired by round."""

    system: str
    baseline: str
    ratio: float
    low: float | None
    high: float | None
    rounds: int


class Quality(Part):
    """Quality of one model on one photo.

    ``psnr_db`` and ``ssim`` are against the picture of ``reference``; None when there is none, and
    ``psnr_db`` is None too when ``identical``. ``style_distance`` needs a style picture.
    """

    model: str
    photo: str
    reference: str | None
    style_distance: float | None
    content_distance: float
    grid_energy: float
    psnr_db: float | None
    ssim: float | None
    identical: bool = False


FIDELITY = (
    "Fidelity: distance to the original over the photo's distance to it, in features of a "
    "published network; 0 is a copy, 1 as far as the photo. Students are trained with VGG by "
    "default, so EfficientNet judges them."
)


class Look(Part):
    """How like an ``original``'s pictures those of a model are, mean over photos.

    ``psnr_db`` is None where all are equal, ``cast_levels`` by how many of 255 levels the mean
    colour is off, ``saturation_percent`` by how much more colourful they are. ``fidelity`` is by
    network the distance of their features, 0 for a copy and 1 for what is as far as the photo.
    """

    model: str
    original: str
    role: Role
    psnr_db: float | None
    ssim: float
    cast_levels: float
    saturation_percent: float
    fidelity: Mapping[str, float] = Field(default_factory=dict)


class Consistency(Part):
    """How steadily one model draws a few frames whose motion is known or estimated.

    ``clip`` is the video they are of, None for a camera that moves over the first photo; ``flow``
    says what the motion is known by, ``exact`` or the name of an estimator. ``visible`` is the mean
    share of pixels that two neighbouring ``frames`` both show, the others do not count; ``cuts`` is
    how many of the frames begin another scene. None is told of the camera by older reports.

    ``warp_error`` is the mean squared change along the motion, ``input_warp_error`` that of the
    frames put in. ``noise_gain`` is how many times a camera's noise on a still scene comes out; no
    clip has it. Against the frames of ``reference``, if any, ``flicker`` is the mean difference of
    the change from frame to frame, in levels.
    """

    model: str
    warp_error: float
    input_warp_error: float
    noise_gain: float | None = None
    reference: str | None = None
    flicker: float | None = None
    clip: FileFact | None = None
    flow: str = "exact"
    frames: int | None = None
    visible: float | None = None
    cuts: int = 0


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture for the page: JPEG bytes and its size."""

    photo: str
    column: Column
    title: str
    jpeg: bytes
    height: int
    width: int


class Report(Part):
    """Everything one run of ``stylepress bench`` found out.

    ``drifts`` says what each bundle lost against its original; ``suffered`` shows by the bundle's
    name where its pictures are farthest from it. ``consistencies`` are of a camera over the first
    photo, one a model, ``clips`` of the user's videos.

    ``validity`` says whether the turns of ``latencies`` count, None where nobody watched, and
    ``curves`` what the machine did during them; a scene of ``scenes`` has its own.
    """

    schema_version: Literal[5] = SCHEMA_VERSION
    tool: str
    created: str
    scenario: Scenario
    machine: Machine
    models: tuple[Model, ...]
    latencies: tuple[Latency, ...]
    speedups: tuple[Speedup, ...]
    qualities: tuple[Quality, ...]
    looks: tuple[Look, ...] = ()
    consistencies: tuple[Consistency, ...] = ()
    clips: tuple[Consistency, ...] = ()
    drifts: tuple[Drift, ...] = ()
    validity: Validity | None = None
    curves: Curves | None = None
    scenes: tuple[Outcome, ...] = ()
    footprints: tuple[Footprint, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    gallery: tuple[Shown, ...] = Field(default=(), exclude=True)
    suffered: Mapping[str, tuple[Shown, ...]] = Field(default_factory=dict, exclude=True)

    def model(self, name: str) -> Model:
        """Return the model of that name."""
        return next(model for model in self.models if model.name == name)

    def of_role(self, role: Role) -> tuple[Model, ...]:
        """Return the models that play a role."""
        return tuple(model for model in self.models if model.role == role)

    def best(self, model: str) -> Latency | None:
        """Return the latency of a model in the backend that is fastest for it."""
        own = [latency for latency in self.latencies if latency.model == model]
        return min(own, key=lambda latency: latency.median_ms, default=None)

    def doubts(self) -> tuple[str, ...]:
        """Return what speaks against trusting the times."""
        return tuple(self._doubts())

    def _doubts(self) -> Iterator[str]:
        load, cores = self.machine.load_average, self.machine.cores
        if load is not None and cores and load / cores > BUSY_LOAD:
            yield f"the machine was busy before: load average {load:.1f} on {cores} cores"
        yield from self.validity.reasons if self.validity else ()
        for latency in self.latencies:
            medians = sorted(latency.timing.round_medians_ms)
            spread = medians[3 * len(medians) // 4] - medians[len(medians) // 4]
            if latency.model and spread > FLUCTUATION * latency.median_ms:
                yield (
                    f"{latency.name} is unstable: half of its rounds lie "
                    f"{spread / latency.median_ms:.0%} apart"
                )
        for scene in self.scenes:
            if scene.doubts:
                yield f"{scene.title} does not count: {'; '.join(scene.doubts)}"


def speedups(latencies: Sequence[Latency]) -> tuple[Speedup, ...]:
    """Compare the bundles, each in its fastest backend, with every baseline."""
    fastest: dict[str, Latency] = {}
    for latency in latencies:
        if latency.model and not latency.baseline:
            known = fastest.setdefault(latency.model, latency)
            if latency.median_ms < known.median_ms:
                fastest[latency.model] = latency
    return tuple(
        _speedup(latency, slow)
        for latency in fastest.values()
        for slow in latencies
        if slow.baseline
    )


def _speedup(fast: Latency, slow: Latency) -> Speedup:
    ratio: Ratio = paired_ratio(fast.timing.round_medians_ms, slow.timing.round_medians_ms)
    return Speedup(
        system=fast.name,
        baseline=slow.name,
        ratio=ratio.value,
        low=ratio.low,
        high=ratio.high,
        rounds=ratio.count,
    )


def mean_of(qualities: Sequence[Quality], model: str, measure: str) -> float | None:
    """Mean of one measure of a model over photos; None where no photo has it."""
    values = [getattr(one, measure) for one in qualities if one.model == model]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def report_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of ``report.json``."""
    return schema_of(Report, "report")


def read_report(path: Path) -> Report:
    """Read a ``report.json``; it has no pictures.

    Raises:
        ArtifactError: missing, no report, or of another schema version.
    """
    return read_json(path, Report, noun="report", command="stylepress bench BUNDLE --out DIR")
