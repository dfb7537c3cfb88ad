"""What is done to stylized frames after the engine: mixes, masks, and smoothing over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from stylepress.picture import Pixels
from stylepress.runtime.serve.stream import Memory

FINE = 256
MOTION_STEP = 4
MOTION_LEVELS = 24.0
"""Levels of 255 by which a part must change to count as moving altogether."""
FEATHER = 0.01
"""Radius of the soft edge of a mask, as a share of the height."""


def mixed(pictures: Sequence[Pixels], weights: Sequence[float]) -> Pixels:
    """Return the weighted mean of (H, W, 3) uint8 pictures, rounded; the weights sum to 1.

    >>> mixed([np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 200, np.uint8)], [0.5, 0.5])[0, 0, 0]
    np.uint8(100)
    """
    if len(pictures) == 1:
        return pictures[0]
    parts = [round(FINE * weight) for weight in weights]
    parts[parts.index(max(parts))] += FINE - sum(parts)
    # 16 bits hold 255 * 256: four passes over memory instead of those of float32.
    total = np.multiply(pictures[0], np.uint16(parts[0]), dtype=np.uint16)
    total += np.uint16(FINE // 2)
    scaled = np.empty_like(total)
    for picture, part in zip(pictures[1:], parts[1:], strict=True):
        total += np.multiply(picture, np.uint16(part), out=scaled, dtype=np.uint16)
    total >>= 8
    return total.astype(np.uint8)


def masked(before: Pixels, after: Pixels, mask: Pixels) -> Pixels:
    """Return ``after`` where the (H, W) mask is 255, ``before`` where it is 0, and between them."""
    share = mask[..., None].astype(np.uint16)
    share += share >> 7  # 255 becomes 256, so that it is all of one picture
    total = np.multiply(after, share, dtype=np.uint16)
    total += np.multiply(before, np.uint16(FINE) - share, dtype=np.uint16)
    total >>= 8
    return total.astype(np.uint8)


def fitted_mask(mask: Pixels, size: tuple[int, int]) -> Pixels:
    """Scale a painted (h, w) uint8 mask to (height, width) and make its edge soft."""
    height, width = size
    image = Image.fromarray(mask).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(FEATHER * height)), np.uint8)


def smoothed(before: Pixels, after: Pixels, memory: Memory, amount: float) -> Pixels:
    """Damp the flicker of a stylized frame where the camera's picture stands still.

    An exponential mean of the stylized frames: where the input ``before`` moves it follows at
    once, where it stands still only ``1 - amount`` of the change is taken. The mean is kept in
    ``memory``.
    """
    coarse = before[::MOTION_STEP, ::MOTION_STEP].mean(-1, dtype=np.float32)
    if memory.smoothed is None or memory.before is None or memory.smoothed.shape != after.shape:
        memory.smoothed, memory.before = after.astype(np.float32), coarse
        return after
    motion = _widest(np.minimum(np.abs(coarse - memory.before) / MOTION_LEVELS, 1))
    memory.before = coarse
    share = 1 - amount * (1 - motion)
    height, width = after.shape[:2]
    fine = share.repeat(MOTION_STEP, 0)[:height].repeat(MOTION_STEP, 1)[:, :width, None]
    change = np.subtract(after, memory.smoothed, dtype=np.float32)
    change *= fine
    memory.smoothed += change
    return np.add(memory.smoothed, 0.5).astype(np.uint8)


def _widest(motion: NDArray[np.float32]) -> NDArray[np.float32]:
    """Let each point move as its fastest neighbour does, so that edges leave no trail."""
    padded = np.pad(motion, 1, mode="edge")
    rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    return np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
