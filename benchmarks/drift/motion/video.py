"""What compression did to motion: flicker along the source's flow, and against the original model.

Every figure is taken for both models on the same source frames along the same flow, which comes
from the source alone; the unit of an interval is the clip, for frames of one clip are alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.drift.features.extractor import Perceptual
from stylepress.benchmarks.drift.motion.flow import Estimate, Flow, estimator
from stylepress.benchmarks.drift.motion.warp import Mask, carried, exact_flow, visible
from stylepress.benchmarks.drift.result import Interval
from stylepress.benchmarks.part import Part, Skipped
from stylepress.benchmarks.pictures.camera import camera, render
from stylepress.errors import FrameError
from stylepress.progress import Progress

Pixels = NDArray[np.uint8]
Run = Callable[[Pixels], Pixels]

TURN = 300
"""Frames of a whole loop of the camera: a clip is the first few of them."""
STILL_FRAMES, NOISE_LEVELS = 8, 4.0
RESAMPLES, LEAST_CLIPS = 1000, 6


@dataclass(frozen=True, slots=True)
class Paced:
    """A source clip: T (H, W, 3) uint8 frames, and the flow of each frame to the one before.

    ``flows`` and ``masks`` have T - 1 entries; a mask holds the pixels both frames show.
    """

    name: str
    frames: tuple[Pixels, ...]
    flows: tuple[Flow, ...]
    masks: tuple[Mask, ...]
    flow: str


class ClipDrift(Part):
    """One clip. Errors are mean squared differences in units of the range [0, 1].

    ``warp_*`` is the warping error of the source, of the original's and of the compressed model's
    frames. ``flicker`` is the mean absolute difference, in levels, between the frame-to-frame
    change of the compressed model and that of the original. ``tof`` is the mean distance of both
    models' flows in pixels, ``tlp`` 100 |LPIPS change of one - LPIPS change of the other|.
    """

    clip: str
    frames: int
    flow: str
    warp_source: float
    warp_original: float
    warp_compressed: float
    flicker: float
    tof: float | None
    tlp: float | None


class NoiseGain(Part):
    """How much of a camera's noise comes out of a model on a still scene.

    Deviation over time of the output over that of the input, root mean square over pixels.
    """

    levels: float
    frames: int
    original: float
    compressed: float


class VideoDrift(Part):
    """All clips, the drift of the warping error over them, and the gain of static noise.

    ``warp_drift`` is E_warp(compressed) - E_warp(original), the mean over clips; its bounds come
    from a bootstrap over clips and are null below 6 clips.
    """

    original: str
    compressed: str
    clips: tuple[ClipDrift, ...]
    warp_drift: Interval
    flicker: float
    noise: NoiseGain | None
    skipped: tuple[Skipped, ...]


def oracle_clip(photo: Path, size: tuple[int, int], count: int) -> Paced:
    """Move a camera over a photo: every flow is known exactly, and nothing is hidden.

    Raises:
        FrameError: fewer than two frames, or a photo that cannot be read.
    """
    if count < 2:
        raise FrameError(f"A clip of {count} frames has no motion. Ask for at least two.")
    still, matrices = camera(photo, size, max(TURN, count))
    frames = tuple(np.array(frame) for frame in render(still, matrices[:count], size))
    flows = tuple(exact_flow(matrices[n], matrices[n - 1], size) for n in range(1, count))
    masks = tuple(carried(frames[0], flow)[1] for flow in flows)
    return Paced(photo.name, frames, flows, masks, "exact")


def estimated_clip(name: str, frames: Sequence[Pixels], found: tuple[Estimate, str]) -> Paced:
    """Estimate the flow of source frames, both ways, and leave out what is hidden.

    Raises:
        FrameError: fewer than two frames.
    """
    if len(frames) < 2:
        raise FrameError(f"A clip of {len(frames)} frames has no motion. Give at least two.")
    estimate, title = found
    flows, masks = [], []
    for before, frame in pairwise(frames):
        back = estimate(frame, before)
        flows.append(back)
        masks.append(visible(estimate(before, frame), back))
    return Paced(name, tuple(frames), tuple(flows), tuple(masks), title)


def video_drift(
    original: tuple[str, Run],
    compressed: tuple[str, Run],
    clips: Sequence[Paced],
    *,
    lpips: Perceptual | str,
    still: Pixels | None,
    progress: Progress,
    seed: int = 0,
) -> VideoDrift:
    """Run both models on every clip, and on a noisy (H, W, 3) ``still`` where one is given.

    Raises:
        FrameError: no clip.
    """
    if not clips:
        raise FrameError("There is no clip to look at. Give at least one.")
    found = estimator()
    progress.start("Following motion", len(clips))
    drifts = []
    for clip in clips:
        one, two = (
            [run(frame[np.newaxis])[0] for frame in clip.frames]
            for _, run in (original, compressed)
        )
        drifts.append(_clip(clip, one, two, found, lpips))
        progress.advance(note=clip.name)
    progress.finish()
    skipped = [
        Skipped(what=what, why=why)
        for what, why in (("tOF", found), ("tLP", lpips))
        if isinstance(why, str)
    ]
    return VideoDrift(
        original=original[0],
        compressed=compressed[0],
        clips=tuple(drifts),
        warp_drift=_over_clips([one.warp_compressed - one.warp_original for one in drifts], seed),
        flicker=float(np.mean([one.flicker for one in drifts])),
        noise=None
        if still is None
        else NoiseGain(
            levels=NOISE_LEVELS,
            frames=STILL_FRAMES,
            original=noise_gain(original[1], still, seed=seed),
            compressed=noise_gain(compressed[1], still, seed=seed),
        ),
        skipped=tuple(skipped),
    )


def noise_gain(
    run: Run,
    still: Pixels,
    *,
    levels: float = NOISE_LEVELS,
    frames: int = STILL_FRAMES,
    seed: int = 0,
) -> float:
    """Return how many times a model multiplies white noise of ``levels`` on a still picture.

    1 for a model that changes nothing; both deviations are of 8-bit frames, over time.
    """
    draw = np.random.default_rng(seed)
    sums = np.zeros((4, *still.shape))
    for _ in range(frames):
        noise = draw.normal(0, levels, still.shape)
        frame = np.clip(np.rint(still + noise), 0, 255).astype(np.uint8)
        made = run(frame[np.newaxis])[0]
        for place, values in enumerate((frame, made)):
            sums[2 * place] += values
            sums[2 * place + 1] += np.square(values, dtype=np.float64)
    variances = [
        float(np.mean(sums[place + 1] / frames - np.square(sums[place] / frames)))
        for place in (0, 2)
    ]
    if variances[0] <= 0:
        raise FrameError(
            f"Noise of {levels} levels leaves a picture of {still.min()} to {still.max()} as it "
            f"is. Take a picture that is not over- or underexposed."
        )
    return float(np.sqrt(max(variances[1], 0.0) / variances[0]))


def warp_errors(frames: Sequence[Pixels], clip: Paced) -> Iterator[float]:
    """Yield E_warp of each pair: the frame before, carried along the source's flow, against it."""
    for (before, frame), flow, mask in zip(pairwise(frames), clip.flows, clip.masks, strict=True):
        there, inside = carried(before, flow)
        seen = mask & inside
        if seen.any():
            yield float(np.mean(np.square(there[seen] - frame[seen]), dtype=np.float64)) / 255**2


