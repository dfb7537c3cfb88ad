"""The extractor that needs no weights: colours, edges at four scales, contrast and block grids.

Everything until the last square roots is integer arithmetic, written in floats that hold it
exactly, and a square root is rounded alike on every IEEE machine: one picture gives the same bits
everywhere, so its version is checked by a hash. Energies enter by the fourth root of their mean
square, which makes a faint change of a smooth picture weigh like a strong one of a rough picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stylepress.errors import FrameError

Plane = NDArray[np.float64]
Pixels = NDArray[np.uint8]

VERSION = 1
LEVELS = 4
LEAST = 32
"""Sides below have no block of eight pixels at the coarsest level."""
BINS = 8
BLOCK = 8
PERIODS = (4, 8)

GAINS = (1020.0, 255.0, 510.0)
"""Largest values of the three opponent colours R + 2G + B, R - B, R - 2G + B."""


def handcrafted(picture: Pixels) -> NDArray[np.float64]:
    """Describe an (H, W, 3) uint8 RGB picture, sides at least 32, by 89 numbers in [-1, 2].

    Raises:
        FrameError: smaller, or no such picture.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise FrameError(
            f"A picture of shape {picture.shape} and type {picture.dtype} has no features here. "
            f"Give (H, W, 3) uint8 RGB."
        )
    if min(picture.shape[:2]) < LEAST:
        raise FrameError(
            f"A picture of {picture.shape[1]}x{picture.shape[0]} pixels is smaller than "
            f"{LEAST}x{LEAST}. Measure larger pictures."
        )
    planes = opponents(picture)
    return np.array([*_colours(planes), *_edges(planes), *_contrast(planes), *_grids(planes[0])])


def opponents(picture: Pixels) -> list[Plane]:
    """Return light, red against blue, and purple against green: three exact (H, W) planes."""
    red, green, blue = (picture[..., channel].astype(np.float64) for channel in range(3))
    return [red + 2 * green + blue, red - blue, red - 2 * green + blue]


def digest(features: NDArray[np.float64]) -> str:
    """SHA-256 of features, bit by bit."""
    return hashlib.sha256(np.ascontiguousarray(features, "<f8").tobytes()).hexdigest()


def golden_picture() -> Pixels:
    """Draw the (72, 88, 3) picture whose features tell whether an extractor is this version."""
    y, x = np.indices((72, 88))
    red = (7 * x + 3 * y) % 256
    green = (x * x // 9 + 5 * y) % 256
    blue = ((x // 11) * 37 + (y // 7) * 91 + (x * y) % 13) % 256
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def _colours(planes: list[Plane]) -> Iterator[float]:
    """Means, covariances and soft histograms: 3 + 6 + 24."""
    count = planes[0].size
    means = [plane.sum() / count for plane in planes]
    yield from (mean / gain for mean, gain in zip(means, GAINS, strict=True))
    for one in range(3):
        for two in range(one, 3):
            product = _product(planes[one], planes[two]) / count - means[one] * means[two]
            share = product / (GAINS[one] * GAINS[two])
            yield np.copysign(np.sqrt(abs(share)), share)
    for number, plane in enumerate(planes):
        signed = number > 0
        yield from _histogram(plane, GAINS[number], signed=signed)


def _histogram(plane: Plane, gain: float, *, signed: bool) -> Iterator[float]:
    """Share of pixels near each of 8 values, each pixel split between its two neighbours."""
    low = -gain if signed else 0.0
    span = int(gain - low)
    counts = np.bincount((plane - low).astype(np.intp).ravel(), minlength=span + 1)
    # In integers: place * (BINS - 1) is in units of span.
    place = np.arange(span + 1) * (BINS - 1)
    for number in range(BINS):
        near = np.maximum(span - np.abs(place - number * span), 0)
        yield float(np.sqrt(int(counts @ near) / (span * plane.size)))


def _edges(planes: list[Plane]) -> Iterator[float]:
    """Energy across, down and in the diagonal, and of the Laplacian, at four scales: 48."""
    for gain, plane in zip(GAINS, planes, strict=True):
        level = plane
        for number in range(LEVELS):
            unit = gain * 4**number
            across, down = level[:, 1:] - level[:, :-1], level[1:] - level[:-1]
            corner = down[:, 1:] - down[:, :-1]
            bend = across[1:-1, 1:] - across[1:-1, :-1] + down[1:, 1:-1] - down[:-1, 1:-1]
            for change in (across, down, corner, bend):
                yield _root(change, unit)
            level = _summed(level)


def _contrast(planes: list[Plane]) -> Iterator[float]:
    """Mean energy within blocks of eight, and how unevenly it is spread: 6."""
    for gain, plane in zip(GAINS, planes, strict=True):
        height, width = (side // BLOCK for side in plane.shape)
        blocks = plane[: height * BLOCK, : width * BLOCK].reshape(height, BLOCK, width, BLOCK)
        sums = blocks.sum((1, 3))
        energies = np.einsum("hawb,hawb->hw", blocks, blocks) * BLOCK**2 - np.square(sums)
        yield float(np.sqrt(np.sqrt(energies.sum() / energies.size) / (gain * BLOCK**2)))
        deviations = np.rint(np.sqrt(energies))  # whole again, so that sums stay exact
        mean = float(deviations.sum()) / deviations.size
        spread = _product(deviations, deviations) / deviations.size - mean * mean
        yield float(np.sqrt(np.sqrt(max(spread, 0.0)) / (gain * BLOCK**2)))


def _grids(light: Plane) -> Iterator[float]:
    """How much stronger steps are in one column (row) of every 4 and 8 than in the others: 2."""
    across = np.abs(light[:, 1:] - light[:, :-1]).sum(0)
    down = np.abs(light[1:] - light[:-1]).sum(1)
    for period in PERIODS:
        strongest = 0.0
        for steps in (across, down):
            usable = steps[: len(steps) // period * period].reshape(-1, period).sum(0)
            total = float(usable.sum())
            strongest += float(usable.max()) * period / total - 1 if total else 0.0
        yield float(np.sqrt(strongest / (2 * (period - 1))))


def _root(change: Plane, unit: float) -> float:
    """Fourth root of the mean square, in units of the range."""
    return float(np.sqrt(np.sqrt(_product(change, change) / change.size) / unit))


def _product(one: Plane, two: Plane) -> float:
    """Sum of products. Not by BLAS: its threads wait for each other on a busy machine."""
    return float(np.einsum("hw,hw->", one, two))


def _summed(plane: Plane) -> Plane:
    """Sum of each 2x2 block; an odd last row or column is left out."""
    even = plane[: plane.shape[0] // 2 * 2, : plane.shape[1] // 2 * 2]
    summed: Plane = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    return summed
