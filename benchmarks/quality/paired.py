"""Picture against picture: PSNR, SSIM, and by how much colours are off, whole and in one place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.quality.pixels import colourfulness, psnr_db, scaled, ssim

Pixels = NDArray[np.uint8]

CAP_DB = 99.0
"""PSNR of equal pictures, which is infinite, so that a mean exists; 0.003 levels of error."""
RANGES: Mapping[str, tuple[float, float]] = {
    "psnr_db": (-math.inf, CAP_DB),
    "ssim": (-1.0, 1.0),
    "cast_levels": (0.0, 255.0),
    "place_levels": (0.0, 255.0),
}
"""What a measure cannot leave, and the bounds of its mean neither."""
PLACE_SIDE, PLACE_STEP = 64, 8
DULL = 8.0
"""Levels of colourfulness below which a change is a share of these: a grey style has none."""


def pair_scores(one: Pixels, two: Pixels) -> dict[str, float]:
    """Score two (H, W, 3) uint8 pictures of one size; the cast of a place needs sides of 64."""
    first, second = scaled(one), scaled(two)
    level = min(psnr_db(first, second), CAP_DB)
    return {"psnr_db": level, "ssim": ssim(first, second), **colour_shifts(one, two)}


def colour_shifts(one: Pixels, two: Pixels) -> dict[str, float]:
    """Return by how many levels the mean colour differs, of the channel that differs most.

    ``cast_levels`` is of the whole (H, W, 3) uint8 pictures, ``place_levels`` of the square of 64
    pixels (every 8 pixels one) where it is most. Strokes that fall elsewhere keep the mean colour of
    a place, a blotch or a cast does not.
    """
    gap = two.astype(np.int16) - one
    cast = gap.sum(0, dtype=np.int32).sum(0) / (gap.shape[0] * gap.shape[1])
    found = {"cast_levels": float(np.abs(cast).max())}
    tall, wide = (side // PLACE_STEP for side in gap.shape[:2])
    across = PLACE_SIDE // PLACE_STEP
    if min(tall, wide) < across:
        return found
    whole = gap[: tall * PLACE_STEP, : wide * PLACE_STEP]
    blocks = whole.reshape(tall, PLACE_STEP, wide, PLACE_STEP, 3).sum(1, dtype=np.int32).sum(2)
    # By differences of sums: twenty times as fast as means of windows.
    sums = np.pad(blocks, ((1, 0), (1, 0), (0, 0))).cumsum(0).cumsum(1)
    places = sums[across:, across:] - sums[:-across, across:]
    places -= sums[across:, :-across] - sums[:-across, :-across]
    return {**found, "place_levels": float(np.abs(places).max()) / PLACE_SIDE**2}


def saturation_percent(pairs: Iterable[tuple[Pixels, Pixels]]) -> float:
    """Return by how much more colourful the second pictures are than the first, in the mean."""
    one, two = (fmean(map(colourfulness, pictures)) for pictures in zip(*pairs, strict=True))
    return 100 * (two - one) / max(one, DULL)