def flicker(one: Sequence[Pixels], two: Sequence[Pixels]) -> float:
    """Return the mean |change of two - change of one| from frame to frame, in levels.

    0 when both models differ by something that does not move.
    """
    changes = [
        np.abs(_change(*second) - _change(*first)).mean()
        for first, second in zip(pairwise(one), pairwise(two), strict=True)
    ]
    return float(np.mean(changes))


def _change(before: Pixels, after: Pixels) -> NDArray[np.int16]:
    change: NDArray[np.int16] = after.astype(np.int16) - before
    return change


def _clip(
    clip: Paced,
    original: Sequence[Pixels],
    compressed: Sequence[Pixels],
    found: tuple[Estimate, str] | str,
    lpips: Perceptual | str,
) -> ClipDrift:
    errors = []
    for frames in (clip.frames, original, compressed):
        values = list(warp_errors(frames, clip))
        if not values:
            raise FrameError(
                f"No pixel of {clip.name} is seen in two frames. Give a clip that moves less."
            )
        errors.append(float(np.mean(values)))
    tof = tlp = None
    if not isinstance(found, str):
        tof = float(np.mean(list(_flow_gaps(original, compressed, found[0]))))
    if not isinstance(lpips, str):
        mine, theirs = (
            [lpips.distance(*pair) for pair in pairwise(f)] for f in (original, compressed)
        )
        gaps = [abs(a - b) for a, b in zip(mine, theirs, strict=True)]
        tlp = 100 * float(np.mean(gaps))
    return ClipDrift(
        clip=clip.name,
        frames=len(clip.frames),
        flow=clip.flow,
        warp_source=errors[0],
        warp_original=errors[1],
        warp_compressed=errors[2],
        flicker=flicker(original, compressed),
        tof=tof,
        tlp=tlp,
    )


def _flow_gaps(one: Sequence[Pixels], two: Sequence[Pixels], estimate: Estimate) -> Iterator[float]:
    for mine, theirs in zip(pairwise(one), pairwise(two), strict=True):
        gap = estimate(*mine) - estimate(*theirs)
        yield float(np.sqrt(np.square(gap).sum(-1)).mean())


def _over_clips(values: Sequence[float], seed: int) -> Interval:
    array = np.array(values)
    mean = float(array.mean())
    if len(array) < LEAST_CLIPS:
        return Interval(value=mean)
    draw = np.random.default_rng(seed).integers(len(array), size=(RESAMPLES, len(array)))
    low, high = np.quantile(array[draw].mean(1), [0.025, 0.975])
    return Interval(value=mean, low=float(low), high=float(high))
