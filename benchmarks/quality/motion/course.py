"""How a video moves from frame to frame, and the warping error of others' frames along it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.quality.motion.flow import Estimate, Flow, Pixels

Mask = NDArray[np.bool_]

RELATIVE, ABSOLUTE = 0.01, 0.5
"""Of the consistency of both flows, the latter in square pixels."""
EDGE_RELATIVE, EDGE_ABSOLUTE = 0.01, 0.002
"""Of the edges of motion."""
LEAST_SEEN = 0.35
"""Cuts between ten photos left 0.05 to be seen in both at most, a camera that moved by 4 of 256
pixels 0.94 at least; black bars, 26 % of a cinema film, never move."""
FLAT_LEVELS = 10
"""By how much noise and light may change a scene that has no structure of its own."""


@dataclass(frozen=True, slots=True)
class Followed:
    """E_warp of a source and of each film; the mean share of pixels that two frames both show.

    ``cuts`` are numbers of frames that do not follow from the one before; they count for nothing.
    """

    source_error: float
    warp_errors: tuple[float, ...]
    visible: float
    cuts: tuple[int, ...]


def follow(
    source: Sequence[Pixels], films: Sequence[Sequence[Pixels]], estimate: Estimate
) -> Followed | None:
    """Take E_warp (Lai et al. 2018) of films of T (H, W, 3) frames along the flow of ``source``.

    With M what is visible in both frames and w the flow of the source from frame t to t - 1,
    sum(M (O_t(x) - O_{t-1}(x + w(x)))^2) / sum(M), mean over channels and pairs, in squared units
    of the range [0, 1]. None when no two neighbours show the same scene.
    """
    errors: list[list[float]] = []
    seen: list[float] = []
    cuts: list[int] = []
    for number, (before, frame) in enumerate(pairwise(source), 1):
        back = estimate(frame, before)
        visible = visible_in_both(back, estimate(before, frame))
        if _is_cut(before, frame, back, visible):
            cuts.append(number)
            continue
        seen.append(float(visible.mean()))
        pairs = [(film[number - 1], film[number]) for film in (source, *films)]
        errors.append([pair_error(*pair, back, visible) for pair in pairs])
    if not errors:
        return None
    own, *others = map(float, np.mean(errors, axis=0))
    return Followed(own, tuple(others), float(np.mean(seen)), tuple(cuts))


def _is_cut(before: Pixels, frame: Pixels, back: Flow, visible: Mask) -> bool:
    """Say whether a frame shows another scene: little of it is seen in both, or it looks unlike.

    It does when the one before, carried, tells less of it than its own mean colour would.
    """
    if visible.mean() < LEAST_SEEN:
        return True
    spread = max(float(frame[visible].var(axis=0).mean()), FLAT_LEVELS**2)
    return pair_error(before, frame, back, visible) > spread / 255**2


def visible_in_both(back: Flow, forth: Flow) -> Mask:
    """Say which pixels of a frame the one before shows too: (H, W).

    The rule of Ruder et al. 2016, which Lai et al. 2018 mask by. With w = ``back`` from the frame to
    the one before it, and v = ``forth`` the other way, taken at x + w(x): hidden before where
    |w + v|^2 > 0.01 (|w|^2 + |v|^2) + 0.5, at an edge of motion where
    |grad w_x|^2 + |grad w_y|^2 > 0.01 |w|^2 + 0.002, and outside where x + w(x) is.
    """
    there = carried(forth, back)
    length = _squared(back)
    same = _squared(back + there) <= RELATIVE * (length + _squared(there)) + ABSOLUTE
    slopes = _squared(np.gradient(back, axis=0)) + _squared(np.gradient(back, axis=1))
    smooth = slopes <= EDGE_RELATIVE * length + EDGE_ABSOLUTE
    visible: Mask = inside(back) & same & smooth
    return visible


def inside(flow: Flow) -> Mask:
    """Say which pixels stay between the centres of the outermost ones: (H, W)."""
    x, y = _places(flow)
    height, width = x.shape
    stays: Mask = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return stays


def carried(picture: NDArray[np.generic], flow: Flow) -> NDArray[np.float32]:
    """Sample an (H, W, C) picture where an (H, W, 2) flow leads to, bilinear: float32.

    Beyond its rim it goes on as it ends.
    """
    x, y = _places(flow)
    height, width = x.shape
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    left = np.minimum(x.astype(np.intp), max(width - 2, 0))
    top = np.minimum(y.astype(np.intp), max(height - 2, 0))
    right, below = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across = (x - left).astype(np.float32)[..., np.newaxis]
    down = (y - top).astype(np.float32)[..., np.newaxis]
    values = picture.astype(np.float32)
    upper = values[top, left] * (1 - across) + values[top, right] * across
    lower = values[below, left] * (1 - across) + values[below, right] * across
    made: NDArray[np.float32] = upper * (1 - down) + lower * down
    return made


def pair_error(before: Pixels, frame: Pixels, back: Flow, visible: Mask) -> float:
    """Mean squared difference of a frame and the one before it, carried, where ``visible``."""
    difference = (carried(before, back) - frame)[visible]
    return float(np.mean(np.square(difference), dtype=np.float64)) / 255**2


def _places(flow: Flow) -> tuple[Flow, Flow]:
    """Where each pixel goes: x and y, (H, W) each, centres at whole numbers."""
    height, width = flow.shape[:2]
    y, x = np.indices((height, width), np.float32)
    return flow[..., 0] + x, flow[..., 1] + y


def _squared(flow: Flow) -> Flow:
    length: Flow = np.square(flow).sum(-1)
    return length
