"""Known damages of known strength: what every quality figure is read against."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage  # type: ignore[import-untyped]

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of damage and its strengths from faint to strong.

    ``damage`` takes an (H, W, 3) uint8 picture, a strength, and the picture's number, which seeds
    what is random.
    """

    damage: Callable[[Pixels, float, int], Pixels]
    strengths: tuple[float, ...]


def jpeg(picture: Pixels, quality: int) -> Pixels:
    """Encode as JPEG (4:4:4, so that only ``quality`` counts) and decode again."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=0)
    return np.asarray(Image.open(file))


def blurred(picture: Pixels, sigma: float) -> Pixels:
    """Blur by a Gaussian of deviation ``sigma`` pixels."""
    image: NDArray[np.float32] = ndimage.gaussian_filter(
        picture.astype(np.float32), (sigma, sigma, 0)
    )
    return _rounded(image)


def noisy(picture: Pixels, levels: float, number: int) -> Pixels:
    """Add white noise of deviation ``levels`` (of 255), one draw for each picture number."""
    noise = np.random.default_rng((7, number)).standard_normal(picture.shape, np.float32)
    return _rounded(picture + np.float32(levels) * noise)


def tinted(picture: Pixels, levels: float) -> Pixels:
    """Add ``levels`` (of 255) to red and take them from blue."""
    return _rounded(picture.astype(np.float32) + np.array([levels, 0, -levels], np.float32))


def coarse(picture: Pixels, bits: int) -> Pixels:
    """Round to ``bits`` bits a channel, evenly from 0 to 255."""
    steps = (1 << bits) - 1
    codes = np.rint(picture.astype(np.float64) * steps / 255)
    return _rounded(codes * 255 / steps)


LADDERS: Mapping[str, Kind] = {
    "jpeg": Kind(lambda p, q, _: jpeg(p, int(q)), (95, 85, 70, 50, 30, 10)),
    "blur": Kind(lambda p, s, _: blurred(p, s), (0.4, 0.6, 0.9, 1.4, 2, 3)),
    "noise": Kind(noisy, (1, 2, 4, 8, 16, 32)),
    "colour": Kind(lambda p, a, _: tinted(p, a), (1, 2, 4, 8, 16, 32)),
    "bits": Kind(lambda p, b, _: coarse(p, int(b)), (8, 6, 5, 4, 3, 2)),
}
"""Each from faint to strong: JPEG quality, deviation in pixels, deviation in levels, shift of red
and blue in levels, bits a channel. 8 bits are the picture itself. 7 bits are left out: what is rounded to
them and back is half a level darker below the middle and lighter above it, which is a tint."""


def _rounded(image: NDArray[np.floating[Any]]) -> Pixels:
    rounded: Pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return rounded
