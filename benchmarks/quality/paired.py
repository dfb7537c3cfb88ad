"""Picture against picture: what compression did to each one, the worst of them by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.quality.pixels import psnr_db, scaled, ssim, structures
from stylepress.benchmarks.quality.resampling import mean_interval
from stylepress.benchmarks.quality.result import MORE_IS_WORSE, Paired, Worst
from stylepress.errors import FrameError

Pixels = NDArray[np.uint8]

CAP_DB = 99.0
"""PSNR of equal pictures, which is infinite, so that a mean exists; 0.003 levels of error."""
WORST = 16
RANGES: Mapping[str, tuple[float, float]] = {
    "psnr_db": (-math.inf, CAP_DB),
    "ssim": (-1.0, 1.0),
    "ms_ssim": (0.0, 1.0),
    "lpips": (0.0, math.inf),
    "levels": (0.0, 255.0),
    "cast_levels": (0.0, 255.0),
    "place_levels": (0.0, 255.0),
}
"""What a measure cannot leave, and the bounds of its mean neither."""
STRUCTURE_SIDE, WINDOW_SIDE = 176, 11
PLACE_SIDE, PLACE_STEP = 64, 8


@dataclass(frozen=True, slots=True)
class PairScores:
    """One picture of the compressed model against that of the original, by measure.

    ``levels`` is the mean absolute difference in 8-bit levels.
    """

    picture: int
    values: Mapping[str, float]


def pair_scores(
    picture: int, one: Pixels, two: Pixels, *, extra: Mapping[str, float] | None = None
) -> PairScores:
    """Score two (H, W, 3) uint8 pictures; ``extra`` adds measures that were taken elsewhere.

    SSIM needs sides of 11, the cast of a place of 64, MS-SSIM of 176: below, they are left out.

    Raises:
        FrameError: pictures of two sizes.
    """
    if one.shape != two.shape or one.dtype != np.uint8 or two.dtype != np.uint8:
        raise FrameError(
            f"Picture {picture} is {one.shape} {one.dtype} from one model and {two.shape} "
            f"{two.dtype} from the other.",
            "Give both models the same frame.",
        )
    first, second = scaled(one), scaled(two)
    values = {
        "psnr_db": min(psnr_db(first, second), CAP_DB),
        "levels": float(np.mean(np.abs(one.astype(np.int16) - two))),
        **colour_shifts(one, two),
    }
    side = min(one.shape[:2])
    if side >= STRUCTURE_SIDE:
        values["ssim"], values["ms_ssim"] = structures(first, second)
    elif side >= WINDOW_SIDE:
        values["ssim"] = ssim(first, second)
    return PairScores(picture, {**values, **(extra or {})})


def colour_shifts(one: Pixels, two: Pixels) -> dict[str, float]:
    """Return by how many levels the mean colour differs, of the channel that differs most.

    ``cast_levels`` is of the whole (H, W, 3) uint8 pictures, ``place_levels`` of the square of 64
    pixels (every 8 pixels one) where it is most; smaller pictures have none. Strokes that fall
    elsewhere keep the mean colour of a place, a blotch or a cast does not.
    """
    gap = two.astype(np.int16) - one
    cast = gap.sum(0, dtype=np.int32).sum(0) / (gap.shape[0] * gap.shape[1])
    found = {"cast_levels": float(np.abs(cast).max())}
    tall, wide = (side // PLACE_STEP for side in gap.shape[:2])
    across = PLACE_SIDE // PLACE_STEP
    if min(tall, wide) < across:
        return found
    whole = gap[: tall * PLACE_STEP, : wide * PLACE_STEP]
    blocks = whole.reshape(tall, PLACE_STEP, wide, PLACE_STEP, 3)
    # One axis after the other and by differences of sums: twenty times as fast as means of windows.
    sums = (
        np.pad(blocks.sum(1, dtype=np.int32).sum(2), ((1, 0), (1, 0), (0, 0))).cumsum(0).cumsum(1)
    )
    places = sums[across:, across:] - sums[:-across, across:]
    places -= sums[across:, :-across] - sums[:-across, :-across]
    return {**found, "place_levels": float(np.abs(places).max()) / PLACE_SIDE**2}


def paired(scores: Sequence[PairScores]) -> tuple[Paired, ...]:
    """Sum up each measure over the pictures that have it."""
    names = [name for name in MORE_IS_WORSE if any(name in one.values for one in scores)]
    return tuple(_paired(name, scores) for name in names)


def _paired(name: str, scores: Sequence[PairScores]) -> Paired:
    known = [(one.picture, one.values[name]) for one in scores if name in one.values]
    values = np.array([value for _, value in known])
    finite = np.isfinite(values)
    if not finite.all():
        picture, value = known[int(np.argmin(finite))]
        raise FrameError(f"The {name} of picture {picture} is {value}.", "Look at that picture.")
    more = MORE_IS_WORSE[name]
    order = np.argsort(-values if more else values, kind="stable")[:WORST]
    mean = mean_interval(values, *RANGES.get(name, (-math.inf, math.inf)))
    return Paired(
        measure=name,
        more_is_worse=more,
        count=len(values),
        mean=mean.value,
        low=mean.low,
        high=mean.high,
        p95=float(np.quantile(values, 0.95 if more else 0.05)),
        worst=tuple(Worst(picture=known[i][0], value=known[i][1]) for i in order.tolist()),
    )
