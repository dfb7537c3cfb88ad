"""The pictures of a report: what each model made of each photo, how good, where two differ."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stylepress.benchmarks.quality.judges import Drawn
from stylepress.benchmarks.quality.paired import colour_shifts
from stylepress.benchmarks.quality.photos import Photo, unit
from stylepress.benchmarks.quality.pixels import (
    colourfulness,
    content_distance,
    grid_energy,
    psnr_db,
    ssim,
    style_distance,
)
from stylepress.benchmarks.report import Column, Look, Model, Quality, Shown
from stylepress.benchmarks.verdict.comparison import Pictured
from stylepress.progress import Progress

if TYPE_CHECKING:
    from stylepress.train.features.judges import Judge

Pixels = NDArray[np.uint8]

AMPLIFIED = 8
MOST_SIDE = 640
QUALITY = 88


@dataclass(frozen=True, slots=True)
class Drawing:
    """One photo and what each model made of it, all (1, H, W, 3) uint8."""

    photo: str
    content: Pixels
    made: Mapping[Model, Pixels]


def original_of(model: Model, among: Iterable[Model]) -> Model | None:
    """Return the model that another should equal: the float student, or else the teacher."""
    order = {"bundle": ("student", "teacher"), "student": ("teacher",), "teacher": ()}
    others = list(among)
    for role in order[model.role]:
        for other in others:
            if other.role == role:
                return other
    return None


def draw(
    photos: Sequence[Photo],
    painters: Mapping[Model, Callable[[Pixels], Pixels]],
    *,
    progress: Progress,
) -> list[Drawing]:
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


def gallery(drawings: Sequence[Drawing]) -> tuple[Shown, ...]:
    """Encode the pictures for the page, photo by photo: content, models, amplified differences."""
    return tuple(each for drawing in drawings for each in _row(drawing))


def album(drawn: Mapping[str, Drawn], *, most: int) -> tuple[Pictured, ...]:
    """Encode photo, base, new and their amplified difference of the ``most`` worst photos.

    ``drawn`` is by what is compared; of each photo the one is shown in which the arms differ most.
    """
    levels: dict[str, tuple[float, str, int]] = {}
    for subject, pictures in drawn.items():
        for number, name in enumerate(pictures.names):
            level = psnr_db(unit(pictures.base[number]), unit(pictures.new[number]))
            if name not in levels or level < levels[name][0]:
                levels[name] = level, subject, number
    worst = sorted(levels, key=lambda name: levels[name][0])
    return tuple(_pictured(drawn, name, *levels[name]) for name in worst[:most])


def _pictured(
    drawn: Mapping[str, Drawn], name: str, level: float, subject: str, number: int
) -> Pictured:
    pictures = drawn[subject]
    title = name + (f" in {subject}" if len(drawn) > 1 else "")
    photo, base, new = (each[number][0] for each in (pictures.photos, pictures.base, pictures.new))
    return Pictured(
        photo=title,
        psnr_db=level,
        shown=(
            shown(title, "content", "photo", photo),
            shown(title, "bundle", "base", base),
            shown(title, "bundle", "new", new),
            shown(title, "difference", f"{AMPLIFIED} x |new - base|", difference(new, base)),
        ),
    )


def looks(drawings: Sequence[Drawing], judges: Sequence[Judge] = ()) -> Iterator[Look]:
    """Say how like those of the teacher, and of the student in float, each bundle's pictures are.

    ``judges`` tell how far a copy is from its original, over published networks.
    """
    models = list(drawings[0].made) if drawings else []
    for model in models:
        for other in models:
            if model.role == "bundle" and other.role != "bundle":
                yield _look(drawings, model, other, judges)


def _look(drawn: Sequence[Drawing], model: Model, other: Model, judges: Sequence[Judge]) -> Look:
    pairs = [(one.made[model], one.made[other]) for one in drawn]
    levels = [psnr_db(unit(mine), unit(theirs)) for mine, theirs in pairs]
    finite = [level for level in levels if math.isfinite(level)]
    own, before = (fmean(map(colourfulness, frames)) for frames in zip(*pairs, strict=True))
    return Look(
        model=model.name,
        original=other.name,
        role=other.role,
        psnr_db=fmean(finite) if finite else None,
        ssim=fmean(ssim(unit(mine), unit(theirs)) for mine, theirs in pairs),
        cast_levels=fmean(
            colour_shifts(mine[0], theirs[0])["cast_levels"] for mine, theirs in pairs
        ),
        saturation_percent=100 * (own - before) / max(before, 1.0),
        fidelity={
            judge.label: fmean(
                judge.fidelity(one.content, one.made[other], one.made[model]) for one in drawn
            )
            for judge in judges
        },
    )


def difference(one: Pixels, two: Pixels) -> Pixels:
    """Return 8 times the absolute difference, of two uint8 arrays of one shape."""
    gap = np.abs(one.astype(np.int16) - two)
    loud: Pixels = np.minimum(AMPLIFIED * gap, 255).astype(np.uint8)
    return loud


def worst_place(one: Pixels, two: Pixels, side: int) -> tuple[slice, slice]:
    """Return where a square of ``side`` shows most of what two (H, W, 3) pictures differ by."""
    gap = np.square(one.astype(np.float64) - two).sum(-1)
    height, width = (min(side, whole) for whole in gap.shape)
    sums = np.pad(gap, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    within = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width]
    within += sums[:-height, :-width]
    top, left = (int(place) for place in np.unravel_index(np.argmax(within), within.shape))
    return slice(top, top + height), slice(left, left + width)


def shown(photo: str, column: Column, title: str, frame: Pixels) -> Shown:
    """Encode an (H, W, 3) picture for the page."""
    image = Image.fromarray(frame)
    image.thumbnail((MOST_SIDE, MOST_SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    # Not optimize=True: Pillow then gives libjpeg a buffer of one byte a pixel, which a picture as
    # busy as noise overruns (python-pillow/Pillow#148, #5448).
    image.save(file, "JPEG", quality=QUALITY, subsampling=0)
    return Shown(photo, column, title, file.getvalue(), image.height, image.width)


def _row(drawing: Drawing) -> Iterator[Shown]:
    yield shown(drawing.photo, "content", "photo", drawing.content[0])
    for role in ("teacher", "student", "bundle"):
        for model, frame in drawing.made.items():
            if model.role == role:
                yield shown(drawing.photo, role, model.name, frame[0])
    for model, frame in drawing.made.items():
        reference = original_of(model, drawing.made)
        if model.role == "bundle" and reference is not None:
            gap = difference(frame[0], drawing.made[reference][0])
            title = f"{AMPLIFIED} x |{model.name} - {reference.name}|"
            yield shown(drawing.photo, "difference", title, gap)
