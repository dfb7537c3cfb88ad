"""What compression lost of the pictures, and how pictures move, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from stylepress.benchmarks.check import Check, signed
from stylepress.benchmarks.quality.result import (
    AIMED,
    TITLES,
    Drift,
    FrechetDrift,
    Interval,
    Ladder,
    Policy,
)
from stylepress.benchmarks.report import Consistency, Report
from stylepress.benchmarks.show.tables import Table
from stylepress.benchmarks.show.words import NEAR, NONE

KINDS: Mapping[str, str] = {
    "jpeg": "like JPEG",
    "blur": "like blur",
    "noise": "like noise",
    "colour": "like tint",
    "bits": "like bits",
}
RUNGS: Mapping[str, str] = {
    "jpeg": "JPEG, quality {}",
    "blur": "blur, {} px",
    "noise": "noise of {} levels",
    "colour": "tint of {} levels",
    "bits": "{} bits a channel",
}
"""How a damage of some strength is written."""
FEW: Mapping[Policy, str] = {
    "paired only": (
        "{n} {what} are fewer than the {d} dimensions of a feature: the distances between sets "
        "(P, D) mean nothing here, give more photos. "
    ),
    "biased": (
        "{n} {what} are few for features of {d} dimensions: the distances between sets (P, D) "
        "come out too large. "
    ),
    "printed": (
        "{n} {what} are enough to tell the distances between sets (P, D), and too few to judge "
        "them. "
    ),
    "gated": "",
}
SEES = (
    "A value that is like JPEG 95 to 85 is as bad as JPEG between these qualities. Rows may "
    "disagree, for each sees something else: P, D and kernel distance which colours, edges and "
    "textures the whole set has, not where in a picture; patch distance the pixels of small "
    "patches, a tint first of all; PSNR and difference each pixel, so that a stroke that moved "
    "costs as much as one that broke; SSIM and MS-SSIM local structure, hardly a tint; the casts "
    "nothing but the mean colour."
)
UNJUDGED = "a student draws otherwise than its teacher; give the student in float with `--student`"
MOTION = (
    "E_warp: mean squared change along the motion of the clip, where two frames show the same; "
    "put in: that of the frames themselves. Noise gain: how many times a camera's noise on a "
    "still scene comes out. Flicker: how much more or less each pixel changes from frame to "
    "frame, in levels. tOF, tLP: the same of the estimated flow, in pixels, and of LPIPS, "
    "times 100. Camera: moves over the first photo along a way that is exactly known."
)


def verdict_word(drift: Drift) -> str:
    """Write the verdict on a study."""
    return signed(drift.verdict) if drift.verdict else "not judged"


def verdict(drift: Drift) -> Table:
    """Lay out every check, with the verdict over all of them."""
    rows = [check_row(one) for one in drift.checks]
    return Table(
        f"What compression lost, {drift.compressed} against {drift.original}: "
        f"{verdict_word(drift)}",
        ["figure", "verdict", "value", "limit", "95 % interval", "remark"],
        rows or [["all", "not judged", NONE, NONE, NONE, UNJUDGED]],
        _pictures(drift),
        "PASS: surely within the limit; FAIL: surely beyond; INCONCLUSIVE: the measurement cannot "
        "tell. One FAIL fails the whole.",
    )


def figures(drift: Drift) -> Table:
    """Lay out every figure beside the damages that would be as bad, of those it is made to see."""
    like, kinds = drift.like(), drift.ladder.kinds if drift.ladder else ()
    rows = []
    for name, cells in _figures(drift):
        damages = like.get(name, {})
        seen = AIMED.get(name, kinds)
        rows.append(
            [TITLES[name], *cells, *(damages.get(k, NONE) if k in seen else NONE for k in kinds)]
        )
    heads = ["figure", "value", "95 % interval", "benign", "worst picture"]
    return Table(
        f"How much that is: {drift.compressed} beside known damages",
        [*heads, *(KINDS[kind] for kind in kinds)],
        rows,
        _meanings(drift),
        SEES if kinds else "",
    )


def rungs(drift: Drift, ladder: Ladder) -> Table:
    """Lay out the whole ladder: what each figure would be for each damage, and which is nearest."""
    metrics, own = ladder.metrics, dict(drift.figures())
    rows = [[drift.compressed, *(_number(own[m]) if m in own else NONE for m in metrics)]]
    for kind in ladder.kinds:
        climbs = {name: ladder.climb(name, kind) for name in metrics}
        near = {name: nearest(climbs[name], own[name]) for name in metrics if name in own}
        strengths = [rung.strength for rung in ladder.rungs if rung.kind == kind]
        for number, strength in enumerate(strengths):
            title = RUNGS[kind].format(f"{strength:g}").replace(" 1 levels", " 1 level")
            cells = [
                f"{NEAR if near.get(name) == number else ''}{_number(climbs[name][number])}"
                for name in metrics
            ]
            rows.append([title, *cells])
    return Table(
        f"The ladder of damages for {drift.compressed}",
        ["damage", *(TITLES[name] for name in metrics)],
        rows,
        lead=(
            f"The first row is {drift.compressed} itself. {NEAR.strip()} marks, in each column and "
            "for each kind of damage, the rung whose value is nearest to that; where none is "
            "marked, it lies below the faintest or beyond the strongest."
        ),
    )


def nearest(climb: Sequence[float], value: float) -> int | None:
    """Return which rung's value is nearest to another, None for one off the ladder.

    >>> nearest([1, 2, 4], 2.8), nearest([50, 40, 20], 25), nearest([1, 2, 4], 5)
    (1, 2, None)
    """
    if not min(climb) <= value <= max(climb):
        return None
    return min(range(len(climb)), key=lambda number: abs(climb[number] - value))


def motion(report: Report) -> Table:
    """Lay out how steadily each model draws, and against which other."""
    clips = {one.clip: one for one in report.clips}
    heads = ["model", "clip", "E_warp", "put in", "against", "flicker", "noise gain", "tOF", "tLP"]
    rows = [_motion(one) for one in (*report.consistencies, *report.clips)]
    return Table("In motion", heads, rows, " ".join([MOTION, *map(_clip, clips.values())])).filled


def check_row(one: Check) -> list[str]:
    """Write one check: figure, verdict, value, limit, interval, remark."""
    return [
        one.metric,
        signed(one.verdict) if one.verdict else "not judged",
        NONE if one.new is None else f"{_number(one.new)} {one.unit}".strip(),
        one.limit_text or NONE,
        one.interval or NONE,
        one.note,
    ]


def _figures(drift: Drift) -> Iterator[tuple[str, list[str]]]:
    """Yield each figure's name, and its value, interval, benign control and worst picture."""
    frechet = drift.frechet
    yield "direct", [*_interval(frechet.direct), _number(frechet.benign), NONE]
    if frechet.drift is not None:
        moved = NONE if frechet.benign_drift is None else _number(frechet.benign_drift)
        yield "drift", [*_interval(frechet.drift), moved, NONE]
    else:
        yield "drift", [f"none: {_no_drift(frechet)}", NONE, NONE, NONE]
    kernel = drift.kernel
    yield "kernel", [_number(kernel.value), f"sd {_number(kernel.deviation)}", NONE, NONE]
    yield "patches", [_number(drift.patches), NONE, _number(drift.benign_patches), NONE]
    if drift.score is not None:
        own, new = (_number(one) for one in (drift.score.original, drift.score.compressed))
        yield "score", [f"{new}, the original {own}", NONE, NONE, NONE]
    for one in drift.paired:
        worst = one.worst[0]
        mean = Interval(value=one.mean, low=one.low, high=one.high)
        place = f"{_number(worst.value)}, {drift.names[worst.picture]}"
        yield one.measure, [*_interval(mean), NONE, place]


