"""Sliced Wasserstein distance between the patches of two sets of pictures.

Patches, pyramid and weights are those of the style distance of two pictures (see
``pictures/quality``); here the patches of many pictures make one set each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stylepress.benchmarks.quality.pixels import LEVELS, PATCH, as_many, halved, scaled
from stylepress.errors import FrameError

Pixels = NDArray[np.uint8]
Rows = NDArray[np.float32]

TAKEN, TAKEN_OF_FEW = 32, 256
"""Patches a level of each of many pictures, and of each of few large ones."""
DIRECTIONS = 64


class Patches:
    """Projections of ``taken`` patches of 7x7 a level and picture; 1.25 kB of memory a patch.

    Picture i gives the patches at the same places in every set of the same seed, so that two
    sets made from the same inputs differ by what was done to them, not by where was looked.
    """

    def __init__(self, *, taken: int = TAKEN, seed: int = 0) -> None:
        self._taken, self._seed = taken, seed
        self._levels: list[list[Rows]] = [[] for _ in range(LEVELS)]
        draw = np.random.default_rng(seed)
        self._directions: list[Rows] = []
        for _ in range(LEVELS):
            random = draw.normal(size=(PATCH**2 * 3, DIRECTIONS))
            self._directions.append((random / np.linalg.norm(random, axis=0)).astype(np.float32))

    @classmethod
    def of(cls, pictures: Sequence[Pixels], *, taken: int = TAKEN) -> Patches:
        """Take them of (H, W, 3) uint8 pictures, numbered from 0."""
        patches = cls(taken=taken)
        for number, picture in enumerate(pictures):
            patches.add(picture, number)
        return patches

    def add(self, picture: Pixels, number: int) -> None:
        """Take the patches of (H, W, 3) uint8 picture ``number``."""
        image = scaled(picture)
        for level in range(LEVELS):
            if level:
                image = halved(image)
            rows, columns = (side - PATCH + 1 for side in image.shape[:2])
            if min(rows, columns) < 1:
                break
            places = np.random.default_rng((self._seed, number, level)).integers(
                rows * columns, size=self._taken
            )
            windows = sliding_window_view(image, (PATCH, PATCH), axis=(0, 1))
            patches = windows[places // columns, places % columns].reshape(self._taken, -1)
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
                "A patch distance needs pictures of at least 7x7 pixels in both sets.", "Add some."
            )
        for level, (mine, theirs) in enumerate(zip(self._levels, other._levels, strict=True)):
            if not mine or not theirs:
                break
            one, two = (np.sort(np.concatenate(rows), axis=0) for rows in (mine, theirs))
            count = max(len(one), len(two))
            gap = np.abs(as_many(one, count) - as_many(two, count)).mean(dtype=np.float64)
            total += (1 + level / 4) * float(gap)
        return total
