"""Frames carried along a flow, and which of their pixels both frames of a pair show."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]

from stylepress.benchmarks.drift.motion.flow import Flow
from stylepress.benchmarks.pictures.camera import Matrix, motion

Mask = NDArray[np.bool_]

# Sundaram, Brox & Keutzer 2010, as Lai et al. 2018 use them to find what is hidden or uncertain.
CONSISTENCY, SLACK = 0.01, 0.5
EDGE, EDGE_SLACK = 0.01, 0.002


def exact_flow(start: Matrix, end: Matrix, size: tuple[int, int]) -> Flow:
    """Return where each pixel of the frame of ``start`` lies in that of ``end``: (H, W, 2) x, y.

    ``start`` and ``end`` are the (2, 3) matrices of a camera, ``size`` is (height, width).
    """
    turn = motion(start, end)
    y, x = np.indices(size) + 0.5
    there = np.stack([x, y], axis=-1) @ turn[:, :2].T + turn[:, 2]
    flow: Flow = (there - np.stack([x, y], axis=-1)).astype(np.float32)
    return flow


def carried(frame: NDArray[Any], flow: Flow) -> tuple[NDArray[np.float32], Mask]:
    """Sample (H, W, C) ``frame`` where the (H, W, 2) flow of another frame points, bilinear.

    Returns the picture, and which pixels lie whole inside ``frame``.
    """
    height, width = frame.shape[:2]
    y, x = np.indices((height, width), np.float32)
    x, y = x + flow[..., 0], y + flow[..., 1]
    planes = [
        ndimage.map_coordinates(
            frame[..., channel].astype(np.float32), (y, x), order=1, mode="nearest"
        )
        for channel in range(frame.shape[2])
    ]
    inside: Mask = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    return np.stack(planes, axis=-1), inside


def visible(forward: Flow, back: Flow) -> Mask:
    """Return the pixels of the later frame that the earlier one shows too, and surely.

    ``back`` is the flow of the later frame to the earlier, ``forward`` the other way. A pixel is
    left out where both do not lead back to it, and where ``back`` has an edge.
    """
    there, inside = carried(forward, back)
    gap = np.square(there + back).sum(-1)
    lengths = np.square(there).sum(-1) + np.square(back).sum(-1)
    slopes = sum(
        np.square(np.gradient(back[..., axis], axis=way)) for axis in (0, 1) for way in (0, 1)
    )
    edges = slopes > EDGE * np.square(back).sum(-1) + EDGE_SLACK
    mask: Mask = inside & (gap <= CONSISTENCY * lengths + SLACK) & ~edges
    return mask
