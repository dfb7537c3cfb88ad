"""Every model's pictures: drawn of photos, judged, and followed along a moving camera."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from stylepress.benchmarks.pictures.camera import camera, render, warp_error
from stylepress.benchmarks.pictures.gallery import Drawing
from stylepress.benchmarks.pictures.photos import Photo, Pixels, unit
from stylepress.benchmarks.pictures.quality import (
    content_distance,
    grid_energy,
    psnr_db,
    ssim,
    style_distance,
)
from stylepress.benchmarks.report import Consistency, Model, Quality
from stylepress.progress import Progress

Painters = Mapping[Model, Callable[[Pixels], Pixels]]
"""How each model draws: (1, H, W, 3) uint8 to the same shape."""
LOOP = 300
"""Frames of a camera's whole way: neighbours lie as far apart as in ten seconds of video."""


def draw(photos: Sequence[Photo], painters: Painters, *, progress: Progress) -> list[Drawing]:
    """Let every model draw every photo."""
    progress.start("Stylizing photos", len(photos) * len(painters))
    drawn = []
    for photo in photos:
        made = {}
        for model, run in painters.items():
            made[model] = run(photo.frame)
            progress.advance(note=model.name)
        drawn.append(Drawing(photo.fact.name, photo.frame, made))
    progress.finish()
    return drawn


def qualities(
    drawn: Sequence[Drawing], style: Pixels | None, *, progress: Progress
) -> Iterator[Quality]:
    """Judge every picture; ``style`` is the style picture, (H, W, 3) uint8."""
    target = None if style is None else unit(style[np.newaxis])
    progress.start("Judging pictures", sum(len(each.made) for each in drawn))
    for each in drawn:
        content = unit(each.content)
        for model, frame in each.made.items():
            reference = each.reference(model)
            other = None if reference is None else unit(each.made[reference])
            picture = unit(frame)
            level = math.inf if other is None else psnr_db(picture, other)
            yield Quality(
                model=model.name,
                photo=each.photo,
                reference=None if reference is None else reference.name,
                style_distance=None if target is None else style_distance(picture, target),
                content_distance=content_distance(picture, content),
                grid_energy=grid_energy(picture),
                psnr_db=level if math.isfinite(level) else None,
                ssim=None if other is None else ssim(picture, other),
                identical=other is not None and math.isinf(level),
            )
            progress.advance(note=model.name)
    progress.finish()


def consistencies(
    photo: Path, size: tuple[int, int], painters: Painters, *, frames: int, progress: Progress
) -> Iterator[Consistency]:
    """Let every model draw ``frames`` frames of a camera over a photo, whose motion is known."""
    still, matrices = camera(photo, size, LOOP)
    views = list(render(still, matrices[:frames], size))
    progress.start("Following a moving camera", frames * len(painters))
    floor = warp_error(views, matrices[:frames])
    for model, run in painters.items():
        made = []
        for view in views:
            made.append(run(np.array(view)[np.newaxis])[0])
            progress.advance(note=model.name)
        error = warp_error(made, matrices[:frames])
        yield Consistency(model=model.name, warp_error=error, input_warp_error=floor)
    progress.finish()
