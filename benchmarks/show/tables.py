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
    looks = [one for one in report.looks if one.model == model.name]
    looks = [one for one in looks if one.role == "teacher"] or looks
    verdicts = [one.verdict for one in report.drifts if one.compressed == model.name]
    look = ""
    if looks:
        one = looks[0]
        look = "equal to" if one.psnr_db is None else f"{one.psnr_db:.1f} dB from"
        look = f"pictures {look} {one.original}'s, "
    if "FAIL" in verdicts:
        look = f"its pictures FAIL against {report.drifts[0].original}; {look}"
    return f"{model.name}: {look}{speed}"


def looks(report: Report) -> list[str]:
    """Say how like its originals each bundle's pictures are."""
    nothing = "No original was given (`--teacher`, `--student`), so nothing tells what changed."
    return [_look(report, one) for one in report.looks] or [nothing]


def quality(report: Report) -> Table:
    """Lay out the measures of pictures."""
    title = f"Quality, mean of {len(report.scenario.photos)} photos"
    found = [one for model in report.models for one in qualities(report, model.name)]
    return pivot(title, found, first="model")


def references(report: Report) -> list[tuple[str, str]]:
    """Return which model's pictures each model's are held against."""
    return list({one.model: one.reference for one in report.qualities if one.reference}.items())


def _look(report: Report, one: Look) -> str:
    if one.psnr_db is None:
        return f"{one.model} draws exactly what {one.original} draws."
    change = one.saturation_percent
    more = f"{abs(change):.0f} % {'more' if change > 0 else 'less'} colourful"
    parts = [
        f"PSNR {one.psnr_db:.1f} dB, SSIM {one.ssim:.2f}",
        f"mean colour off by {one.cast_levels:.1f} of 255 levels",
        more if abs(change) >= 1 else "as colourful",
    ]
    mine, theirs = (
        mean_of(report.qualities, name, "style_distance") for name in (one.model, one.original)
    )
    if mine is not None and theirs:
        parts.append(f"{amount(mine / theirs, 'x')} as far from the style picture")
    parts += [f"fidelity {value:.2f} by {name}" for name, value in one.fidelity.items()]
    told = f"{one.model} against {one.original}: {', '.join(parts)}."
    if one.role == "teacher" and one.psnr_db < 25:
        told += (
            " A student draws strokes of its own, so its picture is another one: judge by eye "
            "whether it is what you approved."
        )
    return told


def steadiness(report: Report) -> list[str]:
    """Say how much more each bundle flickers than its originals."""
    camera = {one.model: one for one in report.consistencies}
    told = []
    for model in report.of_role("bundle"):
        own = camera.get(model.name)
        if own is None:
            continue
        others = [one for one in report.models if one.role != "bundle" and one.name in camera]
        for other in others:
            ratio = own.warp_error / max(camera[other.name].warp_error, 1e-12)
            word = f"{amount(ratio, 'x')} as much as" if not 0.9 <= ratio <= 1.1 else "as little as"
            told.append(
                f"Along a moving camera the pictures of {model.name} change {word} those of "
                f"{other.name}{': it flickers more' if ratio > 1.5 else ''}."
            )
        if not others:
            ratio = own.warp_error / max(own.input_warp_error, 1e-12)
            told.append(
                f"Along a moving camera the pictures of {model.name} change {amount(ratio, 'x')} as much "
                f"as the frames themselves."
            )
    return told


def speeds(report: Report) -> Table:
    """Lay out the latencies."""
    rows = [_speed(one) for one in report.latencies if one.model]
    return Table("Latency of one frame", ["system", "median", "p90", "calls", "engine"], rows)


def _speed(one: Latency) -> list[str]:
    """Write one system; the model's name has its precision."""
    tail = one.at(0.9)
    p90 = f"none: {tail.why}" if tail.value_ms is None else amount(tail.value_ms, "ms")
    version = str(one.facts.get("version", "")).partition("-")[0]
    facts = {"version": version} | {k: v for k, v in one.facts.items() if k != "version"}
    engine = ", ".join(
        f"{name.replace('_', ' ')} {value}"
        for name, value in facts.items()
        if name not in ("backend", "precision")
    )
    return [one.name, amount(one.median_ms, "ms"), p90, str(one.timing.calls), engine]


def speedups(report: Report) -> Table:
    """Lay out how many times as fast each bundle is as the baselines."""
    rows = [
        [
            one.system,
            amount(one.ratio, "x"),
            one.baseline,
            f"no interval from {one.rounds} rounds"
            if one.low is None or one.high is None
            else f"{one.low:.3g} to {one.high:.3g}",
        ]
        for one in report.speedups
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
    found = [
        figure.model_copy(update={"subject": f"{one.title} (does not count)"})
        if one.doubts
        else figure
        for one in report.scenes
        if one.outcome.measures == measures
        for figure in scenario(one)
    ]
    return pivot(SCENARIOS[measures], found, first="system")


def energies(report: Report) -> Table:
    """Lay out the energy of a frame."""
    found = [figure for scene in report.scenes for figure in energy(scene)]
    return pivot("Energy", found, first="system")


def rails(report: Report) -> list[tuple[str, str]]:
    """Return what each source of energy summed."""
    known = {one.source: one for scene in report.scenes for one in scene.energies}
    return [(source, ", ".join(one.rails)) for source, one in known.items() if one.rails]


def starts(report: Report) -> Table:
    """Lay out start and memory."""
    found = [figure for one in report.footprints for figure in start_and_memory(one)]
    return pivot("Start and memory, in a process of its own", found, first="system")


def absent_memory(report: Report) -> str:
    """Say which memory could not be measured, and why."""
    absent = {what: why for one in report.footprints for what, why in one.memory.missing.items()}
    if report.machine.board is None:
        absent.pop("unified", None)  # no one expects it
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
        [_check(one) for one in drift.checks],
    )


def motion(report: Report) -> Table:
    """Lay out how steadily each model draws, and against which other."""
    heads = ["model", "clip", "E_warp", "put in", "against", "flicker", "noise gain"]
    rows = [_motion(one) for one in (*report.consistencies, *report.clips)]
    return Table("In motion", heads, rows).filled


def _check(one: Check) -> list[str]:
    """Write one check: figure, verdict, value, limit, interval, remark."""
    return [
        one.metric,
        signed(one.verdict) if one.verdict else "not judged",
        NONE if one.new is None else f"{one.new:.3g} {one.unit}".strip(),
        one.limit_text or NONE,
        one.interval or NONE,
        one.note,
    ]


def _motion(one: Consistency) -> list[str]:
    return [
        one.model,
        "camera" if one.clip is None else one.clip.name,
        f"{one.warp_error:.2e}",
        f"{one.input_warp_error:.2e}",
        one.reference or NONE,
        NONE if one.flicker is None else f"{one.flicker:.3g}",
        NONE if one.noise_gain is None else f"{one.noise_gain:.2f}",
    ]
