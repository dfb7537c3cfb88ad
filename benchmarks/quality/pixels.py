"""Quality numbers of pictures: PSNR, SSIM, style and content distance, grid artefact, colour casts.

Pictures are (H, W, 3) float arrays, RGB in [0, 1], where nothing else is said. Nothing here needs
pretrained weights, and nothing is random: the same pictures give the same numbers on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]

from stylepress.errors import FrameError
from stylepress.picture import Pixels

Picture = NDArray[np.floating[Any]]
Plane = NDArray[np.float64]

PATCH = 7
LEVELS = 5
PROJECTIONS = 256
"""64, as in training, leave 4 % of chance in the ratio of two distances; 256 leave 1.3 %."""
PATCHES = 8192
WINDOW = 31
LUMA = (0.299, 0.587, 0.114)
TILE = 64
VISIBLE = 0.5 / 255
PERIOD = 4
BLOCKS = np.outer(*[np.hanning(TILE // PERIOD + 2)[1:-1].repeat(PERIOD)] * 2)
"""Hann window that is level inside each block of a grid of 4 pixels: (64, 64)."""


def scaled(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return uint8 pixels as float32 in [0, 1]."""
    picture: NDArray[np.float32] = pixels.astype(np.float32)
    picture /= 255
    return picture


def levels(values: NDArray[np.floating[Any]]) -> Pixels:
    """Round to what uint8 pixels can hold."""
    rounded: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


def psnr_db(one: Picture, two: Picture) -> float:
    """Peak signal-to-noise ratio, 10 log10(1 / mean squared difference); infinite when equal."""
    error = float(np.mean(np.square(np.asarray(one, np.float64) - two)))
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(one: Picture, two: Picture) -> float:
    """Structural similarity (Wang et al. 2004, eq. 13), mean over channels and window positions.

    Gaussian 11x11 window of deviation 1.5, K1 = 0.01, K2 = 0.03, range 1; only windows that lie
    whole in the picture count. 1 when equal.
    """
    x, y = np.asarray(one, np.float64), np.asarray(two, np.float64)
    mean_x, mean_y = _gaussian(x), _gaussian(y)
    squares, product = mean_x**2 + mean_y**2, mean_x * mean_y
    spread = _gaussian(x * x + y * y) - squares
    both = _gaussian(x * y) - product
    c1, c2 = 0.01**2, 0.03**2
    light = (2 * product + c1) / (squares + c1)
    structure = (2 * both + c2) / (spread + c2)
    return float(np.mean((light * structure)[5:-5, 5:-5]))


def colourfulness(pixels: NDArray[np.uint8]) -> float:
    """Return the mean distance of the largest and the smallest channel, in levels: 0 for grey."""
    return float(np.ptp(pixels, axis=-1).mean())


def style_distance(output: Picture, style: Picture) -> float:
    """How far the patches of ``output`` are from those of ``style``, in units of the range.

    The sizes may differ. 0 when equal, symmetric.
    """
    return patch_distance([output], [style])


def patch_distance(
    one: Sequence[Picture],
    two: Sequence[Picture],
    *,
    patches: int = PATCHES,
    directions: int = PROJECTIONS,
) -> float:
    """How far the patches of two sets of pictures are from each other.

    Multi-scale patch sliced-Wasserstein distance (after Elnekave & Weiss 2022, arXiv 2103.15545):
    five average-pool levels, at most so many ``patches`` of 7x7x3 a level and picture, fixed unit
    ``directions``, mean |sorted - sorted| matched by quantile, level l weighted 1 + l / 4, summed.
    Picture i gives the patches at the same places in every set, so that two sets made from the same
    inputs differ by what was done to them, not by where was looked.
    """
    for picture in (*one, *two):
        _check(picture)
    sets = [[np.asarray(picture, np.float32) for picture in pictures] for pictures in (one, two)]
    total = 0.0
    for level in range(LEVELS):
        if level:
            sets = [[halved(image) for image in images] for images in sets]
        if min(side for images in sets for image in images for side in image.shape[:2]) < PATCH:
            break
        ways = np.random.default_rng((0, level)).normal(size=(PATCH**2 * 3, directions))
        ways = (ways / np.linalg.norm(ways, axis=0)).astype(np.float32)
        mine, theirs = (_projected(images, ways, patches, level) for images in sets)
        count = max(len(mine), len(theirs))
        gap = np.abs(_as_many(mine, count) - _as_many(theirs, count))
        total += (1 + level / 4) * float(gap.mean(dtype=np.float64))
    return total


def content_distance(output: Picture, content: Picture) -> float:
    """Squared difference of locally normalised luminance, mean of half and quarter size.

    Each luminance has the mean of its 31x31 surroundings subtracted and is divided by their
    deviation, so that palette and contrast do not count, only what is drawn. 0 when equal.
    """
    one, two = luminance(output), luminance(content)
    total = 0.0
    for _ in range(2):
        one, two = halved(one), halved(two)
        total += float(np.mean(np.square(_normalised(one) - _normalised(two))))
    return total / 2


def luminance(picture: Picture) -> Plane:
    """Rec. 601 luma: (H, W, 3) to (H, W) float64."""
    luma: Plane = np.asarray(picture, np.float64) @ np.array(LUMA)
    return luma


