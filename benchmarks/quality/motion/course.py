"""How a video moves from frame to frame, and the warping error of others' frames along it.

Estimated where nobody knows how it moves, and known exactly of a camera over a still photo, with no
occlusion: an oracle for the consistency of stylized video. A matrix (2, 3) maps a place in the frame to a
place on the still, in pixels, where the centre of pixel (i, j) lies at (i + 0.5, j + 0.5). The motion from
frame t to frame u is then exactly ``inverse(A_u) A_t``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage  # type: ignore[import-untyped]

from stylepress.picture import Pixels, read_picture

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


Matrix = NDArray[np.float64]

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


def views_of(photo: Path, size: tuple[int, int], count: int) -> tuple[list[Pixels], Matrix]:
    """Return ``count`` neighbouring frames (H, W, 3) of a camera over a photo, and their matrices.

    They lie as far apart as in ten seconds of video.
    """
    still, matrices = camera(photo, size, LOOP)
    return [np.array(view) for view in render(still, matrices[:count], size)], matrices[:count]


def render(still: Image.Image, matrices: Matrix, size: tuple[int, int]) -> Iterator[Pixels]:
    """Yield the (H, W, 3) uint8 frame that each (2, 3) matrix sees, bilinear."""
    for matrix in matrices:
        affine, place = Image.Transform.AFFINE, tuple(matrix.ravel())
        yield np.asarray(still.transform(size[::-1], affine, place, Image.Resampling.BILINEAR))


def warp_error(frames: Sequence[Pixels], affines: Matrix) -> float:
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
