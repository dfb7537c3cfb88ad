"""What a report measured beside its latencies and sizes, as a flat list: a figure, a line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stylepress.benchmarks.drift.result import Drift
from stylepress.benchmarks.drift.titles import TITLES
from stylepress.benchmarks.report import Consistency, Report, mean_of
from stylepress.benchmarks.timing.footprint import Footprint
from stylepress.benchmarks.timing.scene import Scene

DISTANCES = ("style_distance", "content_distance", "grid_energy")
MORE_IS_WORSE: Mapping[str, bool] = {**dict.fromkeys(DISTANCES, True), "ssim": False}
"""Which way each measure of quality is bad; PSNR is apart, as equal pictures have none."""
TOLD_APART = frozenset({"psnr_db", "ssim"})
"""Paired measures of a study that a report's pictures have too."""
MEGABYTE = 1e6


@dataclass(frozen=True, slots=True)
class Figure:
    """One value, with its interval where there is one.

    ``of`` is what it was measured over or with: values with another one are not compared.
    """

    subject: str
    metric: str
    unit: str
    value: float
    low: float | None = None
    high: float | None = None
    smaller_is_better: bool = True
    of: str = ""

    @property
    def name(self) -> str:
        """Subject and metric."""
        return f"{self.subject} · {self.metric}"

    @property
    def plottable(self) -> bool:
        """Whether a tool that divides values may have it: finite and above 0."""
        return math.isfinite(self.value) and self.value > 0


def report_figures(report: Report) -> Iterator[Figure]:
    """Yield quality, drift, motion, start, memory and scenarios of everything in a report."""
    for model in report.of_role("bundle"):
        for measure, worse in MORE_IS_WORSE.items():
            value = mean_of(report.qualities, model.name, measure)
            if value is not None:
                yield Figure(model.name, spoken(measure), "", value, smaller_is_better=worse)
    for drift in report.drifts:
        yield from _drift(drift)
    for seen in (*report.consistencies, *report.clips):
        yield from _motion(seen)
    for footprint in report.footprints:
        yield from _footprint(footprint)
    for scene in report.scenes:
        yield from _scene(scene)


def spoken(measure: str) -> str:
    """Write the name of a measure of quality as figures are named.

    >>> spoken("style_distance")
    'style distance'
    """
    return measure.replace("_", " ")


def _drift(drift: Drift) -> Iterator[Figure]:
    subject = f"{drift.compressed} against {drift.original}"
    found, fact = drift.frechet, drift.frechet.extractor
    over = f"{fact.name} {fact.sha256[:12]} ({fact.layer}, {fact.preprocessing}), {drift.sample}"
    direct = found.direct
    yield Figure(
        *(
            subject,
            f"{TITLES['direct']}, {found.metric}",
            "",
            direct.value,
            direct.low,
            direct.high,
        ),
        of=over,
    )
    if found.drift is not None:
        size = abs(found.drift.value)
        yield Figure(
            *(subject, f"{TITLES['drift']}, size, {found.metric}", "", size),
            of=f"{over}, {found.n_reference} of references",
        )
    yield Figure(subject, TITLES["kernel"], "", drift.kernel.value, of=over)
    yield Figure(subject, TITLES["patches"], "", drift.patches, of=drift.sample)
    for one in drift.paired:
        if one.measure in TOLD_APART:
            continue
        net = f", {drift.lpips.net} {drift.lpips.heads_sha256[:12]}" if drift.lpips else ""
        yield Figure(
            *(subject, f"{TITLES[one.measure]}, mean", "", one.mean, one.low, one.high),
            smaller_is_better=one.more_is_worse,
            of=drift.sample + (net if one.measure == "lpips" else ""),
        )


def _motion(seen: Consistency) -> Iterator[Figure]:
    clip = "" if seen.clip is None else f", {seen.clip.name}"
    source = "" if seen.clip is None else f" of {seen.clip.sha256[:12]}"
    over = f"{seen.frames} frames{source}, {seen.flow} flow"
    yield Figure(seen.model, f"warping error{clip}", "", seen.warp_error, of=over)
    for metric, value, unit in (
        ("flicker", seen.flicker, "levels"),
        ("noise gain", seen.noise_gain, "x"),
        ("tOF", seen.tof, "px"),
        ("tLP", seen.tlp, ""),
    ):
        if value is not None:
            yield Figure(seen.model, f"{metric}{clip}", unit, value, of=over)


def _footprint(found: Footprint) -> Iterator[Figure]:
    if found.start.begins:
        yield Figure(found.system, "cold start", "ms", found.start.median_ms("cold"))
        yield Figure(found.system, "warm start", "ms", found.start.median_ms("warm"))
    memory = found.memory
    for metric, value in (
        ("memory, steady", memory.steady_main_bytes),
        ("memory, process tree", memory.steady_tree_bytes),
        ("GPU memory", memory.gpu_bytes),
        ("unified memory", memory.unified_bytes),
    ):
        if value is not None:
            yield Figure(found.system, metric, "MB", value / MEGABYTE)


def _scene(scene: Scene) -> Iterator[Figure]:
    """Yield what a scenario found; nothing of one that does not count."""
    if scene.doubts:
        return
    outcome = scene.outcome
    for one in outcome.latency:
        if one.value_ms is not None:
            yield Figure(scene.title, f"latency p{100 * one.share:g}", "ms", one.value_ms)
    yield Figure(scene.title, "throughput", "Hz", outcome.throughput_hz, smaller_is_better=False)
    if outcome.video is not None and outcome.video.offered:
        yield Figure(scene.title, "frames missed", "%", 100 * outcome.video.miss_share)
    for energy in scene.energies:
        for kind, joules in zip(("gross", "net"), energy.per_frame(), strict=True):
            if joules is not None:
                name = f"energy a frame, {kind}, {energy.source}"
                yield Figure(scene.title, name, "J", joules)
