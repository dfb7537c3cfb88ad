"""How pictures reach a feature network: enumerated, because each way gives other distances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Planes = NDArray[np.float32]

Preprocessing = Literal[
    "native",
    "clean",
    "pytorch-fid-0.3",
    "tf1",
    "clean-unit",
    "clean-imagenet",
]
"""``native``: as it is. ``clean``: each channel resized as float by Pillow's bicubic with
antialiasing, clipped, not rounded, (x - 128) / 128. ``pytorch-fid-0.3``: bilinear without
antialiasing, 2x - 1. ``tf1``: bilinear as TensorFlow 1 did it, (x - 128) / 128. ``clean-unit`` and
``clean-imagenet``: resized as ``clean``, in [0, 1], the latter less ImageNet's mean over its
deviation."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def prepared(picture: Pixels, preprocessing: Preprocessing, size: tuple[int, int]) -> Planes:
    """Return the (3, height, width) float32 input that (H, W, 3) uint8 RGB becomes."""
    planes: Planes = np.ascontiguousarray(_WAYS[preprocessing](picture, size), np.float32)
    return planes


def _native(picture: Pixels, size: tuple[int, int]) -> NDArray[np.float64]:
    planes: NDArray[np.float64] = picture.transpose(2, 0, 1) / 255
    return planes


def _clean(picture: Pixels, size: tuple[int, int]) -> NDArray[np.float64]:
    return (_bicubic(picture, size) - 128.0) / 128.0


def _pytorch_fid(picture: Pixels, size: tuple[int, int]) -> NDArray[np.float64]:
    def places(count: int, old: int) -> NDArray[np.float64]:
        centres = (np.arange(count, dtype=np.float64) + 0.5) * (old / count) - 0.5
        return np.asarray(np.maximum(centres, 0), np.float64)

    rows, columns = (places(new, old) for new, old in zip(size, picture.shape[:2], strict=True))
    return 2 * (_bilinear(picture, rows, columns) / 255) - 1


def _tf1(picture: Pixels, size: tuple[int, int]) -> NDArray[np.float64]:
    # Without half-pixel centres: place i of the output is place i * (old / new) of the input.
    rows, columns = (
        np.arange(new) * np.float32(old / new)
        for new, old in zip(size, picture.shape[:2], strict=True)
    )
    return (_bilinear(picture, rows, columns) - 128.0) / 128.0


def _unit(picture: Pixels, size: tuple[int, int]) -> NDArray[np.float64]:
    return _bicubic(picture, size) / 255


def _imagenet(picture: Pixels, size: tuple[int, int]) -> NDArray[np.float64]:
    mean, deviation = np.array(IMAGENET_MEAN), np.array(IMAGENET_DEVIATION)
    planes: NDArray[np.float64] = (_unit(picture, size) - mean[:, None, None]) / deviation[
        :, None, None
    ]
    return planes


_WAYS: Mapping[Preprocessing, Callable[[Pixels, tuple[int, int]], NDArray[np.float64]]] = {
    "native": _native,
    "clean": _clean,
    "pytorch-fid-0.3": _pytorch_fid,
    "tf1": _tf1,
    "clean-unit": _unit,
    "clean-imagenet": _imagenet,
}


def _bicubic(picture: Pixels, size: tuple[int, int]) -> NDArray[np.float64]:
    """Resize each channel as float, antialiased; clip to 0..255: (3, height, width)."""
    planes = [
        Image.fromarray(picture[..., channel].astype(np.float32)).resize(
            size[::-1], Image.Resampling.BICUBIC
        )
        for channel in range(3)
    ]
    return np.clip(np.stack([np.asarray(plane, np.float64) for plane in planes]), 0, 255)


def _bilinear(
    picture: Pixels, rows: NDArray[np.floating], columns: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Sample at fractional places, the two nearest pixels each way: (3, rows, columns)."""
    image = picture.transpose(2, 0, 1).astype(np.float64)
    for axis, places in ((1, rows), (2, columns)):
        last = image.shape[axis] - 1
        below = np.minimum(places.astype(np.intp), last)
        share = (places - below).reshape((-1, 1) if axis == 1 else (1, -1))
        low = image.take(below, axis)
        image = low + (image.take(np.minimum(below + 1, last), axis) - low) * share
    return image
