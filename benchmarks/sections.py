"""What a report holds beside latency and quality, as tables: for the page and for Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from stylepress.benchmarks.report import Report
from stylepress.benchmarks.resources.energy import Energy
from stylepress.benchmarks.resources.footprint import Footprint
from stylepress.benchmarks.scenarios.pipeline import STAGES
from stylepress.benchmarks.scenarios.quantile import Quantile
from stylepress.benchmarks.scenarios.scene import Scene, words

NONE = "-"


@dataclass(frozen=True, slots=True)
class Section:
    """A table with its title, and a note that tells what its figures mean and what is missing."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def sections(report: Report) -> Iterator[Section]:
    """Yield the tables that a report has rows for."""
    every = (*_scenes(report), *_energy(report), *_starts(report), *_split(report), *_roof(report))
    yield from (one for one in every if one.rows)


def milliseconds(value: float) -> str:
    """Write a latency with three digits.

    >>> milliseconds(5.6234), milliseconds(556.2), milliseconds(0.01234)
    ('5.62 ms', '556 ms', '0.0123 ms')
    """
    return f"{value:.3g} ms" if value < 1000 else f"{value:.0f} ms"


def megabytes(size: float) -> str:
    """Write a size.

    >>> megabytes(240_000), megabytes(6_700_000), megabytes(312_400_000)
    ('0.24 MB', '6.70 MB', '312 MB')
    """
    return f"{size / 1e6:.2f} MB" if size < 1e8 else f"{size / 1e6:.0f} MB"


def quantile(one: Quantile) -> str:
    """Write a quantile, or why there is none.

    >>> quantile(Quantile(share=0.9, value_ms=None, why="10 samples, it needs 64"))
    'none: 10 samples, it needs 64'
    """
    return f"none: {one.why}" if one.value_ms is None else milliseconds(one.value_ms)


def _scenes(report: Report) -> Iterator[Section]:
    yield Section(
        "Scenarios",
        [
            *("system", "scenario", "measures", "p50", "p90", "p99", "a second"),
            *("dropped", "missed", "samples", "counts"),
        ],
        [_scene(one) for one in report.scenes],
        "Service time is from begun to done. Response time is from when a sample was due, so a stall "
        "makes all late that wait behind it; a dropped frame is missed, and never done in the "
        "quantiles. All but the median are estimates from above that hold with 99 % confidence. Why "
        "a run does not count stands above.",
    )


def _scene(scene: Scene) -> list[str]:
    found = scene.outcome
    video = found.video
    tails = [quantile(found.at(share)) for share in (0.5, 0.9, 0.99)] if found.latency else []
    return [
        scene.system,
        words(found.setting),
        found.measures,
        *(tails or [NONE] * 3),
        f"{found.throughput_hz:.1f}",
        NONE if video is None else f"{len(video.dropped)} of {video.offered}",
        NONE if video is None else f"{video.missed} ({video.miss_share:.1%})",
        str(len(found.samples.done)),
        "no" if scene.doubts else "yes",
    ]


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
        ["system", "scenario", "source", "a frame", "net of idle", "mean", "idle", "window"],
        rows,
        "Of the rails that a sensor on board sees; it is no wall meter. Net is without what the "
        "machine drew idle, before and after.",
    )


def _joules(scene: Scene, energy: Energy) -> list[str]:
    gross, net = energy.per_frame()
    watts = [NONE if one is None else f"{one:.2f} W" for one in (energy.mean_w, energy.idle_w)]
    return [
        scene.system,
        words(scene.outcome.setting),
        f"{energy.source} ({', '.join(energy.rails)})",
        *(NONE if one is None else f"{1e3 * one:.3g} mJ" for one in (gross, net)),
        *watts,
        f"{energy.window_s:.1f} s",
    ]


def _starts(report: Report) -> Iterator[Section]:
    yield Section(
        "Start and memory, in a process of its own",
        [
            *("system", "cold start", "warm start", "of it engine", "compiled"),
            *("memory, load", "steady", "of its tree", "GPU"),
        ],
        [_footprint(one) for one in report.footprints],
        "A start is from nothing to the first frame done, Python and the backend's import included; "
        "a warm one finds what the cold one compiled. Memory is the highest resident, until the "
        "first frame and after it. "
        + _absent(item for one in report.footprints for item in one.memory.missing.items()),
    )


def _footprint(one: Footprint) -> list[str]:
    start, memory = one.start, one.memory
    warm = [begin.engine_ms for begin in start.begins if begin.temperature == "warm"]
    amounts = (
        *(memory.load_main_bytes, memory.steady_main_bytes, memory.steady_tree_bytes),
        memory.gpu_bytes,
    )
    return [
        one.system,
        milliseconds(start.median_ms("cold")),
        milliseconds(start.median_ms("warm")),
        milliseconds(min(warm)) if warm else NONE,
        megabytes(start.cache_bytes),
        *(NONE if amount is None else megabytes(amount) for amount in amounts),
    ]


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
        "From a film to a film",
        ["system", *STAGES, "end to end"],
        rows,
        "One frame after the other in one thread; `stylepress run` works on stages at the same time.",
    )


def _roof(report: Report) -> Iterator[Section]:
    def rate(value: float | None, unit: str) -> str:
        return NONE if value is None else f"{value / 1e9:.3g} G{unit}"

    yield Section(
        "Roof of this machine",
        ["backend", "FP32", "INT8", "copy"],
        [
            [
                roof.backend,
                rate(roof.rate("fp32"), "MAC/s"),
                rate(roof.rate("int8"), "MAC/s"),
                rate(roof.rate("copy"), "byte/s"),
            ]
            for roof in report.roofs
        ],
        "The highest rates reached by single layers through each backend, with the same settings.",
    )
    yield Section(
        "Share of the roof",
        ["system", "reached", "at", "of its backend's peak", "of the best peak"],
        [
            [
                one.system,
                rate(one.share.macs_s, "MAC/s"),
                one.share.precision.upper(),
                *(
                    NONE if part is None else f"{part:.0%}"
                    for part in (one.share.own, one.share.best)
                ),
            ]
            for one in report.roof_shares
        ],
    )


def _absent(reasons: Iterable[tuple[str, str | None]]) -> str:
    """Tell what is missing and why, each once."""
    told = dict.fromkeys(f"{name}: {why}" for name, why in reasons if why)
    return f"Not measured: {'; '.join(told)}." if told else ""
