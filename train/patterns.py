"""Style pictures drawn by arithmetic: stationary, of any size, free of anybody's rights.

A style picture should look alike everywhere: the style loss compares the output with random
crops of it, and a crop of a composed painting is not the painting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from stylepress.errors import RecipeError

Picture: TypeAlias = NDArray[np.uint8]
Field: TypeAlias = NDArray[np.float32]

GLASS = ("#c0281f", "#e8a21b", "#15489c", "#1b7f5c", "#f2e3b0", "#6a2a7c", "#e06a1e", "#3aa3c9")
NIGHT = ("#0d2350", "#1c4587", "#2f6fb0", "#7fb2d0", "#f0c54a", "#f6e7a8", "#14305f", "#4a8fb8")
PAPER, TONE, INK = (243, 231, 203), (196, 124, 66), (34, 27, 32)


def draw(pattern: str, *, seed: int, size: int) -> Picture:
    """Draw a named pattern: (size, size, 3) uint8 RGB.

    >>> draw("glass", seed=1, size=64).shape
    (64, 64, 3)

    Raises:
        RecipeError: no such pattern, or a size outside 32..4096.
    """
    if pattern not in PATTERNS:
        raise RecipeError(
            f"There is no pattern {pattern!r}.", f"Choose one of {', '.join(sorted(PATTERNS))}."
        )
    if not 32 <= size <= 4096:
        raise RecipeError(
            f"A pattern of {size} px cannot be drawn.", "Choose a size of 32 to 4096."
        )
    return PATTERNS[pattern](np.random.default_rng(seed), size)


def glass(rng: np.random.Generator, size: int) -> Picture:
    """Stained glass: bright panes, each with its own grain, between dark lead."""
    count = max(4, (size * size) // 1500)
    seeds = rng.uniform(0, size, (count, 2)).astype(np.float32)
    nearest, second, pane = _two_nearest(seeds, size)
    lead = 2.2 + 1.3 * smooth_noise(rng, size, 40)
    palette = _rgb(GLASS)
    colour = palette[rng.integers(len(palette), size=count)]
    colour = colour * rng.uniform(0.8, 1.12, (count, 1)).astype(np.float32)
    light = 1 + 0.16 * smooth_noise(rng, size, 24) + 0.07 * smooth_noise(rng, size, 5)
    rim = np.clip((second - nearest) / 14, 0, 1)  # panes are darker towards the lead
    image = colour[pane] * (light * (0.72 + 0.28 * rim))[..., None]
    cover = np.clip((second - nearest) * 0.5 - lead + 0.5, 0, 1)[..., None]
    image = image * cover + np.float32(18) * (1 - cover)
    return np.clip(image, 0, 255).astype(np.uint8)


def strokes(rng: np.random.Generator, size: int) -> Picture:
    """Flowing brush strokes: bristles that follow a swirling field, night blues and warm lights."""
    scale = 2
    wide = size * scale
    angle = 2.2 * np.pi * smooth_noise(rng, size, 90)
    tone = smooth_noise(rng, size, 70)
    palette = _rgb(NIGHT)
    order = np.argsort(palette.sum(axis=1))
    canvas = Image.new("RGB", (wide, wide), tuple(int(v) for v in palette[order[1]]))
    pen = ImageDraw.Draw(canvas)
    for _ in range(size * size // 55):
        spot = rng.uniform(0, size, 2)
        path = _follow(angle, spot, length=int(rng.integers(12, 30)), step=2.0)
        level = (tone[int(spot[1]) % size, int(spot[0]) % size] + 1) / 2 + rng.normal(0, 0.13)
        index = order[int(np.clip(level * len(palette), 0, len(palette) - 1))]
        _bristles(pen, path * scale, palette[index], rng)
    small = canvas.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(small, dtype=np.uint8)


def woodcut(rng: np.random.Generator, size: int) -> Picture:
    """Chiaroscuro woodcut: dark ink, a warm tone block, and gouged lights on paper.

    The three tones follow one brightness, and lines stand only between ink and tone and between
    tone and paper, so that a light spot of a photo has one colour to become.
    """
    angle = 1.6 * np.pi * smooth_noise(rng, size, 90)
    grooves = _grooves(rng, angle, period=11.0)
    tone = 1.1 * smooth_noise(rng, size, 28)
    rough = 0.10 * smooth_noise(rng, size, 3)
    cut = tone + 1.15 * grooves + rough
    ink = np.clip((-0.3 - cut) * 5 + 0.5, 0, 1)[..., None]
    paper = np.clip((cut - 0.5) * 5 + 0.5, 0, 1)[..., None]
    grain = 1 + 0.03 * smooth_noise(rng, size, 3)[..., None]
    image: Field = _level(TONE) * (1 - ink - paper) + _level(INK) * ink + _level(PAPER) * paper
    return np.clip(image * grain, 0, 255).astype(np.uint8)


PATTERNS: dict[str, Callable[[np.random.Generator, int], Picture]] = {
    "glass": glass,
    "strokes": strokes,
    "woodcut": woodcut,
}


def smooth_noise(rng: np.random.Generator, size: int, period: float) -> Field:
    """Periodic noise with features of about ``period`` pixels: (size, size), deviation 0.5."""
    frequency = np.fft.fftfreq(size).astype(np.float32)
    radius2 = frequency[:, None] ** 2 + frequency[None, : size // 2 + 1] ** 2
    shaped = np.fft.rfft2(rng.normal(size=(size, size))) * np.exp(-radius2 * (period**2) * 2)
    noise = np.fft.irfft2(shaped, s=(size, size))
    return (0.5 * noise / max(float(noise.std()), 1e-12)).astype(np.float32)


def _grooves(rng: np.random.Generator, angle: Field, *, period: float) -> Field:
    """Wavy lines across a field of angles, by smearing noise along it: deviation 0.5.

    Line integral convolution (Cabral & Leedom 1993) of band-passed noise.
    """
    size = len(angle)
    noise = smooth_noise(rng, size, period / 4) - smooth_noise(rng, size, period / 2)
    noise -= noise.mean()
    y, x = np.mgrid[:size, :size].astype(np.float32)
    total = noise.copy()
    for way in (-1.0, 1.0):
        u, v = x.copy(), y.copy()
        for _ in range(int(3 * period)):
            turn = angle[v.astype(np.intp) % size, u.astype(np.intp) % size]
            u, v = u + way * np.cos(turn), v + way * np.sin(turn)
            total += noise[v.astype(np.intp) % size, u.astype(np.intp) % size]
    lines: Field = (0.5 * total / total.std()).astype(np.float32)
    return lines


def _two_nearest(seeds: Field, size: int) -> tuple[Field, Field, NDArray[np.intp]]:
    """Distances to the nearest and second nearest seed on a torus, and which is the nearest."""
    nearest = np.empty((size, size), np.float32)
    second = np.empty((size, size), np.float32)
    which = np.empty((size, size), np.intp)
    across = np.abs(np.arange(size, dtype=np.float32)[:, None] - seeds[None, :, 0])
    across = np.minimum(across, size - across) ** 2
    for row in range(size):
        down = np.abs(row - seeds[:, 1])
        square = across + np.minimum(down, size - down)[None, :] ** 2
        two = np.argpartition(square, 1, axis=1)[:, :2]
        pair = np.take_along_axis(square, two, axis=1)
        first = pair.argmin(axis=1)
        which[row] = two[np.arange(size), first]
        nearest[row], second[row] = np.sqrt(pair.min(axis=1)), np.sqrt(pair.max(axis=1))
    return nearest, second, which


def _follow(angle: Field, start: NDArray[np.float64], *, length: int, step: float) -> Field:
    """Walk along a field of angles: (length, 2) points in pixels."""
    size = len(angle)
    points = np.empty((length, 2), np.float32)
    x, y = float(start[0]), float(start[1])
    for index in range(length):
        points[index] = x, y
        turn = float(angle[int(y) % size, int(x) % size])
        x, y = x + step * np.cos(turn), y + step * np.sin(turn)
    return points


def _bristles(
    pen: ImageDraw.ImageDraw, path: Field, colour: Field, rng: np.random.Generator
) -> None:
    """Draw one stroke as a few parallel bristles, each a little lighter or darker."""
    along = np.gradient(path, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-6)
    tint = rng.normal(0, 9, 3)
    for offset in (-4.4, -1.6, 1.4, 4.2):
        shade = colour * (1 + rng.normal(0, 0.13)) + tint
        line = path + across * np.float32(offset + rng.normal(0, 0.5))
        fill = tuple(int(v) for v in np.clip(shade, 0, 255))
        pen.line([(float(a), float(b)) for a, b in line], fill=fill, width=4, joint="curve")


def _level(colour: tuple[int, int, int]) -> Field:
    return np.array(colour, np.float32)


def _rgb(names: tuple[str, ...]) -> Field:
    return np.array([[int(n[i : i + 2], 16) for i in (1, 3, 5)] for n in names], np.float32)
