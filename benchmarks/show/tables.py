"""What a report holds, as tables in the order a reader asks: the look first, the rest under it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from stylepress.benchmarks.machine.energy import Energy
from stylepress.benchmarks.machine.watch import Validity
from stylepress.benchmarks.report import FIDELITY, Latency, Look, Model, Report, Speedup, mean_of
from stylepress.benchmarks.show.words import (
    NONE,
    engine_facts,
    megabytes,
    milliseconds,
    percentile,
    quantile,
    reasons,
    times,
)
from stylepress.benchmarks.timing.footprint import Footprint
from stylepress.benchmarks.timing.outcome import FixedRate, Measures, Outcome, Server
from stylepress.benchmarks.timing.scene import Scene, words
from stylepress.benchmarks.timing.systems import CONVENTION

MEASURES: Mapping[str, str] = {
    "style_distance": "style distance",
    "content_distance": "content distance",
    "grid_energy": "grid energy",
    "psnr_db": "PSNR dB",
    "ssim": "SSIM",
}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts under heads, a title, and notes on what they mean and what is missing.

    ``lead`` stands before the table: what one must know to read it. The first column heads a row.
    """

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    lead: str = ""

    @property
    def filled(self) -> Table:
        """It without the columns in which no row has anything."""
        kept = [n for n in range(len(self.heads)) if any(row[n] != NONE for row in self.rows)]
        return replace(
            self,
            heads=[self.heads[n] for n in kept],
            rows=[[row[n] for n in kept] for row in self.rows],
            note=self.note.strip(),
        )


def headline(report: Report) -> str:
    """Return the one sentence a reader should take along: the look first, then the speed."""
    bundles = [(model, report.best(model.name)) for model in report.of_role("bundle")]
    known = [(model, latency) for model, latency in bundles if latency is not None]
    if not known:
        return "Report"
    model, latency = min(known, key=lambda pair: pair[1].median_ms)
    scenario = report.scenario
    speed = f"{milliseconds(latency.median_ms)} a frame at {scenario.width}x{scenario.height}"
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


def looks(report: Report) -> tuple[list[str], Table]:
    """Say how like its originals each bundle's pictures are, in sentences and as a table."""
    told = [_look(report, one) for one in report.looks]
    if not told:
        told = ["No original was given (`--teacher`, `--student`), so nothing tells what changed."]
    rows = []
    for model in report.models:
        own = [one for one in report.qualities if one.model == model.name]
        if own:
            values = [_quality(report, model, measure) for measure in MEASURES]
            rows.append([model.name, *values, own[0].reference or NONE])
    notes = [
        "Style: patch sliced-Wasserstein distance to the style picture."
        if any(one.style_distance is not None for one in report.qualities)
        else "No style picture was given (`--style`), so there is no distance to it.",
        "Content: difference of locally normalised luminance to the photo.",
        "Grid: 1 is a photo, more is a pattern of 4 pixels.",
    ]
    if any(one.reference for one in report.qualities):
        notes.append("PSNR and SSIM against the model in the last column.")
    notes += [FIDELITY] * any(one.fidelity for one in report.looks)
    title = f"Quality, mean of {len(report.scenario.photos)} photos"
    return told, Table(
        title, ["model", *MEASURES.values(), "against"], rows, " ".join(notes)
    ).filled


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
        parts.append(f"{times(mine / theirs)} as far from the style picture")
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
            word = f"{times(ratio)} as much as" if not 0.9 <= ratio <= 1.1 else "as little as"
            told.append(
                f"Along a moving camera the pictures of {model.name} change {word} those of "
                f"{other.name}{': it flickers more' if ratio > 1.5 else ''}."
            )
        if not others:
            ratio = own.warp_error / max(own.input_warp_error, 1e-12)
            told.append(
                f"Along a moving camera the pictures of {model.name} change {times(ratio)} as much "
                f"as the frames themselves."
            )
    return told


def speeds(report: Report) -> Table:
    """Lay out the latencies; what the harness itself costs is said below them."""
    shown = [one for one in report.latencies if one.model]
    null = next((one for one in report.latencies if one.model is None), None)
    note = (
        "Median: of the medians of the rounds. p90: nine of ten calls are faster; it is an estimate "
        "from above that holds with 99 % confidence."
    )
    if null is not None:
        note += f" Measuring itself costs {milliseconds(null.median_ms)}, which is in every time."
    return Table(
        "Latency of one frame",
        ["system", "median", "p90", "calls", "engine"],
        [_speed(one) for one in shown],
        note,
    )


