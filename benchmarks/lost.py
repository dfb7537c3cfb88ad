"""What was lost of the pictures, as tables: one source for the page and for Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stylepress.benchmarks.drift.result import Check, Drift, FrechetDrift, Interval, Policy
from stylepress.benchmarks.drift.titles import TITLES, check_title
from stylepress.benchmarks.report import Consistency, Report
from stylepress.benchmarks.sections import NONE, Section

KINDS: Mapping[str, str] = {
    "jpeg": "like JPEG",
    "blur": "blur, px",
    "noise": "noise",
    "colour": "tint",
    "bits": "bits",
}
FEW: Mapping[Policy, str] = {
    "paired only": "These are fewer than dimensions: distances between sets mean nothing here. ",
    "biased": "These are few for so many dimensions: distances between sets come out too large. ",
    "printed": "These are enough to tell distances between sets, and too few to judge them. ",
    "gated": "",
}
UNJUDGED = (
    *("all", "not judged", NONE, NONE, NONE),
    "a student draws otherwise than its teacher; give the student in float with --student",
)
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
        [_check(one) for one in drift.checks] or [list(UNJUDGED)],
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
    camera = [one for one in report.consistencies if one.noise_gain is not None]
    clips = {one.clip: one for one in report.clips}
    note = (
        "E_warp: mean squared change along the motion of the clip, where two frames show the same; "
        "put in: that of the frames themselves. Noise gain: how many times a camera's noise on a "
        "still scene comes out. Flicker: how much more or less each pixel changes from frame to "
        "frame, in levels. tOF, tLP: the same of the estimated flow, in pixels, and of LPIPS, "
        "times 100. Camera: moves over the first photo along a way that is exactly known."
    )
    heads = ["model", "clip", "E_warp", "put in", "noise gain", "against", "flicker", "tOF", "tLP"]
    return Section(
        "In motion",
        heads,
        [_motion(one) for one in (*camera, *report.clips)],
        " ".join([note, *map(_clip, clips.values())]),
    )


def _check(one: Check) -> list[str]:
    value = NONE if one.value is None else _number(one.value)
    sign = {"within": "±", "at least": "≥ ", "at most": "≤ "}[one.bound]
    limit = NONE if one.limit is None else f"{sign}{_number(one.limit)}"
    return [check_title(one.name), one.verdict, value, limit, _bounds(one.low, one.high), one.why]


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
    if drift.score is not None:
        own, made = (_number(one) for one in (drift.score.original, drift.score.compressed))
        yield "score", [f"{made}, the original {own}", NONE, NONE, NONE]
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
        f"{FEW[frechet.policy]}"
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
        "camera" if one.clip is None else one.clip.name,
        f"{one.warp_error:.2e}",
        f"{one.input_warp_error:.2e}",
        NONE if one.noise_gain is None else f"{one.noise_gain:.2f}",
        one.reference or NONE,
        *(NONE if value is None else _number(value) for value in (one.flicker, one.tof, one.tlp)),
    ]


def _clip(one: Consistency) -> str:
    """Tell what is known of a clip's motion."""
    name = NONE if one.clip is None else one.clip.name
    seen = NONE if one.visible is None else f"{one.visible:.0%}"
    cuts = f", {one.cuts} of them after a cut" if one.cuts else ""
    return (
        f"{name}: {one.frames} frames{cuts}; flow estimated by {one.flow}; of each frame {seen} "
        "can be seen in the one before."
    )


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
