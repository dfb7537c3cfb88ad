"""What a report says, as sentences and tables in the order a reader asks: the look first."""

from __future__ import annotations

from collections.abc import Iterator

from stylepress.benchmarks.check import Check, signed
from stylepress.benchmarks.quality.checks import BENIGN
from stylepress.benchmarks.quality.study import Drift
from stylepress.benchmarks.report import FIDELITY, Consistency, Latency, Look, Report, mean_of
from stylepress.benchmarks.show.figures import (
    energy,
    pivot,
    qualities,
    scenario,
    start_and_memory,
)
from stylepress.benchmarks.show.words import NONE, Table, amount, reasons
from stylepress.benchmarks.timing.outcome import FixedRate, Server
from stylepress.benchmarks.timing.systems import CONVENTION

UNJUDGED = (
    "Nothing is judged: a student draws otherwise than its teacher; give the student in float with "
    "`--student`. "
)
VERDICTS = (
    "PASS: surely within the limit; FAIL: surely beyond; INCONCLUSIVE: the measurement cannot tell. "
    "One FAIL fails the whole. Rows may disagree, for each sees something else: P and D which "
    "colours, edges and textures the whole set has, not where in a picture; PSNR each pixel, so that "
    "a stroke that moved costs as much as one that broke; SSIM local structure, hardly a tint; the "
    "casts nothing but the mean colour."
)
MOTION = (
    "E_warp: mean squared change along the motion of the clip, where two frames show the same; "
    "put in: that of the frames themselves. Noise gain: how many times a camera's noise on a "
    "still scene comes out. Flicker: how much more or less each pixel changes from frame to "
    "frame, in levels. Camera: moves over the first photo along a way that is exactly known."
)
QUANTILES = "All but the median are estimates from above that hold with 99 % confidence. "
SCENARIOS = {
    "service time": (
        "Service time: one frame after the other",
        f"From begun to done. A stall makes one frame late. {QUANTILES}",
    ),
    "response time": (
        "Response time: frames that wait for nobody",
        f"From when a frame was due to done. A stall makes all late that wait behind it. {QUANTILES}",
    ),
    "throughput": ("Throughput: all frames at once", ""),
}
"""Title and note of what a scenario measures; two of them never share a table."""


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
    notes = [
        "Style: patch sliced-Wasserstein distance to the style picture."
        if any(one.style_distance is not None for one in report.qualities)
        else "No style picture was given (`--style`), so there is no distance to it.",
        "Content: difference of locally normalised luminance to the photo.",
        "Grid: 1 is a photo, more is a pattern of 4 pixels.",
    ]
    against = {one.model: one.reference for one in report.qualities if one.reference}
    if against:
        of = "; ".join(f"{model} against {other}" for model, other in against.items())
        notes.append(f"PSNR and SSIM: {of}.")
    notes += [FIDELITY] * any(one.fidelity for one in report.looks)
    title = f"Quality, mean of {len(report.scenario.photos)} photos"
    found = [one for model in report.models for one in qualities(report, model.name)]
    return pivot(title, found, first="model", note=" ".join(notes))


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
    """Lay out the latencies; what the harness itself costs is said below them."""
    null = next((one for one in report.latencies if one.model is None), None)
    note = (
        "Median: of the medians of the rounds. p90: nine of ten calls are faster; it is an estimate "
        "from above that holds with 99 % confidence."
    )
    if null is not None:
        note += f" Measuring itself costs {amount(null.median_ms, 'ms')}, which is in every time."
    rows = [_speed(one) for one in report.latencies if one.model]
    return Table("Latency of one frame", ["system", "median", "p90", "calls", "engine"], rows, note)


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
        "Each bundle in its fastest backend. The interval is exact, and paired by round.",
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
    return Table("Models", heads, rows, CONVENTION).filled


def more_tables(report: Report) -> Iterator[Table]:
    """Yield the tables of scenarios, energy, start and memory that have rows."""
    for measures, (title, note) in SCENARIOS.items():
        scenes = [one for one in report.scenes if one.outcome.measures == measures]
        note += _arrivals(report) if measures == "response time" else ""
        note += "Why a run does not count stands above." * any(one.doubts for one in scenes)
        found = [
            figure.model_copy(update={"subject": f"{one.title} (does not count)"})
            if one.doubts
            else figure
            for one in scenes
            for figure in scenario(one)
        ]
        yield pivot(title, found, first="system", note=note)
    rails = {one.source: one.rails for scene in report.scenes for one in scene.energies}
    of = "; ".join(f"{source}: {', '.join(names)}" for source, names in rails.items())
    yield pivot(
        "Energy",
        [figure for scene in report.scenes for figure in energy(scene)],
        first="system",
        note=f"Of the rails that a sensor on board sees ({of}); it is no wall meter. Net is without "
        "what the machine drew idle, in the quieter of the two rests before and after.",
    )
    yield _starts(report)


