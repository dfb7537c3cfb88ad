"""Optical flow between two frames, estimated by OpenCV: the only file that imports it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from stylepress.benchmarks.quality.motion.flow import Flow, Flows, Pixels
from stylepress.runtime.machine import usable_cores

FINEST = 0
"""DIS ends at the picture itself, not at half of it: half the error along a known camera."""


def flows() -> Flows:
    """Return the flows of this OpenCV, with its version."""
    return Flows(f"OpenCV {cv2.__version__} DIS medium", dis, farneback)


def dis(start: Pixels, end: Pixels) -> Flow:
    """Estimate by dense inverse search (Kroeger et al. 2016): sharp, for the flow of a source.

    The result does not depend on how many threads compute it.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(FINEST)
    still = np.zeros((*start.shape[:2], 2), np.float32)
    with _usable_threads():
        return np.asarray(search.calc(_grey(start), _grey(end), still), np.float32)


def farneback(start: Pixels, end: Pixels) -> Flow:
    """Estimate by Farneback 2003 with the settings of TecoGAN's metrics, for tOF."""
    found = np.zeros((*start.shape[:2], 2), np.float32)
    with _usable_threads():
        return np.asarray(
            cv2.calcOpticalFlowFarneback(
                _grey(start),
                _grey(end),
                found,
                pyr_scale=0.5,
                levels=3,
                winsize=15,
                iterations=3,
                poly_n=5,
                poly_sigma=1.2,
                flags=0,
            ),
            np.float32,
        )


def _grey(frame: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY), np.uint8)


@contextmanager
def _usable_threads() -> Iterator[None]:
    """Let OpenCV use the cores that this process may use; its pool belongs to the process."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(usable_cores())
    try:
        yield
    finally:
        cv2.setNumThreads(before)
