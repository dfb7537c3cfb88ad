"""What a report holds, as tables: one source for the page and for Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from stylepress.benchmarks.machine.energy import Energy
from stylepress.benchmarks.machine.watch import Validity
from stylepress.benchmarks.report import Model, Report, Speedup, mean_of
from stylepress.benchmarks.timing.footprint import CONVENTION, Footprint
from stylepress.benchmarks.timing.outcome import FixedRate, Measures, Outcome, Server
from stylepress.benchmarks.timing.scene import Scene, words
from stylepress.benchmarks.timing.split import STAGES
from stylepress.benchmarks.wording import megabytes, milliseconds, quantile, reasons, times

NONE = "-"
MEASURES: Mapping[str, str] = {
    "style_distance": "style distance",
    "content_distance": "content distance",
    "grid_energy": "grid energy",
    "psnr_db": "PSNR dB",
    "ssim": "SSIM",
}


@dataclass(frozen=True, slots=True)
class Section:
    """A table with its title, and a note that tells what its figures mean and what is missing.

    ``lead`` stands before the table: what one must know to read it.
    """

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    lead: str = ""


def sections(report: Report) -> Iterator[Section]:
    """Yield the tables that a report has rows for."""
    every = (
        *(_speedups(report), _models(report), *_scenes(report), *_energy(report)),
        *(*_starts(report), *_split(report), _qualities(report)),
    )
    yield from (_filled(one) for one in every if one.rows)


def _speedups(report: Report) -> Section:
    return Section(
        "Against the baselines",
        ["bundle", "baseline", "times as fast", "95 % interval"],
        [[one.system, one.baseline, times(one.ratio), _interval(one)] for one in report.speedups],
        "Each bundle in its fastest backend. The interval is exact, and paired by round.",
    )


def _interval(speedup: Speedup) -> str:
    if speedup.low is None or speedup.high is None:
        return f"no interval from {speedup.rounds} rounds"
    return f"{speedup.low:.3g} to {speedup.high:.3g}"


def _models(report: Report) -> Section:
    rows = [
        [
            model.name,
            model.family,
            NONE if model.parameters is None else f"{model.parameters / 1e6:.3f} M",
            NONE if model.macs is None else f"{model.macs / 1e9:.2f} G",
            megabytes(model.weights_bytes),
            megabytes(model.size_bytes),
            model.digest[:12],
        ]
        for model in report.models
    ]
    heads = ["model", "family", "parameters", "MACs a frame", "weights", "all files", "digest"]
    return Section("Models", heads, rows, CONVENTION)


def _qualities(report: Report) -> Section:
    steady = {one.model: one.warp_error for one in report.consistencies}
    rows = []
    for model in report.models:
        own = [one for one in report.qualities if one.model == model.name]
        if own:
            values = [_quality(report, model, measure) for measure in MEASURES]
            error = f"{steady[model.name]:.2e}" if model.name in steady else NONE
            rows.append([model.name, *values, error, own[0].reference or NONE])
    return Section(
        f"Quality, mean of {len(report.scenario.photos)} photos",
        ["model", *MEASURES.values(), "E_warp", "against"],
        rows,
        " ".join(_quality_notes(report)),
    )


def _quality_notes(report: Report) -> Iterator[str]:
    qualities, steady = report.qualities, report.consistencies
    if any(one.style_distance is not None for one in qualities):
        yield "Style: patch sliced-Wasserstein distance to the style picture."
    else:
        yield "No style picture was given (`--style`), so there is no distance to it."
    yield (
        "Content: difference of locally normalised luminance to the photo. "
        "Grid: 1 is a photo, more is a pattern of 4 pixels."
    )
    if any(one.reference for one in qualities):
        yield "PSNR and SSIM against the model in the last column."
    else:
        yield "No original was given (`--student`, `--teacher`), so there is no PSNR, no SSIM."
    if steady:
        yield (
            "E_warp: change along the known motion of a camera, lower is steadier. "
            f"The photo itself has {steady[0].input_warp_error:.2e}."
        )


def _quality(report: Report, model: Model, measure: str) -> str:
    """Write the mean of one measure over all photos; a dash where there is none."""
    value = mean_of(report.qualities, model.name, measure)
    if value is None:
        equal = [one.identical for one in report.qualities if one.model == model.name]
        return "equal" if measure == "psnr_db" and equal and all(equal) else NONE
    return f"{value:.1f}" if measure == "psnr_db" else f"{value:.3f}"


def _scenes(report: Report) -> Iterator[Section]:
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
    heads = ["system", "scenario", "p50", "p90", "p99", "p90 shown", "a second"]
    heads += ["dropped", "missed", "jitter"]
    for measures, title, note in parts:
        own = [one for one in report.scenes if one.outcome.measures == measures]
        why = "Why a run does not count stands above." if any(one.doubts for one in own) else ""
        yield Section(
            title, [*heads, "samples", "counts"], [_scene(one) for one in own], f"{note}{why}"
        )


def _arrivals(report: Report) -> str:
    """Declare when a camera's frame is dropped and when it is missed, and a server's rate."""
    told = [
        f"At {one.fps:g} fps a frame is missed that is not done after {one.deadline_ms:.3g} ms; "
        + (
            "all wait. "
            if one.drop == "none"
            else f"at most {one.queue} may wait, the {one.drop} is dropped: "
            "it is missed too, and never done in the quantiles. "
        )
        + "Jitter is the interquartile range of the times between frames shown. "
        for scene in report.scenes
        if isinstance(one := scene.outcome.setting, FixedRate)
    ]
    if any(isinstance(scene.outcome.setting, Server) for scene in report.scenes):
        told.append("A server's requests are due at random, so their rate is not quite as asked. ")
    return "".join(dict.fromkeys(told))


def _scene(scene: Scene) -> list[str]:
    found = scene.outcome
    video = found.video
    tails = [quantile(found.at(share)) for share in (0.5, 0.9, 0.99)] if found.latency else []
    age = dropped = missed = jitter = NONE
    if video is not None:
        age = (
            quantile(next(one for one in video.age if one.share == 0.9)) if video.dropped else NONE
        )
        jitter = NONE if video.jitter_ms is None else milliseconds(video.jitter_ms)
        dropped, missed = f"{video.drop_share:.1%}", f"{video.miss_share:.1%}"
    return [
        scene.system,
        words(found.setting),
        *(tails or [NONE] * 3),
        age,
        f"{found.throughput_hz:.1f}{_due(found)}",
        *(dropped, missed, jitter),
        str(len(found.samples.done)) + (f" of {video.offered}" if video else ""),
        _counts(scene),
    ]


def _due(found: Outcome) -> str:
    """Write how many were due a second, where that is drawn at random."""
    due = found.samples.scheduled
    if not isinstance(found.setting, Server) or not due or not max(due):
        return ""
    return f" of {1e9 * len(due) / max(due):.1f}"


def _counts(scene: Scene) -> str:
    return "no" if scene.doubts else "yes"


def _energy(report: Report) -> Iterator[Section]:
    known = [
        (scene, energy)
        for scene in report.scenes
        for energy in scene.energies
        if energy.gross_j is not None
    ]
    rows = [_joules(scene, energy) for scene, energy in known]
    yield Section(
        "Energy",
        [
            *("system", "scenario", "source", "a frame", "net of idle", "mean", "idle"),
            *("window", "counts"),
        ],
        rows,
        "Of the rails that a sensor on board sees; it is no wall meter. Net is without what the "
        "machine drew idle, in the quieter of the two rests before and after.",
    )


def _joules(scene: Scene, energy: Energy) -> list[str]:
    gross, net = energy.per_frame()
    watts = [NONE if one is None else f"{one:.2f} W" for one in (energy.mean_w, energy.idle_w)]
    watts[1] += f" {energy.idle_when}" if energy.idle_when else ""
    return [
        scene.system,
        words(scene.outcome.setting),
        f"{energy.source} ({', '.join(energy.rails)})",
        *(NONE if one is None else _millijoules(one) for one in (gross, net)),
        *watts,
        f"{energy.window_s:.1f} s",
        _counts(scene),
    ]


def _millijoules(joules: float) -> str:
    """Write an energy; what is below a microjoule is rounding."""
    return f"{1e3 * joules:.3g} mJ" if abs(joules) >= 1e-6 else "0 mJ"


def _starts(report: Report) -> Iterator[Section]:
    own = report.footprints
    drops = all(one.start.dropped for one in own)
    absent = {what: why for one in own for what, why in one.memory.missing.items()}
    if report.machine.board is None:
        absent.pop("unified", None)  # no one expects it
    yield Section(
        "Start and memory, in a process of its own",
        [
            *("system", "cold start", "warm start", "warm opening", "compiled"),
            *("memory, load", "steady", "with children", "GPU"),
        ],
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
    shared = memory.unified_bytes if memory.gpu_bytes is None else None
    gpu = NONE if memory.gpu_bytes is None else megabytes(memory.gpu_bytes)
    own = (memory.load_main_bytes, memory.steady_main_bytes, memory.steady_tree_bytes)
    return [
        one.system,
        milliseconds(start.median_ms("cold")),
        milliseconds(start.median_ms("warm")),
        milliseconds(median(warm)) if warm else NONE,
        megabytes(start.cache_bytes) if start.cache_bytes else NONE,
        *(NONE if one is None else megabytes(one) for one in own),
        gpu if shared is None else f"{megabytes(shared)}, shared",
    ]


def _disturbed(ran: Iterable[tuple[str, Validity | None]]) -> str:
    """Tell what does not count, and why."""
    told = [f"{name}: {'; '.join(one.reasons)}" for name, one in ran if one and one.reasons]
    return f"Does not count: {'. '.join(dict.fromkeys(told))}." if told else ""


def _split(report: Report) -> Iterator[Section]:
    rows = []
    for one in report.splits:
        stages = {stage.name: stage for stage in one.split.stages}
        cells = [
            f"{milliseconds(stages[name].median_ms)}, {stages[name].share:.0%}"
            if name in stages
            else NONE
            for name in STAGES
        ]
        rows.append([one.system, *cells, milliseconds(one.split.end_to_end_ms)])
    yield Section(
        "End to end: from a film to a film",
        ["system", *STAGES, "end to end"],
        rows,
        "One frame after the other in one thread; `stylepress run` works on stages at the same "
        "time. " + _disturbed((one.system, one.split.validity) for one in report.splits),
    )


def _filled(section: Section) -> Section:
    """Leave out the columns in which no row has anything."""
    kept = [n for n in range(len(section.heads)) if any(row[n] != NONE for row in section.rows)]
    return replace(
        section,
        heads=[section.heads[n] for n in kept],
        rows=[[row[n] for n in kept] for row in section.rows],
        note=section.note.strip(),
    )
