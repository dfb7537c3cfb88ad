"""Sliced Wasserstein distance between the patches of two sets of pictures.

Patches, pyramid and weights are those of the style distance of two pictures (see ``pixels``); here
the patches of many pictures make one set each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stylepress.benchmarks.quality.pixels import LEVELS, PATCH, as_many, halved, scaled

Pixels = NDArray[np.uint8]
Rows = NDArray[np.float32]

TAKEN, DIRECTIONS = 256, 64
"""Patches a level and picture, and directions that they are projected on."""


def projections(pictures: Sequence[Pixels]) -> list[Rows]:
    """Project 7x7 patches of (H, W, 3) uint8 pictures, by level: (patches, 64), sorted.

    Picture i gives the patches at the same places in every set, so that two sets made from the same
    inputs differ by what was done to them, not by where was looked.
    """
    draw, found = np.random.default_rng(0), list[Rows]()
    images = [scaled(picture) for picture in pictures]
    for level in range(LEVELS):
        random = draw.normal(size=(PATCH**2 * 3, DIRECTIONS))
        directions = (random / np.linalg.norm(random, axis=0)).astype(np.float32)
        images = [halved(image) for image in images] if level else images
        rows = [
            _patches(image, np.random.default_rng((0, number, level))) @ directions
            for number, image in enumerate(images)
            if min(image.shape[:2]) >= PATCH
        ]
        if rows:
            found.append(np.sort(np.concatenate(rows), axis=0))
    return found


def patch_distance(one: Sequence[Rows], two: Sequence[Rows]) -> float:
    """Return the mean gap of sorted projections, level l weighted 1 + l / 4, summed.

    In units of the range [0, 1] of a pixel. Sets of two sizes are matched by quantile.
    """
    total = 0.0
    for level, (mine, theirs) in enumerate(zip(one, two, strict=False)):
        count = max(len(mine), len(theirs))
        gap = np.abs(as_many(mine, count) - as_many(theirs, count)).mean(dtype=np.float64)
        total += (1 + level / 4) * float(gap)
    return total


def _patches(image: Rows, draw: np.random.Generator) -> Rows:
    rows, columns = (side - PATCH + 1 for side in image.shape[:2])
    places = draw.integers(rows * columns, size=TAKEN)
    windows = sliding_window_view(image, (PATCH, PATCH), axis=(0, 1))
    patches: Rows = windows[places // columns, places % columns].reshape(TAKEN, -1)
    return patches
