"""Every model's pictures: drawn of photos, judged, and followed along a moving camera."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stylepress.benchmarks.drift.features.extractor import Perceptual
from stylepress.benchmarks.drift.motion.flow import Estimate
from stylepress.benchmarks.drift.motion.video import (
    flicker,
    flow_gap,
    noise_gain,
    noisy_stills,
    perceptual_gap,
)
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.pictures.camera import camera, render, warp_error
from stylepress.benchmarks.pictures.gallery import Drawing, original_of
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
            reference = original_of(model, each.made)
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


@dataclass(frozen=True, slots=True)
class Motion:
    """What is asked of moving pictures: ``frames`` of a camera over ``photo`` at ``size``.

    The flow between frames needs ``estimate``, their perceptual change ``lpips``; a reason stands
    where there is none.
    """

    photo: Path
    size: tuple[int, int]
    frames: int
    estimate: Estimate | str
    lpips: Perceptual | str

    def absent(self) -> Iterator[Skipped]:
        """Yield what cannot be measured, and why."""
        for what, why in (("tOF", self.estimate), ("tLP", self.lpips)):
            if isinstance(why, str):
                yield Skipped(what=what, why=why)


def consistencies(
    motion: Motion, painters: Painters, *, progress: Progress
) -> Iterator[Consistency]:
    """Let every model draw frames of a camera over a photo, whose motion is known, and its noise.

    A bundle is also held against its original, the student or else the teacher.
    """
    still, matrices = camera(motion.photo, motion.size, LOOP)
    matrices = matrices[: motion.frames]
    views = [np.array(view) for view in render(still, matrices, motion.size)]
    stills = noisy_stills(views[0])
    progress.start("Following a moving camera", len(painters) * (len(views) + len(stills)))
    floor = warp_error(views, matrices)
    films: dict[Model, list[Pixels]] = {}
    gains: dict[Model, float] = {}
    for model, run in painters.items():
        films[model] = []
        for view in views:
            films[model].append(run(view[np.newaxis])[0])
            progress.advance(note=model.name)
        gains[model] = noise_gain(run, stills)
        progress.advance(len(stills), note=model.name)
    progress.finish()
    for model, film in films.items():
        reference = original_of(model, films)
        yield Consistency(
            model=model.name,
            warp_error=warp_error(film, matrices),
            input_warp_error=floor,
            noise_gain=gains[model],
            **({} if reference is None else _moved(films[reference], film, motion)),
            reference=None if reference is None else reference.name,
        )


def _moved(original: list[Pixels], film: list[Pixels], motion: Motion) -> dict[str, float]:
    found = {"flicker": flicker(original, film)}
    if not isinstance(motion.estimate, str):
        found["tof"] = flow_gap(original, film, motion.estimate)
    if not isinstance(motion.lpips, str):
        found["tlp"] = perceptual_gap(original, film, motion.lpips)
    return found
