"""How a video moves from frame to frame, and the warping error of others' frames along it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]

Pixels = NDArray[np.uint8]
Flow = NDArray[np.float32]
Mask = NDArray[np.bool_]
Estimate = Callable[[Pixels, Pixels], Flow]
"""Takes two (H, W, 3) frames; where each pixel of the first goes in the second: (H, W, 2) x, y."""

RELATIVE, ABSOLUTE = 0.01, 0.5
"""Of the consistency of both flows, the latter in square pixels."""
EDGE_RELATIVE, EDGE_ABSOLUTE = 0.01, 0.002
"""Of the edges of motion."""
LEAST_VISIBLE = 0.35
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


def open_flow() -> tuple[str, Estimate] | str:
    """Return the name of OpenCV's estimate and the estimate, or why there is none."""
    try:
        from stylepress.benchmarks.quality.motion import opencv
    except ImportError as error:  # missing, or lacking a library of the system
        return f"OpenCV cannot be imported ({error}); `pip install 'stylepress[flow]'`"
    return opencv.TITLE, opencv.dis


def follow(
    source: Sequence[Pixels], films: Sequence[Sequence[Pixels]], estimate: Estimate
) -> Followed | None:
    """Take E_warp (Lai et al. 2018) of films of T (H, W, 3) frames along the flow of ``source``.

    With M what is visible in both frames and w the flow of the source from frame t to t - 1,
    sum(M (O_t(x) - O_{t-1}(x + w(x)))^2) / sum(M), mean over channels and pairs, in squared units
    of the range [0, 1]. None when no two neighbours show the same scene.
    """
    errors: list[list[float]] = []
    shares: list[float] = []
    cuts: list[int] = []
    for number, (before, frame) in enumerate(pairwise(source), 1):
        back = estimate(frame, before)
        visible = visible_in_both(back, estimate(before, frame))
        if _is_cut(before, frame, back, visible):
            cuts.append(number)
            continue
        shares.append(float(visible.mean()))
        pairs = [(film[number - 1], film[number]) for film in (source, *films)]
        errors.append([pair_error(*pair, back, visible) for pair in pairs])
    if not errors:
        return None
    own, *others = map(float, np.mean(errors, axis=0))
    return Followed(own, tuple(others), float(np.mean(shares)), tuple(cuts))


def _is_cut(before: Pixels, frame: Pixels, back: Flow, visible: Mask) -> bool:
    """Say whether a frame shows another scene: little of it is seen in both, or it looks unlike.

    It does when the one before, carried, tells less of it than its own mean colour would.
    """
    if visible.mean() < LEAST_VISIBLE:
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
    there, length = carried(forth, back), _squared(back)
    same = _squared(back + there) <= RELATIVE * (length + _squared(there)) + ABSOLUTE
    slopes = _squared(np.gradient(back, axis=0)) + _squared(np.gradient(back, axis=1))
    visible: Mask = inside(back) & same & (slopes <= EDGE_RELATIVE * length + EDGE_ABSOLUTE)
    return visible


def inside(flow: Flow) -> Mask:
    """Say which pixels stay between the centres of the outermost ones: (H, W)."""
    y, x = _places(flow)
    height, width = x.shape
    stays: Mask = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return stays


def carried(picture: NDArray[np.generic], flow: Flow) -> Flow:
    """Sample an (H, W, C) picture where an (H, W, 2) flow leads to, bilinear: float32.

    Beyond its rim it goes on as it ends.
    """
    planes = np.moveaxis(picture.astype(np.float32), -1, 0)
    places = _places(flow)
    return np.stack(
        [ndimage.map_coordinates(plane, places, order=1, mode="nearest") for plane in planes], -1
    )


def pair_error(before: Pixels, frame: Pixels, back: Flow, visible: Mask) -> float:
    """Mean squared difference of a frame and the one before it, carried, where ``visible``."""
    difference = (carried(before, back) - frame)[visible]
    return float(np.mean(np.square(difference), dtype=np.float64)) / 255**2


def _places(flow: Flow) -> tuple[Flow, Flow]:
    """Where each pixel goes: y and x, (H, W) each, centres at whole numbers."""
    y, x = np.indices(flow.shape[:2], np.float32)
    return flow[..., 1] + y, flow[..., 0] + x


def _squared(flow: Flow) -> Flow:
    length: Flow = np.square(flow).sum(-1)
    return length
