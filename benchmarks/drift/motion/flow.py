"""Optical flow of stylized frames, estimated by OpenCV."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Flow = NDArray[np.float32]
Estimate = Callable[[Pixels, Pixels], Flow]
"""Takes two (H, W, 3) frames; where each pixel of the first goes in the second: (H, W, 2) x, y."""

SETTINGS: Mapping[str, float | int] = {
    "pyr_scale": 0.5,
    "levels": 3,
    "winsize": 15,
    "iterations": 3,
    "poly_n": 5,
    "poly_sigma": 1.2,
    "flags": 0,
}
"""Of Farneback 2003, as TecoGAN's metrics take it."""


def estimator() -> Estimate | str:
    """Return OpenCV's flow in pixels, or why there is none."""
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError as error:  # missing, or lacking a library of the system
        return f"OpenCV cannot be imported ({error}); `pip install opencv-python-headless`"

    def estimate(start: Pixels, end: Pixels) -> Flow:
        one, two = (cv2.cvtColor(np.ascontiguousarray(f), cv2.COLOR_RGB2GRAY) for f in (start, end))
        return np.asarray(cv2.calcOpticalFlowFarneback(one, two, None, **SETTINGS), np.float32)

    return estimate
