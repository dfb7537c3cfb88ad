"""What was lost of the pictures, as tables: one source for the page and for Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from stylepress.benchmarks.drift.result import (
    Check,
    CheckVerdict,
    Drift,
    FrechetDrift,
    Interval,
    Policy,
)
from stylepress.benchmarks.drift.titles import TITLES, check_title
from stylepress.benchmarks.report import Consistency, Report
from stylepress.benchmarks.sections import NONE, Section
from stylepress.benchmarks.wording import NEAR, signed

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
VERDICTS = (
    "Each figure against its limit. ok: surely within it; regression: surely beyond; inconclusive: "
    "the measurement cannot tell; not judged: there is too little to measure with. One regression "
    "is a regression of the whole."
)
SEES = (
    "A value that is like JPEG 95 to 85 is as bad as JPEG between these qualities. Rows may "
    "disagree, for each sees something else: P, D and kernel distance which colours, edges and "
    "textures the whole set has, not where in a picture; patch distance the pixels of small "
    "patches, a tint first of all; PSNR and difference each pixel, so that a stroke that moved "
    "costs as much as one that broke; SSIM and MS-SSIM local structure, hardly a tint; the casts "
    "nothing but the mean colour."
)
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
    verdict = signed(drift.verdict)
    return f"What was lost, {drift.compressed} against {drift.original}: {verdict}"


def unkept(report: Report, verdict: CheckVerdict) -> Iterator[str]:
    """Yield every check of that verdict, in a sentence: what failed, or what is open."""
    for drift in report.drifts:
        for one in drift.checks:
            if one.verdict == verdict:
                name, _, value, limit, bounds, why = _check(one)
                facts = [f"limit {limit}", f"95 % interval {bounds}", why]
                told = ", ".join(fact for fact in facts if fact and not fact.endswith(f" {NONE}"))
                yield f"{drift.compressed} against {drift.original}, {name}: {value} ({told})"


def verdict(drift: Drift) -> Section:
    """Lay out every check, with the verdict over all of them."""
    return Section(
        title(drift),
        ["figure", "verdict", "value", "limit", "95 % interval", "remark"],
        [_check(one) for one in drift.checks] or [list(UNJUDGED)],
        _pictures(drift),
        VERDICTS,
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
        f"How much that is: {drift.compressed} beside known damages",
        [*heads, *(KINDS[kind] for kind in kinds)],
        rows,
        _meanings(drift),
        SEES if kinds else "",
    )


def rungs(drift: Drift) -> Section:
    """Lay out the whole ladder: what each figure would be for each damage, and which is nearest."""
    ladder = drift.ladder
    metrics = ladder.metrics if ladder else ()
    own = dict(drift.figures())
    rows = [[drift.compressed, *(_number(own[name]) if name in own else NONE for name in metrics)]]
    for kind in ladder.kinds if ladder else ():
        climbs = {name: ladder.climb(name, kind) for name in metrics} if ladder else {}
        near = {name: nearest(climbs[name], own[name]) for name in metrics if name in own}
        strengths = [rung.strength for rung in ladder.rungs if rung.kind == kind] if ladder else ()
        for number, strength in enumerate(strengths):
            cells = [
                f"{NEAR if near.get(name) == number else ''}{_number(climbs[name][number])}"
                for name in metrics
            ]
            rows.append(
                [RUNGS[kind].format(f"{strength:g}").replace(" 1 levels", " 1 level"), *cells]
            )
    return Section(
        f"The ladder of damages for {drift.compressed}",
        ["damage", *(TITLES[name] for name in metrics)],
        rows if ladder else [],
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
    return [
        check_title(one.name),
        signed(one.verdict),
        value,
        limit,
        _bounds(one.low, one.high),
        one.why,
    ]


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
        f"For scale: two halves of the original's own pictures are {_number(frechet.floor)} "
        f"apart. {_few(drift)}"
    )
    if ladder is not None:
        text += (
            "Damages: JPEG quality, blur in pixels, noise and tint in levels, bits a channel; on "
            f"{ladder.count} squares of {_many(ladder.pictures)} of the original. "
        )
    missing = "; ".join(f"{one.what}: {one.why}" for one in drift.skipped)
    return text + (f"Not measured: {missing}." if missing else "")


def _few(drift: Drift) -> str:
    """Say how far the number of squares lets the distances be trusted, nothing where it does."""
    frechet, what = drift.frechet, "pictures" if drift.square is None else "squares"
    return FEW[frechet.policy].format(n=frechet.n, what=what, d=frechet.extractor.dimension)


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
