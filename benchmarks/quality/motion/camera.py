"""A camera of exactly known motion over a still photo, and the warping error along that motion.

A matrix (2, 3) maps a place in the frame to a place on the still, in pixels, where the centre of
pixel (i, j) lies at (i + 0.5, j + 0.5). The motion from frame t to frame u is then exactly
``inverse(A_u) A_t``, with no occlusion: an oracle for the consistency of stylized video.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stylepress.benchmarks.quality.motion.course import Flow, inside, pair_error
from stylepress.picture import read_picture

Matrix = NDArray[np.float64]
Frame = NDArray[np.uint8]

ZOOM = 0.12
ROLL = math.radians(3)
ROOM = 1.35
PAN = 0.15
LOOP = 300
"""Frames of a camera's whole way, in ten seconds of video."""
ABOVE = 0.3
"""Where the camera stands in the room that a tall photo leaves: what matters is above the middle."""


def camera(photo: Path, size: tuple[int, int], count: int) -> tuple[Image.Image, Matrix]:
    """Enlarge a photo smoothly until the camera finds room on it; return it and (count, 2, 3).

    The still is never sampled coarser than its own pixels, so nothing aliases. Frame ``count``
    would be frame 0 again.
    """
    still = Image.fromarray(read_picture(photo).pixels)
    height, width = size
    enlarge = max(ROOM * width / still.width, ROOM * height / still.height)
    sides = math.ceil(still.width * enlarge), math.ceil(still.height * enlarge)
    still = still.resize(sides, Image.Resampling.LANCZOS)
    turn = 2 * np.pi * np.arange(count) / count
    scale, roll = 1 - ZOOM * (1 - np.cos(turn)) / 2, ROLL * np.sin(turn)
    cos, sin = scale * np.cos(roll), scale * np.sin(roll)
    reach_x = (np.abs(cos) * width + np.abs(sin) * height).max() / 2
    reach_y = (np.abs(sin) * width + np.abs(cos) * height).max() / 2
    pan_x = min(PAN * width, still.width / 2 - reach_x - 1)
    pan_y = min(PAN * height, still.height / 2 - reach_y - 1)
    x = still.width / 2 + pan_x * np.sin(turn)
    top = reach_y + pan_y + 1
    y = top + ABOVE * (still.height - 2 * top) + pan_y * np.cos(turn)
    across, down = width / 2, height / 2
    first = np.stack([cos, -sin, x - cos * across + sin * down], axis=-1)
    second = np.stack([sin, cos, y - sin * across - cos * down], axis=-1)
    return still, np.stack([first, second], axis=1)


def views_of(photo: Path, size: tuple[int, int], count: int) -> tuple[list[Frame], Matrix]:
    """Return ``count`` neighbouring frames (H, W, 3) of a camera over a photo, and their matrices.

    They lie as far apart as in ten seconds of video.
    """
    still, matrices = camera(photo, size, LOOP)
    return [np.array(view) for view in render(still, matrices[:count], size)], matrices[:count]


def render(still: Image.Image, matrices: Matrix, size: tuple[int, int]) -> Iterator[Frame]:
    """Yield the (H, W, 3) uint8 frame that each (2, 3) matrix sees, bilinear."""
    for matrix in matrices:
        affine, place = Image.Transform.AFFINE, tuple(matrix.ravel())
        yield np.asarray(still.transform(size[::-1], affine, place, Image.Resampling.BILINEAR))


def warp_error(frames: Sequence[Frame], affines: Matrix) -> float:
    """E_warp: mean squared difference of each frame and its predecessor carried along the motion.

    ``frames`` are T (H, W, 3) uint8, ``affines`` (T, 2, 3); only pixels that both frames show count.
    In squared units of the range [0, 1], mean over pairs; a sharp still picture has a small floor
    from interpolation.
    """
    errors = []
    for (before, frame), (start, end) in zip(pairwise(frames), pairwise(affines), strict=True):
        way = flow(motion(end, start), (frame.shape[0], frame.shape[1]))
        visible = inside(way)
        errors.append(pair_error(before, frame, way, visible) if visible.any() else 0.0)
    return float(np.mean(errors))


def motion(start: Matrix, end: Matrix) -> Matrix:
    """Where a place in the frame of ``start`` lies in the frame of ``end``: (2, 3)."""
    bottom = np.array([[0.0, 0.0, 1.0]])
    there: Matrix = np.linalg.solve(np.vstack([end, bottom]), np.vstack([start, bottom]))
    return there[:2]


def flow(back: Matrix, size: tuple[int, int]) -> Flow:
    """Return a motion as the way of each pixel in frames of (height, width): (H, W, 2) x, y."""
    y, x = np.indices(size) + 0.5
    there = np.stack([x, y, np.ones_like(x)], axis=-1) @ back.T
    way: Flow = (there - np.stack([x, y], axis=-1)).astype(np.float32)
    return way
