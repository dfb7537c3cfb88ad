"""How well a student copies its teacher, by judges over published features, on photos held out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stylepress.progress import Progress
from stylepress.train.features.judges import Judge, Name, find_judges
from stylepress.train.features.lpips import find_lpips
from stylepress.train.photos import Photos

EVERY = 10
"""Each tenth photo is held out of the training, to judge on, where there are enough."""
ENOUGH = 12
JUDGED = 4
MOST_SIDE = 512
"""Longer side at which photos are judged, in pixels."""
POOR = 0.8
"""From here on a student is told to be no copy: 1 is as far from the teacher as the photo is."""

Draws = Callable[[Tensor], Tensor]
"""From (1, 3, H, W) float32 in [0, 1] to the same."""


def parted(photos: Photos) -> tuple[Photos, Photos]:
    """Return the photos to learn from and those to judge on; the same ones where they are few."""
    if len(photos) < ENOUGH:
        return photos, photos
    held = photos.paths[EVERY // 2 :: EVERY]
    return (
        replace(photos, paths=[path for path in photos.paths if path not in held]),
        replace(photos, paths=held),
    )


def fidelity(
    teacher: Draws,
    student: Draws,
    photos: Photos,
    progress: Progress,
    *,
    env: Mapping[str, str],
    home: Path,
) -> dict[str, float]:
    """Return ``fidelity_effnet`` and ``fidelity_vgg``, as far as their weights are here.

    0 is an exact copy of the teacher's picture, 1 as far from it as the photo. A value above 0.8
    is warned about, as is that nobody could judge. ``lpips_vgg``, where LPIPS is here, is the plain
    distance of both pictures.

    Raises:
        FrameError: not one photo can be read.
        CheckpointError: a weight file of a known name with other content.
    """
    judges = find_judges(env=env, home=home)
    if not judges:
        progress.warn(
            "Nobody judged how well the student copies its teacher. "
            "Run `pip install 'stylepress[vgg,judge]'`, and build again."
        )
        return {}
    frames = list(photos.frames(JUDGED, most_side=MOST_SIDE))
    progress.start("Judging the student", len(frames))
    values: dict[Name, list[float]] = {name: [] for name in judges}
    lpips, apart = find_lpips(env=env, home=home), list[float]()
    for frame in frames:
        pictures = (frame, _drawn(teacher, frame), _drawn(student, frame))
        for name, judge in judges.items():
            values[name].append(judge.fidelity(*pictures))
        if lpips is not None:
            apart.append(float(lpips(*(_unit_range(picture) for picture in pictures[1:]))))
        progress.advance()
    progress.finish()
    numbers = {f"fidelity_{name}": float(np.mean(each)) for name, each in values.items()}
    _warn(numbers, judges, progress)
    return numbers | ({"lpips_vgg": float(np.mean(apart))} if apart else {})


def drift(
    teacher: Draws, copy: Draws, photos: Photos, *, env: Mapping[str, str], home: Path
) -> tuple[float, str]:
    """Return how far the pictures of ``copy`` are from the teacher's, and whose figure it is.

    EfficientNet's where its weights are here, since no training minimises it; else the squared
    distance of pixels. 0 is an exact copy, 1 as far as the untouched photo.

    Raises:
        FrameError: not one photo can be read.
    """
    judge = find_judges(env=env, home=home).get("effnet")
    values = []
    for frame in photos.frames(JUDGED, most_side=MOST_SIDE):
        pictures = (frame, _drawn(teacher, frame), _drawn(copy, frame))
        if judge is not None:
            values.append(judge.fidelity(*pictures))
            continue
        photo, original, drawn = (picture.astype(np.float64) for picture in pictures)
        whole = float(((photo - original) ** 2).mean())
        values.append(float(((drawn - original) ** 2).mean()) / max(whole, 1e-12))
    return float(np.mean(values)), judge.label if judge is not None else "pixels"


def _warn(numbers: Mapping[str, float], judges: Mapping[Name, Judge], progress: Progress) -> None:
    """Say that a student is no copy, by the judge that its training did not minimise."""
    name: Name = "effnet" if "effnet" in judges else "vgg"
    value = numbers[f"fidelity_{name}"]
    if value > POOR:
        progress.warn(
            f"The student does not copy its teacher: fidelity {value:.2f} by {judges[name].label}, "
            f"where 0 is a copy and 1 the untouched photo. Train longer (`steps`), on more photos, "
            f"or take a larger preset."
        )


@torch.no_grad()
def _drawn(draws: Draws, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Draw one (1, H, W, 3) uint8 frame."""
    height, width = frame.shape[1:3]
    picture = (
        draws(_unit_range(frame))[..., :height, :width].clamp(0, 1).mul(255).round().to(torch.uint8)
    )
    return picture.permute(0, 2, 3, 1).contiguous().numpy()


def _unit_range(frame: NDArray[np.uint8]) -> Tensor:
    """Return (1, H, W, 3) uint8 as (1, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.array(frame)).permute(0, 3, 1, 2).float() / 255
