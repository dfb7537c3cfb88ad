"""What a report measured, as one flat list: tables, trends and dashboards are made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.quality.study import Drift
from stylepress.benchmarks.report import Consistency, Report, mean_of
from stylepress.benchmarks.timing.footprint import Footprint
from stylepress.benchmarks.timing.scene import Scene

QUALITIES: Mapping[str, tuple[str, str, bool]] = {
    "style_distance": ("style distance", "", True),
    "content_distance": ("content distance", "", True),
    "grid_energy": ("grid energy", "", True),
    "psnr_db": ("psnr", "dB", False),
    "ssim": ("ssim", "", False),
}
"""Measures of pictures: what they are called, their unit, whether more is worse."""
ELSEWHERE = ("drift_psnr", "drift_ssim", "golden")
"""Figures of a study that a report's pictures have too, or that are none of it."""
SETS = ("", "drift_percent", "drift_benign_times")
"""Those that are distances between sets."""
MEGABYTE = 1e6


def figures(report: Report) -> Iterator[Check]:
    """Yield latency, size, quality, drift, motion, start, memory and scenarios of a report."""
    for latency in report.latencies:
        if latency.model is None:
            continue
        yield _figure(latency.name, "latency p50", latency.median_ms, "ms")
        if latency.p90_ms is not None:
            yield _figure(latency.name, "latency p90", latency.p90_ms, "ms")
    for model in report.of_role("bundle"):
        yield _figure(model.name, "weights", model.weights_bytes / MEGABYTE, "MB")
        yield _figure(model.name, "all files", model.size_bytes / MEGABYTE, "MB")
        for measure, (title, unit, worse) in QUALITIES.items():
            value = mean_of(report.qualities, model.name, measure)
            if value is not None:
                yield _figure(model.name, title, value, unit, larger_is_worse=worse)
    for drift in report.drifts:
        yield from _drift(drift)
    for moved in (*report.consistencies, *report.clips):
        yield from _motion(moved)
    for footprint in report.footprints:
        yield from _footprint(footprint)
    for scene in report.scenes:
        yield from _scene(scene)


def _figure(subject: str, metric: str, value: float, unit: str = "", **facts: object) -> Check:
    known = {"subject": subject, "metric": metric, "unit": unit, "new": value}
    return Check.model_validate({**known, **facts})


def _drift(drift: Drift) -> Iterator[Check]:
    subject = f"{drift.compressed} against {drift.original}"
    fact = drift.extractor
    over = f"{fact.name} {fact.sha256[:12]} ({fact.layer}, {fact.preprocessing}), {drift.sample}"
    for one in drift.checks:
        if one.new is None or one.key.startswith(ELSEWHERE):
            continue
        metric, ends = one.metric, {"low": one.low, "high": one.high}
        of = over if one.key in SETS else drift.sample
        if one.key == "drift_percent":  # of either sign, and nearer is a change too
            metric, ends = f"{metric}, size", {}
            of = f"{over}, {drift.references} of references"
        yield _figure(subject, metric, abs(one.new), one.unit, of=of, **ends)


def _motion(moved: Consistency) -> Iterator[Check]:
    clip = "" if moved.clip is None else f", {moved.clip.name}"
    source = "" if moved.clip is None else f" of {moved.clip.sha256[:12]}"
    over = f"{moved.frames} frames{source}, {moved.flow} flow"
    for metric, value, unit in (
        ("warping error", moved.warp_error, ""),
        ("flicker", moved.flicker, "levels"),
        ("noise gain", moved.noise_gain, "x"),
    ):
        if value is not None:
            yield _figure(moved.model, f"{metric}{clip}", value, unit, of=over)


def _footprint(found: Footprint) -> Iterator[Check]:
    if found.start.begins:
        yield _figure(found.system, "cold start", found.start.median_ms("cold"), "ms")
        yield _figure(found.system, "warm start", found.start.median_ms("warm"), "ms")
    memory = found.memory
    for metric, value in (
        ("memory, steady", memory.steady_main_bytes),
        ("memory, process tree", memory.steady_tree_bytes),
        ("GPU memory", memory.gpu_bytes),
        ("unified memory", memory.unified_bytes),
    ):
        if value is not None:
            yield _figure(found.system, metric, value / MEGABYTE, "MB")


def _scene(scene: Scene) -> Iterator[Check]:
    """Yield what a scenario found; nothing of one that does not count.

    Throughput is of the scenario that measures it: frames a second of one stream are its latency.
    """
    if scene.doubts:
        return
    outcome = scene.outcome
    for one in outcome.latency:
        if one.value_ms is not None:
            yield _figure(scene.title, f"latency p{100 * one.share:g}", one.value_ms, "ms")
    if outcome.measures == "throughput" and outcome.throughput_hz is not None:
        yield _figure(scene.title, "throughput", outcome.throughput_hz, "Hz", larger_is_worse=False)
    if outcome.video is not None and outcome.video.offered:
        yield _figure(scene.title, "frames missed", 100 * outcome.video.miss_share, "%")
    for energy in scene.energies:
        for kind, joules in zip(("gross", "net"), energy.per_frame(), strict=True):
            if joules is not None:
                name = f"energy a frame, {kind}, {energy.source}"
                yield _figure(scene.title, name, joules, "J")
