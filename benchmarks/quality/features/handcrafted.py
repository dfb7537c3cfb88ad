"""The extractor that needs no weights: colours, edges at four scales, contrast and block grids.

Everything until the last square roots is integer arithmetic, written in floats that hold it
exactly, and a square root is rounded alike on every IEEE machine: one picture gives the same bits
everywhere, and a test holds its version to a hash. Energies enter by the fourth root of their mean
square, which makes a faint change of a smooth picture weigh like a strong one of a rough picture.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stylepress.picture import Pixels

Planes = NDArray[np.float64]
Each = NDArray[np.float64]

VERSION, DIMENSION = 1, 89
LEVELS = 4
LEAST = 32
"""Sides below have no block of eight pixels at the coarsest level."""
BINS = 8
BLOCK = 8
PERIODS = (4, 8)

GAINS = (1020.0, 255.0, 510.0)
"""Largest values of the three opponent colours R + 2G + B, R - B, R - 2G + B."""


def handcrafted(pictures: Pixels) -> NDArray[np.float64]:
    """Describe (N, H, W, 3) uint8 RGB pictures, sides at least 32, by (N, 89) numbers in [-1, 2]."""
    planes = opponents(pictures)
    every = [*_colours(planes), *_edges(planes), *_contrast(planes), *_grids(planes[0])]
    return np.stack(every, axis=1)


def opponents(pictures: Pixels) -> list[Planes]:
    """Return light, red against blue, and purple against green: three exact (N, H, W) planes."""
    red, green, blue = (pictures[..., channel].astype(np.float64) for channel in range(3))
    return [red + 2 * green + blue, red - blue, red - 2 * green + blue]


def _colours(planes: list[Planes]) -> Iterator[Each]:
    """Means, covariances and soft histograms: 3 + 6 + 24."""
    count = planes[0][0].size
    means = [plane.sum((1, 2)) / count for plane in planes]
    yield from (mean / gain for mean, gain in zip(means, GAINS, strict=True))
    for one in range(3):
        for two in range(one, 3):
            product = _product(planes[one], planes[two]) / count - means[one] * means[two]
            share = product / (GAINS[one] * GAINS[two])
            yield np.copysign(np.sqrt(np.abs(share)), share)
    for number, plane in enumerate(planes):
        signed = number > 0
        yield from _histogram(plane, GAINS[number], signed=signed)


def _histogram(plane: Planes, gain: float, *, signed: bool) -> Iterator[Each]:
    """Share of pixels near each of 8 values, each pixel split between its two neighbours."""
    low = -gain if signed else 0.0
    span, pictures = int(gain - low), len(plane)
    codes = (plane - low).astype(np.intp).reshape(pictures, -1)
    codes += np.arange(pictures)[:, None] * (span + 1)
    counts = np.bincount(codes.ravel(), minlength=pictures * (span + 1)).reshape(pictures, -1)
    # In integers: place * (BINS - 1) is in units of span.
    place = np.arange(span + 1) * (BINS - 1)
    for number in range(BINS):
        near = np.maximum(span - np.abs(place - number * span), 0)
        yield np.sqrt((counts @ near) / (span * plane[0].size))


def _edges(planes: list[Planes]) -> Iterator[Each]:
    """Energy across, down and in the diagonal, and of the Laplacian, at four scales: 48."""
    for gain, plane in zip(GAINS, planes, strict=True):
        level = plane
        for number in range(LEVELS):
            unit = gain * 4**number
            across, down = level[:, :, 1:] - level[:, :, :-1], level[:, 1:] - level[:, :-1]
            corner = down[:, :, 1:] - down[:, :, :-1]
            bend = across[:, 1:-1, 1:] - across[:, 1:-1, :-1]
            bend += down[:, 1:, 1:-1] - down[:, :-1, 1:-1]
            for change in (across, down, corner, bend):
                yield _root(change, unit)
            level = _summed(level)


def _contrast(planes: list[Planes]) -> Iterator[Each]:
    """Mean energy within blocks of eight, and how unevenly it is spread: 6."""
    for gain, plane in zip(GAINS, planes, strict=True):
        height, width = (side // BLOCK for side in plane.shape[1:])
        whole = plane[:, : height * BLOCK, : width * BLOCK]
        blocks = whole.reshape(-1, height, BLOCK, width, BLOCK)
        sums, count = blocks.sum((2, 4)), height * width
        energies = np.einsum("nhawb,nhawb->nhw", blocks, blocks) * BLOCK**2 - np.square(sums)
        yield np.sqrt(np.sqrt(energies.sum((1, 2)) / count) / (gain * BLOCK**2))
        deviations = np.rint(np.sqrt(energies))  # whole again, so that sums stay exact
        mean = deviations.sum((1, 2)) / count
        spread = _product(deviations, deviations) / count - mean * mean
        yield np.sqrt(np.sqrt(np.maximum(spread, 0.0)) / (gain * BLOCK**2))


def _grids(light: Planes) -> Iterator[Each]:
    """How much stronger steps are in one column (row) of every 4 and 8 than in the others: 2."""
    across = np.abs(light[:, :, 1:] - light[:, :, :-1]).sum(1)
    down = np.abs(light[:, 1:] - light[:, :-1]).sum(2)
    for period in PERIODS:
        strongest = np.zeros(len(light))
        for steps in (across, down):
            usable = steps[:, : steps.shape[1] // period * period]
            phases = usable.reshape(len(light), -1, period).sum(1)
            total = phases.sum(1)
            even = total == 0
            share = phases.max(1) * period / np.where(even, 1, total) - 1
            strongest += np.where(even, 0, share)
        yield np.sqrt(strongest / (2 * (period - 1)))


def _root(change: Planes, unit: float) -> Each:
    """Fourth root of the mean square, in units of the range."""
    root: Each = np.sqrt(np.sqrt(_product(change, change) / change[0].size) / unit)
    return root


def _product(one: Planes, two: Planes) -> Each:
    """Sums of products. Not by BLAS: its threads wait for each other on a busy machine."""
    product: Each = np.einsum("nhw,nhw->n", one, two)
    return product


def _summed(plane: Planes) -> Planes:
    """Sum of each 2x2 block; an odd last row or column is left out."""
    even = plane[:, : plane.shape[1] // 2 * 2, : plane.shape[2] // 2 * 2]
    summed: Planes = even[:, ::2, ::2] + even[:, 1::2, ::2]
    summed += even[:, ::2, 1::2] + even[:, 1::2, 1::2]
    return summed
