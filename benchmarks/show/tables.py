"""What a report says, as sentences and tables in the order a reader asks: the look first."""

from __future__ import annotations

from stylepress.benchmarks.check import Check, signed
from stylepress.benchmarks.quality.study import Drift
from stylepress.benchmarks.report import Consistency, Latency, Look, Report, mean_of
from stylepress.benchmarks.show.figures import (
    energy,
    pivot,
    qualities,
    scenario,
    start_and_memory,
)
from stylepress.benchmarks.show.words import NONE, Table, amount, reasons

SCENARIOS = {
    "service time": "Service time: one frame after the other",
    "response time": "Response time: frames that wait for nobody",
    "throughput": "Throughput: all frames at once",
}
"""What a scenario measures; two of them never share a table."""


def headline(report: Report) -> str:
    """Return the one sentence a reader should take along: the look first, then the speed."""
    bundles = [(model, report.best(model.name)) for model in report.of_role("bundle")]
    known = [(model, latency) for model, latency in bundles if latency is not None]
    if not known:
        return "Report"
    model, latency = min(known, key=lambda pair: pair[1].median_ms)
    scenario = report.scenario
    speed = f"{amount(latency.median_ms, 'ms')} a frame at {scenario.width}x{scenario.height}"
    looks = [shown for shown in report.looks if shown.model == model.name]
    looks = [shown for shown in looks if shown.role == "teacher"] or looks
    verdicts = [shown.verdict for shown in report.drifts if shown.compressed == model.name]
    look = ""
    if looks:
        shown = looks[0]
        look = "equal to" if shown.psnr_db is None else f"{shown.psnr_db:.1f} dB from"
        look = f"pictures {look} {shown.original}'s, "
    if "FAIL" in verdicts:
        look = f"its pictures FAIL against {report.drifts[0].original}; {look}"
    return f"{model.name}: {look}{speed}"


def looks(report: Report) -> list[str]:
    """Say how like its originals each bundle's pictures are."""
    nothing = "No original was given (`--teacher`, `--student`), so nothing tells what changed."
    return [_look(report, look) for look in report.looks] or [nothing]


def quality(report: Report) -> Table:
    """Lay out the measures of pictures."""
    title = f"Quality, mean of {len(report.scenario.photos)} photos"
    figures = [check for model in report.models for check in qualities(report, model.name)]
    return pivot(title, figures, first="model")


def references(report: Report) -> list[tuple[str, str]]:
    """Return which model's pictures each model's are held against."""
    return list(
        {
            quality.model: quality.reference for quality in report.qualities if quality.reference
        }.items()
    )


def _look(report: Report, look: Look) -> str:
    if look.psnr_db is None:
        return f"{look.model} draws exactly what {look.original} draws."
    change = look.saturation_percent
    more = f"{abs(change):.0f} % {'more' if change > 0 else 'less'} colourful"
    parts = [
        f"PSNR {look.psnr_db:.1f} dB, SSIM {look.ssim:.2f}",
        f"mean colour off by {look.cast_levels:.1f} of 255 levels",
        more if abs(change) >= 1 else "as colourful",
    ]
    mine, theirs = (
        mean_of(report.qualities, name, "style_distance") for name in (look.model, look.original)
    )
    if mine is not None and theirs:
        parts.append(f"{amount(mine / theirs, 'x')} as far from the style picture")
    parts += [f"fidelity {value:.2f} by {name}" for name, value in look.fidelity.items()]
    sentence = f"{look.model} against {look.original}: {', '.join(parts)}."
    if look.role == "teacher" and look.psnr_db < 25:
        sentence += (
            " A student draws strokes of its own, so its picture is another look: judge by eye "
            "whether it is what you approved."
        )
    return sentence


def steadiness(report: Report) -> list[str]:
    """Say how much more each bundle flickers than its originals."""
    camera = {consistency.model: consistency for consistency in report.consistencies}
    sentences = []
    for model in report.of_role("bundle"):
        own = camera.get(model.name)
        if own is None:
            continue
        others = [
            consistency
            for consistency in report.models
            if consistency.role != "bundle" and consistency.name in camera
        ]
        for other in others:
            ratio = own.warp_error / max(camera[other.name].warp_error, 1e-12)
            word = f"{amount(ratio, 'x')} as much as" if not 0.9 <= ratio <= 1.1 else "as little as"
            sentences.append(
                f"Along a moving camera the pictures of {model.name} change {word} those of "
                f"{other.name}{': it flickers more' if ratio > 1.5 else ''}."
            )
        if not others:
            ratio = own.warp_error / max(own.input_warp_error, 1e-12)
            sentences.append(
                f"Along a moving camera the pictures of {model.name} change {amount(ratio, 'x')} as much "
                f"as the frames themselves."
            )
    return sentences


def speeds(report: Report) -> Table:
    """Lay out the latencies."""
    rows = [_speed(latency) for latency in report.latencies if latency.model]
    return Table("Latency of latency frame", ["system", "median", "p90", "calls", "engine"], rows)