def _arrivals(report: Report) -> str:
    """Declare when a camera's frame is dropped and when it is missed, and a server's rate."""
    told = {
        f"At {one.fps:g} fps a frame is missed that is not done after {one.deadline_ms:.3g} ms; at most "
        f"{one.queue} may wait (dropped: {one.drop}), and what is dropped is missed and never done. "
        "Jitter is the interquartile range of the times between frames shown. "
        if isinstance(one, FixedRate)
        else "A server's requests are due at random, so their rate is not quite as asked. "
        for one in (scene.outcome.setting for scene in report.scenes)
        if isinstance(one, FixedRate | Server)
    }
    return "".join(sorted(told))


def _starts(report: Report) -> Table:
    own = report.footprints
    absent = {what: why for one in own for what, why in one.memory.missing.items()}
    if report.machine.board is None:
        absent.pop("unified", None)  # no one expects it
    disturbed = {
        f"{one.system}: {'; '.join(one.validity.reasons)}"
        for one in own
        if one.validity and one.validity.reasons
    }
    note = (
        "A start is from nothing to the first frame done, Python and the backend's import included; "
        "a warm one finds what the cold one compiled. Memory is the highest resident, until the "
        "first frame and after it."
    )
    if not all(one.start.dropped for one in own):
        note += " This system could not be asked to forget the bundle's files."
    note += f" Not measured: {reasons(absent)}." if absent else ""
    note += f" Does not count: {'. '.join(sorted(disturbed))}." if disturbed else ""
    found = [figure for one in own for figure in start_and_memory(one)]
    title = "Start and memory, in a process of its own"
    return pivot(title, found, first="system", note=note)


def verdict_word(drift: Drift) -> str:
    """Write the verdict on a study."""
    return signed(drift.verdict) if drift.verdict else "not judged"


def studies(report: Report) -> list[Table]:
    """Lay out what compression lost, a table a bundle."""
    return [study(drift) for drift in report.drifts]


def study(drift: Drift) -> Table:
    """Lay out every figure of a study, with the verdict over all of them."""
    return Table(
        f"What compression lost, {drift.compressed} against {drift.original}: "
        f"{verdict_word(drift)}",
        ["figure", "verdict", "value", "limit", "95 % interval", "remark"],
        [check_row(one) for one in drift.checks],
        f"{_pictures(drift)} P: {drift.extractor.title}, between what both models made of the same "
        "pictures. D: by how much farther from references the compressed model's are; below zero is "
        "nearer, which is a change too. Benign: what the original's own pictures lose through "
        f"{BENIGN}, which nobody minds.",
        VERDICTS if drift.judged else UNJUDGED,
    )


def motion(report: Report) -> Table:
    """Lay out how steadily each model draws, and against which other."""
    clips = {one.clip: one for one in report.clips}
    heads = ["model", "clip", "E_warp", "put in", "against", "flicker", "noise gain"]
    rows = [_motion(one) for one in (*report.consistencies, *report.clips)]
    return Table("In motion", heads, rows, " ".join([MOTION, *map(_clip, clips.values())])).filled


def check_row(one: Check) -> list[str]:
    """Write one check: figure, verdict, value, limit, interval, remark."""
    return [
        one.metric,
        signed(one.verdict) if one.verdict else "not judged",
        NONE if one.new is None else f"{one.new:.3g} {one.unit}".strip(),
        one.limit_text or NONE,
        one.interval or NONE,
        one.note,
    ]


def _pictures(drift: Drift) -> str:
    text = (
        f"Distances between sets are over {drift.sample}, paired figures over whole pictures. "
        "Squares of a picture are alike and count for less than as many pictures would"
    )
    if drift.resampling == "none":
        return f"{text}; these are too few for an interval."
    return f"{text}, so intervals come from leaving out pictures ({drift.resampling})."


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


def _clip(one: Consistency) -> str:
    """Tell what is known of a clip's motion."""
    name = NONE if one.clip is None else one.clip.name
    share = NONE if one.visible is None else f"{one.visible:.0%}"
    cuts = f", {one.cuts} of them after a cut" if one.cuts else ""
    return (
        f"{name}: {one.frames} frames{cuts}; flow estimated by {one.flow}; of each frame {share} "
        "can be seen in the one before."
    )
