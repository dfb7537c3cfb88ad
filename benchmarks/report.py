"""The report: measurements of one or more bundles on one machine, with the machine in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.intervals import paired_ratio
from stylepress.benchmarks.machine.record import Machine
from stylepress.benchmarks.machine.watch import Validity
from stylepress.benchmarks.part import Document, FileFact, Part, Skipped
from stylepress.benchmarks.quality.study import Drift
from stylepress.benchmarks.timing.latency import Timing
from stylepress.benchmarks.timing.outcome import Outcome, quantile

FLUCTUATION = 0.25
"""Spread (IQR) of the rounds over their median, above which a time is called unstable."""
BUSY_LOAD = 0.25
"""Load average a core before measuring, above which the machine is called busy."""
SETS = ("", "drift_percent", "drift_benign_times")
"""Figures of a study that are distances between sets."""
Role = Literal["teacher", "student", "bundle"]
Column = Literal["content", "teacher", "student", "bundle", "difference"]


class Scenario(Part):
    """What was run, uint8 in and out, each call timed alone; of others no report is compared."""

    height: int
    width: int
    threads: int
    rounds: int
    turn_s: float
    warm_up: int
    photos: tuple[FileFact, ...]
    style: FileFact | None


class Model(Part):
    """One model that was measured.

    ``macs`` are multiply-accumulates of the convolutions for one frame of the scenario, None when
    nobody counted them. ``weights_bytes`` is the file with the weights.
    """

    name: str
    role: Role
    family: str
    precision: str
    digest: str
    parent: str | None
    weights_bytes: int
    parameters: int | None = None
    macs: int | None = None


class Latency(Part):
    """Milliseconds of every call, by round, of one model in one backend.

    ``p90_ms`` is an estimate from above that holds with 99 % confidence, None below 64 calls.
    """

    name: str
    model: str | None
    backend: str
    facts: dict[str, str | int]
    baseline: bool
    rounds_ms: tuple[tuple[float, ...], ...]
    median_ms: float
    p90_ms: float | None

    @property
    def timing(self) -> Timing:
        return Timing(self.rounds_ms)

    def at(self, share: float) -> Check:
        """Return a quantile of all calls, or why there is none."""
        calls = [round(1e6 * call) for calls in self.rounds_ms for call in calls]
        return quantile(self.name, calls, share)


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture for the page: JPEG bytes and its size."""

    photo: str
    column: Column
    title: str
    jpeg: bytes
    height: int
    width: int