def _speed(latency: Latency) -> list[str]:
    """Write one system; the model's name has its precision."""
    tail = latency.at(0.9)
    p90 = f"none: {tail.why}" if tail.value_ms is None else amount(tail.value_ms, "ms")
    version = str(latency.facts.get("version", "")).partition("-")[0]
    facts = {"version": version} | {k: v for k, v in latency.facts.items() if k != "version"}
    engine = ", ".join(
        f"{name.replace('_', ' ')} {value}"
        for name, value in facts.items()
        if name not in ("backend", "precision")
    )
    return [latency.name, amount(latency.median_ms, "ms"), p90, str(latency.timing.calls), engine]


def speedups(report: Report) -> Table:
    """Lay out how many times as fast each bundle is as the baselines."""
    rows = [
        [
            gain.system,
            amount(gain.ratio, "x"),
            gain.baseline,
            f"no interval from {gain.rounds} rounds"
            if gain.low is None or gain.high is None
            else f"{gain.low:.3g} to {gain.high:.3g}",
        ]
        for gain in report.speedups
    ]
    return Table(
        "Against the baselines",
        ["bundle", "times as fast", "as", "95 % interval"],
        rows,
    )


def models(report: Report) -> Table:
    """Lay out what each model weighs."""
    rows = [
        [
            model.name,
            amount(model.weights_bytes / 1e6, "MB"),
            amount(model.size_bytes / 1e6, "MB"),
            NONE if model.parameters is None else f"{model.parameters / 1e6:.3f} M",
            NONE if model.macs is None else f"{model.macs / 1e9:.2f} G",
            model.family,
            model.digest[:12],
        ]
        for model in report.models
    ]
    heads = ["model", "weights", "all files", "parameters", "MACs a frame", "family", "digest"]
    return Table("Models", heads, rows).filled


def scenes(report: Report, measures: str) -> Table:
    """Lay out the scenarios that measure one thing."""
    figures = [
        figure.model_copy(update={"subject": f"{scene.title} (does not count)"})
        if scene.doubts
        else figure
        for scene in report.scenes
        if scene.measures == measures
        for figure in scenario(scene)
    ]
    return pivot(SCENARIOS[measures], figures, first="system")


def energies(report: Report) -> Table:
    """Lay out the energy of a frame."""
    figures = [figure for scene in report.scenes for figure in energy(scene)]
    return pivot("Energy", figures, first="system")


def rails(report: Report) -> list[tuple[str, str]]:
    """Return what each source of energy summed."""
    known = {reading.source: reading for scene in report.scenes for reading in scene.energies}
    return [
        (source, ", ".join(reading.rails)) for source, reading in known.items() if reading.rails
    ]


def starts(report: Report) -> Table:
    """Lay out start and memory."""
    figures = [figure for footprint in report.footprints for figure in start_and_memory(footprint)]
    return pivot("Start and memory, in a process of its own", figures, first="system")


def absent_memory(report: Report) -> str:
    """Say which memory could not be measured, and why."""
    absent = {
        what: why for footprint in report.footprints for what, why in footprint.missing.items()
    }
    if report.machine.board is None:
        absent.pop("unified", None)  # no footprint expects it
    return reasons(absent)


def verdict_word(drift: Drift) -> str:
    """Write the verdict on a study."""
    return signed(drift.verdict) if drift.verdict else "not judged"


def study(drift: Drift) -> Table:
    """Lay out every figure of a study, with the verdict over all of them."""
    return Table(
        f"What compression lost, {drift.compressed} against {drift.original}: "
        f"{verdict_word(drift)}",
        ["figure", "verdict", "value", "limit", "95 % interval", "remark"],
        [_check(check) for check in drift.checks],
    )


def motion(report: Report) -> Table:
    """Lay out how steadily each model draws, and against which other."""
    heads = ["model", "clip", "E_warp", "put in", "against", "flicker", "noise gain"]
    rows = [_motion(consistency) for consistency in (*report.consistencies, *report.clips)]
    return Table("In motion", heads, rows).filled


def _check(check: Check) -> list[str]:
    """Write one check: figure, verdict, value, limit, interval, remark."""
    return [
        check.metric,
        signed(check.verdict) if check.verdict else "not judged",
        NONE if check.new is None else f"{check.new:.3g} {check.unit}".strip(),
        check.limit_text or NONE,
        check.interval or NONE,
        check.note,
    ]


def _motion(consistency: Consistency) -> list[str]:
    return [
        consistency.model,
        "camera" if consistency.clip is None else consistency.clip.name,
        f"{consistency.warp_error:.2e}",
        f"{consistency.input_warp_error:.2e}",
        consistency.reference or NONE,
        NONE if consistency.flicker is None else f"{consistency.flicker:.3g}",
        NONE if consistency.noise_gain is None else f"{consistency.noise_gain:.2f}",
    ]
