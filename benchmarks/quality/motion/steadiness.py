"""Every model's pictures: drawn of photos, judged, and followed along a moving camera."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.quality.features.extractor import Perceptual
from stylepress.benchmarks.quality.gallery import Drawing, original_of
from stylepress.benchmarks.quality.motion.camera import camera, render, warp_error
from stylepress.benchmarks.quality.motion.course import follow
from stylepress.benchmarks.quality.motion.flow import Flows
from stylepress.benchmarks.quality.motion.video import (
    Run,
    flicker,
    flow_gap,
    noise_gain,
    noisy_stills,
    perceptual_gap,
)
from stylepress.benchmarks.quality.photos import Photo, Pixels, unit
from stylepress.benchmarks.quality.pixels import (
    content_distance,
    grid_energy,
    psnr_db,
    ssim,
    style_distance,
)
from stylepress.benchmarks.report import Consistency, Model, Quality
from stylepress.progress import Progress

if TYPE_CHECKING:
    from stylepress.benchmarks.quality.motion.footage import Footage  # PyAV

Painters = Mapping[Model, Run]
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
class Gauges:
    """What moving pictures are compared by; a reason stands where there is none."""

    flows: Flows | str
    lpips: Perceptual | str

    def absent(self) -> Iterator[Skipped]:
        """Yield what cannot be measured, and why."""
        for what, why in (("tOF", self.flows), ("tLP", self.lpips)):
            if isinstance(why, str):
                yield Skipped(what=what, why=why)


@dataclass(frozen=True, slots=True)
class Motion:
    """What is asked of moving pictures: ``frames`` of a camera over ``photo`` at ``size``."""

    photo: Path
    size: tuple[int, int]
    frames: int


def consistencies(
    motion: Motion, painters: Painters, gauges: Gauges, *, progress: Progress
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
        films[model] = _film(model, run, views, progress=progress)
        gains[model] = noise_gain(run, stills)
        progress.advance(len(stills), note=model.name)
    progress.finish()
    for model, film in films.items():
        yield Consistency(
            model=model.name,
            warp_error=warp_error(film, matrices),
            input_warp_error=floor,
            noise_gain=gains[model],
            **_against_original(model, films, gauges),
            frames=len(views),
        )


def clip_consistencies(
    footage: Footage, painters: Painters, gauges: Gauges, *, progress: Progress
) -> list[Consistency] | str:
    """Let every model draw a user's clip, and follow it along the clip's own flow.

    Return why there is nothing to tell where no flow can be estimated, or none of it is believed.
    """
    flows, views = gauges.flows, footage.frames
    if isinstance(flows, str):
        return flows
    progress.start(f"Following {footage.fact.name}", len(painters) * len(views))
    films = {model: _film(model, run, views, progress=progress) for model, run in painters.items()}
    progress.finish()
    progress.say(f"Estimating how {footage.fact.name} moves.")
    followed = follow(views, list(films.values()), flows.source)
    if followed is None:
        return "no two neighbours of its frames show the same scene; give one with longer scenes"
    return [
        Consistency(
            model=model.name,
            warp_error=error,
            input_warp_error=followed.source_error,
            **_against_original(model, films, gauges, cuts=followed.cuts),
            clip=footage.fact,
            flow=flows.title,
            frames=len(views),
            visible=followed.visible,
            cuts=len(followed.cuts),
        )
        for model, error in zip(films, followed.warp_errors, strict=True)
    ]


def _film(model: Model, run: Run, views: Sequence[Pixels], *, progress: Progress) -> list[Pixels]:
    film = []
    for view in views:
        film.append(run(view[np.newaxis])[0])
        progress.advance(note=model.name)
    return film


def _against_original(
    model: Model,
    films: Mapping[Model, Sequence[Pixels]],
    gauges: Gauges,
    *,
    cuts: Collection[int] = (),
) -> dict[str, Any]:
    reference = original_of(model, films)
    if reference is None:
        return {}
    original, film = films[reference], films[model]
    found: dict[str, Any] = {
        "reference": reference.name,
        "flicker": flicker(original, film, cuts=cuts),
    }
    if not isinstance(gauges.flows, str):
        found["tof"] = flow_gap(original, film, gauges.flows.drawn, cuts=cuts)
    if not isinstance(gauges.lpips, str):
        found["tlp"] = perceptual_gap(original, film, gauges.lpips, cuts=cuts)
    return found
