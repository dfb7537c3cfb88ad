"""What was lost of the pictures, as tables: one source for the page and for Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stylepress.benchmarks.drift.result import Check, Drift, FrechetDrift, Interval
from stylepress.benchmarks.report import Consistency, Report
from stylepress.benchmarks.sections import NONE, Section

TITLES: Mapping[str, str] = {
    "direct": "direct P",
    "drift": "drift D",
    "kernel": "KID",
    "patches": "patch distance",
    "psnr_db": "PSNR, dB",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "lpips": "LPIPS",
    "levels": "difference, levels",
    "content_drift": "content distance, change",
}
KINDS: Mapping[str, str] = {
    "jpeg": "like JPEG",
    "blur": "blur, px",
    "noise": "noise",
    "colour": "tint",
    "bits": "bits",
}
FEW_DIGITS = 3


def lost(report: Report) -> Iterator[Section]:
    """Yield the tables of every study of drift, and that of motion."""
    for drift in report.drifts:
        yield verdict(drift)
        yield figures(drift)
    moved = motion(report)
    if moved.rows:
        yield moved


def title(drift: Drift) -> str:
    """Name a study and its verdict."""
    return f"What was lost, {drift.compressed} against {drift.original}: {drift.verdict}"


def verdict(drift: Drift) -> Section:
    """Lay out every check, with the verdict over all of them."""
    return Section(
        title(drift),
        ["figure", "verdict", "value", "limit", "95 % interval", ""],
        [_check(one) for one in drift.checks],
        _pictures(drift),
    )


def figures(drift: Drift) -> Section:
    """Lay out every figure beside the damages that would be as bad."""
    like = drift.like()
    kinds = drift.ladder.kinds if drift.ladder else ()
    rows = []
    for name, cells in _figures(drift):
        damages = like.get(name, {})
        rows.append([TITLES[name], *cells, *(damages.get(kind, NONE) for kind in kinds)])
    heads = ["figure", "value", "95 % interval", "benign", "worst picture"]
    return Section(
        f"How much that is: {drift.compressed}",
        [*heads, *(KINDS[kind] for kind in kinds)],
        rows,
        _meanings(drift),
    )


def rungs(drift: Drift) -> Section:
    """Lay out the whole ladder: what each figure would be for each damage."""
    ladder = drift.ladder
    metrics = ladder.metrics if ladder else ()
    return Section(
        "The ladder of damages",
        ["damage", "", *(TITLES[name] for name in metrics)],
        [
            [
                KINDS[rung.kind].removeprefix("like "),
                f"{rung.strength:g}",
                *(_number(rung.values[name]) for name in metrics),
            ]
            for rung in (ladder.rungs if ladder else ())
        ],
    )


def motion(report: Report) -> Section:
    """Lay out how steadily each model draws, and against which other."""
    return Section(
        "In motion",
        ["model", "E_warp", "noise gain", "against", "flicker", "tOF", "tLP"],
        [_motion(one) for one in report.consistencies if one.noise_gain is not None],
        "E_warp: mean squared change along the known motion of a camera"
        + (
            f"; the photo itself has {report.consistencies[0].input_warp_error:.2e}. "
            if report.consistencies
            else ". "
        )
        + "Noise gain: how many times a camera's noise on a still scene comes out. Flicker: how much "
        "more or less each pixel changes from frame to frame, in levels. tOF, tLP: the same of the "
        "estimated flow, in pixels, and of LPIPS, times 100.",
    )


def _check(one: Check) -> list[str]:
    value = NONE if one.value is None else _number(one.value)
    sign = {"within": "±", "at least": "≥ ", "at most": "≤ "}[one.bound]
    limit = NONE if one.limit is None else f"{sign}{_number(one.limit)}"
    measure, _, part = one.name.partition(" ")
    name = f"{TITLES[measure]}, {part}" if part in ("mean", "worst", "p95") else one.name
    return [name, one.verdict, value, limit, _bounds(one.low, one.high), one.why]


def _figures(drift: Drift) -> Iterator[tuple[str, list[str]]]:
    """Yield each figure's name, and its value, interval, benign control and worst picture."""
    frechet = drift.frechet
    benign = _number(frechet.benign)
    yield "direct", [*_interval(frechet.direct), benign, NONE]
    if frechet.drift is not None:
        moved = NONE if frechet.benign_drift is None else _number(frechet.benign_drift)
        yield "drift", [*_interval(frechet.drift), moved, NONE]
    else:
        yield "drift", [f"none: {_no_drift(frechet)}", NONE, NONE, NONE]
    kernel = drift.kernel
    yield "kernel", [_number(kernel.value), f"sd {_number(kernel.deviation)}", NONE, NONE]
    yield "patches", [_number(drift.patches), NONE, _number(drift.benign_patches), NONE]
    for one in drift.paired:
        worst = one.worst[0]
        told = f"{_number(worst.value)}, {drift.names[worst.picture]}"
        mean = Interval(value=one.mean, low=one.low, high=one.high)
        yield one.measure, [*_interval(mean), NONE, told]


def _no_drift(frechet: FrechetDrift) -> str:
    if frechet.drift_policy is None:
        return "no --references"
    return (
        f"{min(frechet.n, frechet.n_reference)} squares of {frechet.extractor.dimension} dimensions"
    )


def _pictures(drift: Drift) -> str:
    frechet = drift.frechet
    text = f"Distances between sets are over {drift.sample}, paired figures over whole pictures."
    if drift.square is None:
        return text
    text += " Squares of a picture are alike and count for less than as many pictures would"
    if frechet.resampling == "none":
        return f"{text}; these are too few for an interval."
    return f"{text}, so intervals come from leaving out pictures ({frechet.resampling})."


def _meanings(drift: Drift) -> str:
    frechet, ladder = drift.frechet, drift.ladder
    text = (
        f"P: {frechet.extractor.title}, between what both models made of the same pictures. D: by "
        "how much farther from references the compressed model's are; below zero is nearer, which "
        f"is a change too. Benign: the original's own pictures through {frechet.benign_change}. "
        f"Two halves of the original's pictures are {_number(frechet.floor)} apart. "
        f"Policy: {frechet.policy}. "
    )
    if ladder is not None:
        text += (
            "The last columns say between which strengths of a known damage each value lies: JPEG "
            "quality, blur in pixels, noise and tint in levels, bits a channel; taken on "
            f"{ladder.count} squares of {_many(ladder.pictures)} of the original. "
        )
    missing = "; ".join(f"{one.what}: {one.why}" for one in drift.skipped)
    return text + (f"Not measured: {missing}." if missing else "")


def _motion(one: Consistency) -> list[str]:
    return [
        one.model,
        f"{one.warp_error:.2e}",
        NONE if one.noise_gain is None else f"{one.noise_gain:.2f}",
        one.reference or NONE,
        *(NONE if value is None else _number(value) for value in (one.flicker, one.tof, one.tlp)),
    ]


def _interval(one: Interval) -> tuple[str, str]:
    return _number(one.value), _bounds(one.low, one.high)


def _bounds(low: float | None, high: float | None) -> str:
    return NONE if low is None or high is None else f"{_number(low)} to {_number(high)}"


def _many(pictures: int) -> str:
    return "1 picture" if pictures == 1 else f"{pictures} pictures"


def _number(value: float) -> str:
    """Write a figure.

    >>> _number(37.42), _number(0.000123), _number(0)
    ('37.4', '0.000123', '0')
    """
    return f"{value:.{FEW_DIGITS}g}"
