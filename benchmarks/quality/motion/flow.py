"""Optical flow between two frames: what it is, and who estimates it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Flow = NDArray[np.float32]
Estimate = Callable[[Pixels, Pixels], Flow]
"""Takes two (H, W, 3) frames; where each pixel of the first goes in the second: (H, W, 2) x, y."""


@dataclass(frozen=True, slots=True)
class Flows:
    """Two estimates in pixels: ``source`` is for camera pictures, and ``title`` says which it is.

    ``drawn`` is for frames that models drew: the one that tOF was defined by.
    """

    title: str
    source: Estimate
    drawn: Estimate


def open_flows() -> Flows | str:
    """Return OpenCV's estimates, or why there are none."""
    try:
        from stylepress.benchmarks.quality.motion.opencv import flows
    except ImportError as error:  # missing, or lacking a library of the system
        return f"OpenCV cannot be imported ({error}); `pip install 'stylepress[flow]'`"
    return flows()
