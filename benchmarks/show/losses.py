"""What compression lost of the pictures, and how pictures move, as tables."""

from __future__ import annotations

from stylepress.benchmarks.check import Check, signed
from stylepress.benchmarks.quality.checks import BENIGN
from stylepress.benchmarks.quality.study import Drift
from stylepress.benchmarks.report import Consistency, Report
from stylepress.benchmarks.show.tables import Table
from stylepress.benchmarks.show.words import NONE

UNJUDGED = (
    "Nothing is judged: a student draws otherwise than its teacher; give the student in float with "
    "`--student`. "
)
SEES = (
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


def verdict_word(drift: Drift) -> str:
    """Write the verdict on a study."""
    return signed(drift.verdict) if drift.verdict else "not judged"


def verdict(drift: Drift) -> Table:
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
        SEES if drift.judged else UNJUDGED,
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
