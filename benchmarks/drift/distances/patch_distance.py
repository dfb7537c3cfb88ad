"""Sliced Wasserstein distance between the patches of two sets of pictures.

Patches, pyramid and weights are those of the style distance of two pictures (see
``pictures/quality``); here the patches of many pictures make one set each.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stylepress.benchmarks.pictures.quality import LEVELS, PATCH
from stylepress.errors import FrameError

Pixels = NDArray[np.uint8]
Rows = NDArray[np.float32]

TAKEN = 32
DIRECTIONS = 64


class Patches:
    """Projections of 32 patches of 7x7 a level and picture; 40 kB of memory a picture.

    Picture i gives the patches at the same places in every set of the same seed, so that two
    sets made from the same inputs differ by what was done to them, not by where was looked.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self._seed = seed
        self._levels: list[list[Rows]] = [[] for _ in range(LEVELS)]
        draw = np.random.default_rng(seed)
        self._directions: list[Rows] = []
        for _ in range(LEVELS):
            random = draw.normal(size=(PATCH**2 * 3, DIRECTIONS))
            self._directions.append((random / np.linalg.norm(random, axis=0)).astype(np.float32))

    def add(self, picture: Pixels, number: int) -> None:
        """Take the patches of (H, W, 3) uint8 picture ``number``."""
        image = picture.astype(np.float32) / 255
        for level in range(LEVELS):
            if level:
                even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
                image = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
            rows, columns = (side - PATCH + 1 for side in image.shape[:2])
            if min(rows, columns) < 1:
                break
            places = np.random.default_rng((self._seed, number, level)).integers(
                rows * columns, size=TAKEN
            )
            windows = sliding_window_view(image, (PATCH, PATCH), axis=(0, 1))
            patches = windows[places // columns, places % columns].reshape(TAKEN, -1)
            self._levels[level].append(patches @ self._directions[level])

    def distance(self, other: Patches) -> float:
        """Return the mean gap of sorted projections, level l weighted 1 + l / 4, summed.

        In units of the range [0, 1] of a pixel. Sets of two sizes are matched by quantile.

        Raises:
            FrameError: one of them is empty.
        """
        total = 0.0
        if not self._levels[0] or not other._levels[0]:
            raise FrameError(
                "A patch distance needs pictures of at least 7x7 pixels in both sets. Add some."
            )
        for level, (mine, theirs) in enumerate(zip(self._levels, other._levels, strict=True)):
            if not mine or not theirs:
                break
            one, two = (np.sort(np.concatenate(rows), axis=0) for rows in (mine, theirs))
            if len(one) != len(two):
                one, two = (
                    _matched(one, max(len(one), len(two))),
                    _matched(two, max(len(one), len(two))),
                )
            gap = float(np.abs(one - two).mean(dtype=np.float64))
            total += (1 + level / 4) * gap
        return total


def _matched(ordered: Rows, count: int) -> Rows:
    """Resample sorted columns to ``count`` rows along their quantiles."""
    place = np.linspace(0, len(ordered) - 1, count)
    below = np.minimum(place.astype(np.intp), max(len(ordered) - 2, 0))
    above = np.minimum(below + 1, len(ordered) - 1)
    share = (place - below).astype(np.float32)[:, None]
    matched: Rows = ordered[below] * (1 - share) + ordered[above] * share
    return matched