def _speed(one: Latency) -> list[str]:
    median_ms, calls = milliseconds(one.median_ms), str(one.timing.calls)
    return [one.name, median_ms, percentile(one), calls, engine_facts(one)]


def speedups(report: Report) -> Table:
    """Lay out how many times as fast each bundle is as the baselines."""
    return Table(
        "Against the baselines",
        ["bundle", "times as fast", "as", "95 % interval"],
        [[one.system, times(one.ratio), one.baseline, _interval(one)] for one in report.speedups],
        "Each bundle in its fastest backend. The interval is exact, and paired by round.",
    )


def models(report: Report) -> Table:
    """Lay out what each model weighs."""
    rows = [
        [
            model.name,
            megabytes(model.weights_bytes),
            megabytes(model.size_bytes),
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
    """Yield the tables of scenarios, energy and starts that have rows."""
    every = (*_scenes(report), _energy(report), _starts(report))
    yield from (one.filled for one in every if one.rows)


def _interval(speedup: Speedup) -> str:
    if speedup.low is None or speedup.high is None:
        return f"no interval from {speedup.rounds} rounds"
    return f"{speedup.low:.3g} to {speedup.high:.3g}"


def _quality(report: Report, model: Model, measure: str) -> str:
    """Write the mean of one measure over all photos; a dash where there is none."""
    value = mean_of(report.qualities, model.name, measure)
    if value is None:
        equal = [one.identical for one in report.qualities if one.model == model.name]
        return "equal" if measure == "psnr_db" and equal and all(equal) else NONE
    return f"{value:.1f}" if measure == "psnr_db" else f"{value:.3f}"


def _scenes(report: Report) -> Iterator[Table]:
    """Yield a table for each thing that is measured: two of them never share a column."""
    quantiles = "All but the median are estimates from above that hold with 99 % confidence. "
    service = f"From begun to done. A stall makes one frame late. {quantiles}"
    response = "From when a frame was due to done. A stall makes all late that wait behind it. "
    response += f"{quantiles}{_arrivals(report)}"
    parts: tuple[tuple[Measures, str, str], ...] = (
        ("service time", "Service time: one frame after the other", service),
        ("response time", "Response time: frames that wait for nobody", response),
        ("throughput", "Throughput: all frames at once", ""),
    )
    heads = ["system", "scenario", "p50", "p90", "p99", "missed", "a second", "p90 shown"]
    heads += ["dropped", "jitter", "samples", "counts"]
    for measures, title, note in parts:
        own = [one for one in report.scenes if one.outcome.measures == measures]
        why = "Why a run does not count stands above." if any(one.doubts for one in own) else ""
        yield Table(title, heads, [_scene(one) for one in own], f"{note}{why}")


def _arrivals(report: Report) -> str:
    """Declare when a camera's frame is dropped and when it is missed, and a server's rate."""
    told = []
    for scene in report.scenes:
        one = scene.outcome.setting
        if isinstance(one, FixedRate):
            full = f"at most {one.queue} may wait, the {one.drop} is dropped: it is missed too, and never done in the quantiles. "
            told.append(
                f"At {one.fps:g} fps a frame is missed that is not done after "
                f"{one.deadline_ms:.3g} ms; {'all wait. ' if one.drop == 'none' else full}"
                "Jitter is the interquartile range of the times between frames shown. "
            )
        if isinstance(one, Server):
            told.append(
                "A server's requests are due at random, so their rate is not quite as asked. "
            )
    return "".join(dict.fromkeys(told))


def _scene(scene: Scene) -> list[str]:
    found = scene.outcome
    video = found.video
    tails = [quantile(found.at(share)) for share in (0.5, 0.9, 0.99)] if found.latency else []
    age = dropped = missed = jitter = NONE
    if video is not None:
        ages = next(one for one in video.age if one.share == 0.9)
        age = quantile(ages) if video.dropped else NONE
        jitter = NONE if video.jitter_ms is None else milliseconds(video.jitter_ms)
        dropped, missed = f"{video.drop_share:.1%}", f"{video.miss_share:.1%}"
    return [
        scene.system,
        words(found.setting),
        *(tails or [NONE] * 3),
        missed,
        NONE if found.throughput_hz is None else f"{found.throughput_hz:.1f}{_due(found)}",
        *(age, dropped, jitter),
        str(len(found.samples.done)) + (f" of {video.offered}" if video else ""),
        "no" if scene.doubts else "yes",
    ]


def _due(found: Outcome) -> str:
    """Write how many were due a second, where that is drawn at random."""
    due = found.samples.scheduled
    if not isinstance(found.setting, Server) or not due or not max(due):
        return ""
    return f" of {1e9 * len(due) / max(due):.1f}"


def _energy(report: Report) -> Table:
    rows = [
        _joules(scene, energy)
        for scene in report.scenes
        for energy in scene.energies
        if energy.gross_j is not None
    ]
    heads = ["system", "scenario", "a frame", "net of idle", "mean", "idle", "source", "window"]
    return Table(
        "Energy",
        [*heads, "counts"],
        rows,
        "Of the rails that a sensor on board sees; it is no wall meter. Net is without what the "
        "machine drew idle, in the quieter of the two rests before and after.",
    )


def _joules(scene: Scene, energy: Energy) -> list[str]:
    watts = [NONE if one is None else f"{one:.2f} W" for one in (energy.mean_w, energy.idle_w)]
    watts[1] += f" {energy.idle_when}" if energy.idle_when else ""
    return [
        scene.system,
        words(scene.outcome.setting),
        *(NONE if one is None else _millijoules(one) for one in energy.per_frame()),
        *watts,
        f"{energy.source} ({', '.join(energy.rails)})",
        f"{energy.window_s:.1f} s",
        "no" if scene.doubts else "yes",
    ]


def _millijoules(joules: float) -> str:
    """Write an energy; what is below a microjoule is rounding."""
    return f"{1e3 * joules:.3g} mJ" if abs(joules) >= 1e-6 else "0 mJ"


def _starts(report: Report) -> Table:
    own = report.footprints
    drops = all(one.start.dropped for one in own)
    absent = {what: why for one in own for what, why in one.memory.missing.items()}
    if report.machine.board is None:
        absent.pop("unified", None)  # no one expects it
    heads = ["system", "cold start", "warm start", "memory, steady", "memory, load", "GPU"]
    return Table(
        "Start and memory, in a process of its own",
        [*heads, "with children", "warm opening", "compiled"],
        [_footprint(one) for one in own],
        "A start is from nothing to the first frame done, Python and the backend's import included; "
        "a warm one finds what the cold one compiled. "
        + ("" if drops else "This system could not be asked to forget the bundle's files. ")
        + "Memory is the highest resident, until the first frame and after it. "
        + (f"Not measured: {reasons(absent)}. " if absent else "")
        + _disturbed((one.system, one.validity) for one in own),
    )


def _footprint(one: Footprint) -> list[str]:
    start, memory = one.start, one.memory
    warm = [begin.engine_ms for begin in start.begins if begin.temperature == "warm"]
    gpu = NONE if memory.gpu_bytes is None else megabytes(memory.gpu_bytes)
    if memory.gpu_bytes is None and memory.unified_bytes is not None:
        gpu = f"{megabytes(memory.unified_bytes)}, shared"
    steady, load, tree = (
        NONE if size is None else megabytes(size)
        for size in (memory.steady_main_bytes, memory.load_main_bytes, memory.steady_tree_bytes)
    )
    return [
        one.system,
        milliseconds(start.median_ms("cold")),
        milliseconds(start.median_ms("warm")),
        *(steady, load, gpu, tree),
        milliseconds(median(warm)) if warm else NONE,
        megabytes(start.cache_bytes) if start.cache_bytes else NONE,
    ]


def _disturbed(ran: Iterable[tuple[str, Validity | None]]) -> str:
    """Tell what does not count, and why."""
    told = [f"{name}: {'; '.join(one.reasons)}" for name, one in ran if one and one.reasons]
    return f"Does not count: {'. '.join(dict.fromkeys(told))}." if told else ""