def grid_energy(picture: Picture) -> float:
    """Energy locked to a grid of 4 pixels over that of the frequencies beside it.

    Taken in 64x64 windows that overlap by half: the power at the frequencies (k, l) / 4, but
    (0, 0), against the power 2 to 4 bins of 1/64 beside each; mean over channels, root mean over
    windows, squared. About 1 (0.8 to 1.4) for a photo, below 1 for nearest-neighbour blocks, 4
    when the grid doubles the amplitude that belongs there. An even pattern below half a level
    (rms) is not seen. The picture is as large as one window at least.
    """
    height, width = (side // PERIOD * PERIOD for side in picture.shape[:2])
    image = np.asarray(picture, np.float64)[:height, :width]
    locked = np.min([_locked(image, block) for block in (1, 2, 4)], axis=0)
    floor = VISIBLE**2 * BLOCKS.sum() ** 2 / np.square(BLOCKS).sum() / (PERIOD**2 - 1)
    return float(np.mean(np.sqrt((locked + floor) / (_beside(image) + floor))) ** 2)


def _locked(image: Plane, block: int) -> Plane:
    """Mean power at the grid's frequencies in each window, free of what is not a grid.

    A smooth picture, drawn in nearest-neighbour blocks of ``block`` pixels, has power there too
    (its own slope, or its stairs). What such a picture would show is taken away first; a pattern
    that repeats each ``PERIOD`` pixels passes the filter untouched, as it lies in its zeros.
    """
    height, width = image.shape[:2]
    coarse = image.reshape(height // block, block, width // block, block, 3).mean((1, 3))
    box = np.full(PERIOD // block, block / PERIOD)
    triangle = np.convolve(box, box)
    for axis in (0, 1):
        coarse = ndimage.convolve1d(coarse, triangle, axis=axis, mode="reflect")
    tiles = _tiles(image - coarse.repeat(block, 0).repeat(block, 1)) * BLOCKS
    count = TILE // PERIOD
    folded = tiles.reshape(*tiles.shape[:-2], count, PERIOD, count, PERIOD).sum((-4, -2))
    power = np.square(np.abs(np.fft.fft2(folded))) / np.square(BLOCKS).sum()
    power[..., 0, 0] = 0
    locked: Plane = power.sum((-1, -2)).mean(-1) / (PERIOD**2 - 1)
    return locked


def _beside(image: Plane) -> Plane:
    """Mean power of the frequencies beside the grid's, in each window."""
    hann = np.hanning(TILE + 1)[:-1]
    window = np.outer(hann, hann)
    tiles = _tiles(image)
    tiles = (tiles - tiles.mean((-1, -2), keepdims=True)) * window
    power = np.square(np.abs(np.fft.fft2(tiles))).mean(-3) / np.square(window).sum()
    step = TILE // PERIOD
    bins = np.arange(TILE)
    away = np.minimum(bins % step, step - bins % step)
    order = np.rint(bins / step).astype(int) % PERIOD
    far = np.maximum(away[:, None], away[None, :])
    ring = (far >= 2) & (far <= 4) & ((order[:, None] != 0) | (order[None, :] != 0))
    beside: Plane = power[..., ring].mean(-1)
    return beside


def _tiles(image: Plane) -> Plane:
    """Overlapping windows: (H, W, 3) to (rows, columns, 3, 64, 64)."""
    step = TILE // 2
    return sliding_window_view(image, (TILE, TILE), axis=(0, 1))[::step, ::step]


def _gaussian(image: Plane) -> Plane:
    blurred: Plane = ndimage.gaussian_filter(image, (1.5, 1.5, 0), radius=5)
    return blurred


def _projected(
    images: Sequence[NDArray[np.float32]], ways: NDArray[np.float32], most: int, level: int
) -> NDArray[np.float32]:
    """Sorted projections of at most so many patches a picture, at fixed random places."""
    taken = []
    for number, image in enumerate(images, 1):
        rows, columns = image.shape[0] - PATCH + 1, image.shape[1] - PATCH + 1
        places = np.arange(rows * columns)
        if len(places) > most:
            draw = np.random.default_rng((0, level, number))
            places = draw.choice(len(places), most, replace=False)
        windows = sliding_window_view(image, (PATCH, PATCH), axis=(0, 1))
        taken.append(windows[places // columns, places % columns].reshape(len(places), -1))
    projected: NDArray[np.float32] = np.sort(np.concatenate(taken) @ ways, axis=0)
    return projected


def _as_many(ordered: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Resample sorted columns to ``count`` rows along their quantiles."""
    if len(ordered) == count:
        return ordered
    place = np.linspace(0, len(ordered) - 1, count)
    below, above = np.floor(place).astype(int), np.ceil(place).astype(int)
    share = (place - below).astype(np.float32)[:, None]
    mixed: NDArray[np.float32] = ordered[below] * (1 - share) + ordered[above] * share
    return mixed


def halved(image: NDArray[Any]) -> NDArray[Any]:
    """Mean of each 2x2 block; an odd last row or column is left out."""
    even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
    halved: NDArray[Any] = (
        even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    ) / 4
    return halved


def _normalised(luma: Plane) -> Plane:
    mean = _box(luma)
    deviation = np.sqrt(np.maximum(_box(luma * luma) - mean * mean, 0) + 1e-3)
    normalised: Plane = (luma - mean) / deviation
    return normalised


def _box(plane: Plane) -> Plane:
    """Mean over the part of the 31x31 surroundings that lies in the picture."""
    inside = ndimage.uniform_filter(np.ones_like(plane), WINDOW, mode="constant")
    box: Plane = ndimage.uniform_filter(plane, WINDOW, mode="constant") / inside
    return box


def _check(picture: Picture) -> None:
    if picture.ndim != 3 or picture.shape[2] != 3 or min(picture.shape[:2]) < PATCH:
        raise FrameError(
            f"A picture of shape {picture.shape} cannot be measured.",
            f"Give (H, W, 3) RGB of at least {PATCH}x{PATCH} pixels.",
        )


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
