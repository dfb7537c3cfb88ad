"""What a report measured, as one flat list: tables, trends and dashboards are made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.quality.result import TITLES, Drift
from stylepress.benchmarks.report import Consistency, Report, mean_of
from stylepress.benchmarks.timing.footprint import Footprint
from stylepress.benchmarks.timing.scene import Scene

DISTANCES: Mapping[str, str] = {
    "style_percent": "style_distance",
    "content_percent": "content_distance",
    "grid_percent": "grid_energy",
}
"""Measures of a picture of which more is worse, by their names in a gate file."""
QUALITIES: Mapping[str, tuple[str, str, bool]] = {
    "style_distance": ("style distance", "", True),
    "content_distance": ("content distance", "", True),
    "grid_energy": ("grid energy", "", True),
    "psnr_db": ("psnr", "dB", False),
    "ssim": ("ssim", "", False),
}
"""Measures of pictures: what they are called, their unit, whether more is worse."""
SEEN_ELSEWHERE = frozenset({"psnr_db", "ssim"})
"""Paired measures of a study that a report's pictures have too."""
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
    found, fact = drift.frechet, drift.frechet.extractor
    over = f"{fact.name} {fact.sha256[:12]} ({fact.layer}, {fact.preprocessing}), {drift.sample}"
    direct = found.direct
    metric = f"{TITLES['direct']}, {found.metric}"
    yield _figure(subject, metric, direct.value, low=direct.low, high=direct.high, of=over)
    if found.drift is not None:
        metric = f"{TITLES['drift']}, size, {found.metric}"
        of = f"{over}, {found.n_reference} of references"
        yield _figure(subject, metric, abs(found.drift.value), of=of)
    yield _figure(subject, TITLES["kernel"], drift.kernel.value, of=over)
    yield _figure(subject, TITLES["patches"], drift.patches, of=drift.sample)
    for one in drift.paired:
        if one.measure in SEEN_ELSEWHERE:
            continue
        net = f", {drift.lpips.net} {drift.lpips.heads_sha256[:12]}" if drift.lpips else ""
        yield _figure(
            subject,
            f"{TITLES[one.measure]}, mean",
            one.mean,
            low=one.low,
            high=one.high,
            larger_is_worse=one.more_is_worse,
            of=drift.sample + (net if one.measure == "lpips" else ""),
        )


def _motion(moved: Consistency) -> Iterator[Check]:
    clip = "" if moved.clip is None else f", {moved.clip.name}"
    source = "" if moved.clip is None else f" of {moved.clip.sha256[:12]}"
    over = f"{moved.frames} frames{source}, {moved.flow} flow"
    for metric, value, unit in (
        ("warping error", moved.warp_error, ""),
        ("flicker", moved.flicker, "levels"),
        ("noise gain", moved.noise_gain, "x"),
        ("tOF", moved.tof, "px"),
        ("tLP", moved.tlp, ""),
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