class Report(Document, title="stylepress report"):
    """Everything one run of ``stylepress bench`` found out.

    ``looks`` are figures of each model's pictures, mean over the photos, alone and ``against`` those
    of each model that it may be a copy of; ``steadiness`` is how little they change along a motion.
    ``drifts`` says what each bundle lost against its original. ``starts`` are start and memory.
    ``validity`` says whether the turns of ``latencies`` count, None where nobody watched.
    """

    command: ClassVar[str] = "stylepress bench BUNDLE --out DIR"

    schema_version: Literal[6] = 6
    tool: str
    created: str
    scenario: Scenario
    machine: Machine
    models: tuple[Model, ...]
    latencies: tuple[Latency, ...]
    speedups: tuple[Check, ...]
    looks: tuple[Check, ...] = ()
    steadiness: tuple[Check, ...] = ()
    drifts: tuple[Drift, ...] = ()
    validity: Validity | None = None
    scenes: tuple[Outcome, ...] = ()
    starts: tuple[Check, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    gallery: tuple[Shown, ...] = Field(default=(), exclude=True)

    def of_role(self, role: Role) -> tuple[Model, ...]:
        return tuple(model for model in self.models if model.role == role)

    def best(self, model: str) -> Latency | None:
        """Return the latency of a model in the backend that is fastest for it."""
        own = [latency for latency in self.latencies if latency.model == model]
        return min(own, key=lambda latency: latency.median_ms, default=None)

    def figures(self) -> Iterator[Check]:
        """Yield what trends and dashboards are made of; not the scenarios that do not count."""
        for latency in self.latencies:
            if latency.model is not None:
                for metric, ms in (("p50", latency.median_ms), ("p90", latency.p90_ms)):
                    yield Check(subject=latency.name, metric=f"latency {metric}", unit="ms", new=ms)
        for model in self.of_role("bundle"):
            megabytes = model.weights_bytes / 1e6
            yield Check(subject=model.name, metric="weights", unit="MB", new=megabytes)
        yield from self.looks
        for drift in self.drifts:
            yield from _changes(drift)
        yield from self.steadiness
        yield from self.starts
        for scene in self.scenes:
            if not scene.doubts:
                yield from (*scene.figures, *scene.energies)

    @property
    def gated(self) -> tuple[Check, ...]:
        """What its verdict rests on; the subject says which model it is of."""
        return tuple(
            check.model_copy(update={"subject": against(drift.compressed, drift.original)})
            for drift in self.drifts
            for check in drift.checks
            if check.verdict is not None
        )

    def doubts(self) -> list[str]:
        """Say why times may be wrong."""
        found, load, cores = list[str](), self.machine.load_average, self.machine.cores
        if load is not None and cores and load / cores > BUSY_LOAD:
            found.append(f"the machine was busy before: load average {load:.1f} on {cores} cores")
        found += self.validity.reasons if self.validity else ()
        for latency in self.latencies:
            medians = sorted(latency.timing.round_medians_ms)
            spread = medians[3 * len(medians) // 4] - medians[len(medians) // 4]
            if latency.model and spread > FLUCTUATION * latency.median_ms:
                apart = f"half of its rounds lie {spread / latency.median_ms:.0%} apart"
                found.append(f"{latency.name} is unstable: {apart}")
        found += [
            f"{scene.title} does not count: {'; '.join(scene.doubts)}"
            for scene in self.scenes
            if scene.doubts
        ]
        return found


def _changes(drift: Drift) -> Iterator[Check]:
    """Yield the sizes of what a study found, but for those that the pictures' own figures tell."""
    fact = drift.extractor
    over = f"{fact.name} {fact.sha256[:12]} ({fact.layer}, {fact.preprocessing}), {drift.sample}"
    for one in drift.checks:
        if one.new is None or one.key.startswith(("drift_psnr", "drift_ssim")):
            continue
        check = Check(
            subject=against(drift.compressed, drift.original), metric=one.metric, unit=one.unit,
            new=abs(one.new), low=one.low, high=one.high, of=over if one.key in SETS else drift.sample,
        )  # fmt: skip
        if one.key == "drift_percent":  # of either sign, and nearer is a change too
            of = f"{over}, {drift.references} of references"
            size = {"metric": f"{one.metric}, size", "low": None, "high": None, "of": of}
            check = check.model_copy(update=size)
        yield check


def speedups(latencies: Sequence[Latency]) -> tuple[Check, ...]:
    """Tell how many times as fast as each baseline a model is, in its fastest backend, by round."""
    own = [one for one in latencies if one.model and not one.baseline]
    fastest = (
        min((one for one in own if one.model == model), key=lambda one: one.median_ms)
        for model in dict.fromkeys(one.model for one in own)
    )
    return tuple(_speedup(fast, slow) for fast in fastest for slow in latencies if slow.baseline)


def _speedup(fast: Latency, slow: Latency) -> Check:
    ratio = paired_ratio(fast.timing.round_medians_ms, slow.timing.round_medians_ms)
    return Check(
        subject=fast.name, metric=slow.name, unit="x", larger_is_worse=False, new=ratio.value,
        low=ratio.low, high=ratio.high,
        note="" if ratio.low else f"no interval from {len(fast.rounds_ms)} rounds",
    )  # fmt: skip


def against(model: str, original: str) -> str:
    """Name what is measured of one model's pictures beside another's."""
    return f"{model} against {original}"
