"""Optical flow between two frames, estimated by OpenCV: the only file that imports it."""

from __future__ import annotations

import cv2
import numpy as np

from stylepress.benchmarks.quality.motion.course import Flow
from stylepress.picture import Pixels
from stylepress.runtime.machine import usable_cores

TITLE = f"OpenCV {cv2.__version__} DIS medium"
FINEST = 0
"""DIS ends at the picture itself, not at half of it: half the error along a known camera."""


def dis(start: Pixels, end: Pixels) -> Flow:
    """Estimate by dense inverse search (Kroeger et al. 2016): sharp, for the flow of a source.

    The result does not depend on how many threads compute it.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(FINEST)
    still = np.zeros((*start.shape[:2], 2), np.float32)
    before = cv2.getNumThreads()
    cv2.setNumThreads(usable_cores())  # of its pool, which belongs to the process
    try:
        return np.asarray(search.calc(_grey(start), _grey(end), still), np.float32)
    finally:
        cv2.setNumThreads(before)


def _grey(frame: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY), np.uint8)