def _no_drift(frechet: FrechetDrift) -> str:
    if frechet.drift_policy is None:
        return "no --references"
    count = min(frechet.n, frechet.n_reference)
    return f"{count} squares of {frechet.extractor.dimension} dimensions"


def _pictures(drift: Drift) -> str:
    text = f"Distances between sets are over {drift.sample}, paired figures over whole pictures."
    if drift.square is None:
        return text
    text += " Squares of a picture are alike and count for less than as many pictures would"
    how = drift.frechet.resampling
    if how == "none":
        return f"{text}; these are too few for an interval."
    return f"{text}, so intervals come from leaving out pictures ({how})."


def _meanings(drift: Drift) -> str:
    frechet, ladder = drift.frechet, drift.ladder
    what = "pictures" if drift.square is None else "squares"
    few = FEW[frechet.policy].format(n=frechet.n, what=what, d=frechet.extractor.dimension)
    text = (
        f"P: {frechet.extractor.title}, between what both models made of the same pictures. D: by "
        "how much farther from references the compressed model's are; below zero is nearer, which "
        f"is a change too. Benign: the original's own pictures through {frechet.benign_change}. "
        f"For scale: two halves of the original's own pictures are {_number(frechet.floor)} "
        f"apart. {few}"
    )
    if ladder is not None:
        pictures = "1 picture" if ladder.pictures == 1 else f"{ladder.pictures} pictures"
        text += (
            "Damages: JPEG quality, blur in pixels, noise and tint in levels, bits a channel; on "
            f"{ladder.count} squares of {pictures} of the original. "
        )
    missing = "; ".join(f"{one.what}: {one.why}" for one in drift.skipped)
    return text + (f"Not measured: {missing}." if missing else "")


def _motion(one: Consistency) -> list[str]:
    flicker, tof, tlp = (
        NONE if value is None else _number(value) for value in (one.flicker, one.tof, one.tlp)
    )
    return [
        one.model,
        "camera" if one.clip is None else one.clip.name,
        f"{one.warp_error:.2e}",
        f"{one.input_warp_error:.2e}",
        one.reference or NONE,
        flicker,
        NONE if one.noise_gain is None else f"{one.noise_gain:.2f}",
        *(tof, tlp),
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
    low, high = one.low, one.high
    bounds = NONE if low is None or high is None else f"{_number(low)} to {_number(high)}"
    return _number(one.value), bounds


def _number(value: float) -> str:
    """Write a figure with three digits.

    >>> _number(37.42), _number(0.000123), _number(0)
    ('37.4', '0.000123', '0')
    """
    return f"{value:.3g}"
