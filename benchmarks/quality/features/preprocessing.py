"""How pictures reach a feature network: enumerated, because each way gives other distances."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Planes = NDArray[np.float32]

Preprocessing = Literal["native", "clean", "clean-unit"]
"""``native``: as it is. ``clean``: each channel resized as float by Pillow's bicubic with
antialiasing, clipped, not rounded, (x - 128) / 128. ``clean-unit``: resized as ``clean``, in [0, 1]."""


def prepared(picture: Pixels, preprocessing: Preprocessing, size: tuple[int, int]) -> Planes:
    """Return the (3, height, width) float32 input that (H, W, 3) uint8 RGB becomes."""
    if preprocessing == "native":
        planes = picture.transpose(2, 0, 1) / 255
    else:
        resized = _bicubic(picture, size)
        planes = (resized - 128.0) / 128.0 if preprocessing == "clean" else resized / 255
    made: Planes = np.ascontiguousarray(planes, np.float32)
    return made


def _bicubic(picture: Pixels, size: tuple[int, int]) -> NDArray[np.float64]:
    """Resize each channel as float, antialiased; clip to 0..255: (3, height, width)."""
    planes = [
        Image.fromarray(picture[..., channel].astype(np.float32)).resize(
            size[::-1], Image.Resampling.BICUBIC
        )
        for channel in range(3)
    ]
    return np.clip(np.stack([np.asarray(plane, np.float64) for plane in planes]), 0, 255)
