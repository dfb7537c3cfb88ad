"""What compression did to motion, of frames that two models drew of one clip."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.quality.features.extractor import Perceptual
from stylepress.benchmarks.quality.motion.flow import Estimate, Pixels

Film = Sequence[Pixels]
Run = Callable[[Pixels], Pixels]

STILL_FRAMES, NOISE_LEVELS = 8, 4.0


def noisy_stills(still: Pixels, *, seed: int = 0) -> list[Pixels]:
    """Return eight frames of an (H, W, 3) scene where nothing moves but a camera's noise.

    White noise of 4 levels, rounded to uint8.
    """
    draw = np.random.default_rng(seed)
    return [
        np.clip(np.rint(still + draw.normal(0, NOISE_LEVELS, still.shape)), 0, 255).astype(np.uint8)
        for _ in range(STILL_FRAMES)
    ]


def noise_gain(run: Run, stills: Sequence[Pixels]) -> float:
    """Return how many times a model multiplies the noise of a still scene.

    Deviation over time of its frames over that of the frames put in, root mean square over
    pixels: 1 for a model that changes nothing.
    """
    made = [run(frame[np.newaxis])[0] for frame in stills]
    return float(np.sqrt(_variance(made) / _variance(stills)))


def flicker(one: Film, two: Film, *, cuts: Collection[int] = ()) -> float:
    """Return the mean |change of two - change of one| from frame to frame, in levels.

    0 when both models differ by something that does not move. Frames of ``cuts`` follow nothing.
    """
    changes = [
        np.abs(_change(*second) - _change(*first)).mean()
        for first, second in zip(_pairs(one, cuts), _pairs(two, cuts), strict=True)
    ]
    return float(np.mean(changes))


def flow_gap(one: Film, two: Film, estimate: Estimate, *, cuts: Collection[int] = ()) -> float:
    """Return tOF (Chu et al. 2020): the mean distance of both models' estimated flows, in pixels."""
    gaps = [
        estimate(*mine) - estimate(*theirs)
        for mine, theirs in zip(_pairs(one, cuts), _pairs(two, cuts), strict=True)
    ]
    return float(np.mean([np.sqrt(np.square(gap).sum(-1)).mean() for gap in gaps]))


def perceptual_gap(one: Film, two: Film, lpips: Perceptual, *, cuts: Collection[int] = ()) -> float:
    """Return tLP (Chu et al. 2020): 100 |LPIPS change of one - LPIPS change of the other|, mean."""
    mine, theirs = ([lpips.distance(*pair) for pair in _pairs(film, cuts)] for film in (one, two))
    return 100 * float(np.mean([abs(a - b) for a, b in zip(mine, theirs, strict=True)]))


def _pairs(film: Film, cuts: Collection[int]) -> Iterator[tuple[Pixels, Pixels]]:
    """Yield each frame that follows from the one before, after that one."""
    return (pair for number, pair in enumerate(pairwise(film), 1) if number not in cuts)


def _variance(frames: Sequence[Pixels]) -> float:
    """Variance over time, mean over pixels; sums of squares of bytes are exact in float64."""
    total = np.zeros(frames[0].shape)
    squares = np.zeros(frames[0].shape)
    for frame in frames:
        total += frame
        squares += np.square(frame, dtype=np.float64)
    return float(np.mean(squares / len(frames) - np.square(total / len(frames))))


def _change(before: Pixels, after: Pixels) -> NDArray[np.int16]:
    change: NDArray[np.int16] = after.astype(np.int16) - before
    return change
