"""A moving test picture, drawn by arithmetic: for trying things out without a camera."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from stylepress.picture import Pixels
from stylepress.runtime.serve.slots import SlotWriter
from stylepress.runtime.serve.source.process import Pace

USUAL_SIZE, USUAL_FPS = (360, 640), 30.0
BARS = ((235, 235, 235), (235, 235, 16), (16, 235, 235), (16, 235, 16), (235, 16, 235), (235, 16, 16), (16, 16, 235))  # fmt: skip


def read(wish: Mapping[str, Any], writer: SlotWriter) -> None:
    """Draw frames at the wanted size and rate, for ever."""
    height, width = wish["size"] or USUAL_SIZE
    fps = float(wish["fps"] or USUAL_FPS)
    still = background(height, width)
    pace = Pace(None)
    writer.tell("opened", width=width, height=height, fps=fps, codec="drawn")
    number = 0
    while True:
        pace.wait(number / fps)
        slot = writer.slot()
        if slot is not None:
            view = writer.memory.frame(slot, height, width)
            np.copyto(view, still)
            draw_ball(view, number / fps)
            writer.send(slot, height, width, time.monotonic_ns())
        number += 1


def background(height: int, width: int) -> Pixels:
    """Colour bars over a landscape of hills: (height, width, 3) uint8, with edges and gradients."""
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    sky = np.stack([90 + 120 * y + 0 * x, 140 + 60 * y + 0 * x, 230 - 60 * y + 0 * x], -1)
    for level, (depth, colour) in enumerate([(0.45, (86, 120, 96)), (0.6, (66, 92, 60)), (0.75, (44, 60, 40))]):  # fmt: skip
        ridge = depth + 0.08 * np.sin(7 * x + 2 * level) + 0.03 * np.sin(23 * x + 5 * level)
        shade = np.array(colour, np.float32) * (1.25 - 0.5 * y[..., None])
        sky = np.where((y > ridge)[..., None], shade, sky)
    bars = max(1, height // 12)
    picture = np.clip(sky, 0, 255).astype(np.uint8)
    for number, colour in enumerate(BARS):
        left, right = (width * edge // len(BARS) for edge in (number, number + 1))
        picture[-bars:, left:right] = colour
    return picture


def draw_ball(view: Pixels, seconds: float) -> None:
    """Draw a shaded ball where it is at that time, in place."""
    height, width = view.shape[:2]
    radius = max(2, height // 7)
    middle_x = radius + (width - 2 * radius) * (0.5 - 0.5 * np.cos(1.1 * seconds))
    middle_y = height * 0.72 - radius - (height * 0.5 - radius) * abs(np.sin(2.3 * seconds))
    top, left = max(0, int(middle_y) - radius), max(0, int(middle_x) - radius)
    part = view[top : top + 2 * radius, left : left + 2 * radius]
    y = (np.arange(part.shape[0], dtype=np.float32)[:, None] + top - middle_y) / radius
    x = (np.arange(part.shape[1], dtype=np.float32)[None, :] + left - middle_x) / radius
    inside = x * x + y * y <= 1
    light = np.clip(1.1 - 0.6 * ((x + 0.4) ** 2 + (y + 0.4) ** 2), 0.15, 1)
    colour = np.array([240, 90, 40], np.float32) * light[..., None]
    np.copyto(part, colour.astype(np.uint8), where=inside[..., None])
