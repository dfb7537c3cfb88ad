"""The pictures of a report: what each model made of each photo, how good, where two differ."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.quality.judges import Drawn
from stylepress.benchmarks.quality.photos import Photo, unit
from stylepress.benchmarks.quality.pixels import (
    CAP_DB,
    content_distance,
    grid_energy,
    pair_scores,
    psnr_db,
    saturation_percent,
    style_distance,
)
from stylepress.benchmarks.report import Column, Model, Role, Shown, against
from stylepress.picture import Pixels
from stylepress.progress import Progress

if TYPE_CHECKING:
    from stylepress.train.features.judges import Judge

AMPLIFIED = 8
MOST_SIDE = 640
QUALITY = 88
SATURATION, EQUAL = "saturation, change", "equal"
LIKE = (
    ("psnr_db", "psnr", "dB", False),
    ("ssim", "ssim", "", False),
    ("cast_levels", "colour cast", "levels", True),
)
"""Scores of two pictures: what they are called, their unit, whether more is worse."""
ROLES: tuple[Role, ...] = ("teacher", "student", "bundle")
"""A model may be a copy of those before it."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """One photo and what each model made of it, all (1, H, W, 3) uint8."""

    photo: str
    content: Pixels
    made: Mapping[Model, Pixels]


def original_of(model: Model, among: Iterable[Model]) -> Model | None:
    """Return the model that another should equal: the float student, or else the teacher."""
    others = {other.role: other for other in reversed(list(among))}
    before = ROLES[: ROLES.index(model.role)]
    return next((others[role] for role in reversed(before) if role in others), None)


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


def looks(
    drawn: Sequence[Drawing], style: Pixels | None, judges: Sequence[Judge], *, progress: Progress
) -> Iterator[Check]:
    """Measure every model's pictures, means over the photos: alone, and against its originals'.

    ``style`` is the style picture, (H, W, 3) uint8; ``judges`` tell how far a copy is from its
    original, over published networks.
    """
    models = list(drawn[0].made) if drawn else []
    progress.start("Judging pictures", len(models))
    for model in models:
        yield from _alone(drawn, model, style)
        for other in models:
            if ROLES.index(other.role) < ROLES.index(model.role):
                yield from _against(drawn, model, other, judges)
        progress.advance(note=model.name)
    progress.finish()


def _alone(drawn: Sequence[Drawing], model: Model, style: Pixels | None) -> Iterator[Check]:
    pictures = [unit(one.made[model]) for one in drawn]
    contents = [unit(one.content) for one in drawn]
    measures = {
        "content distance": map(content_distance, pictures, contents),
        "grid energy": map(grid_energy, pictures),
    }
    if style is not None:
        target = repeat(unit(style[np.newaxis]))
        measures = {"style distance": map(style_distance, pictures, target), **measures}
    for metric, values in measures.items():
        yield Check(subject=model.name, metric=metric, new=fmean(values))


def _against(
    drawn: Sequence[Drawing], model: Model, other: Model, judges: Sequence[Judge]
) -> Iterator[Check]:
    subject = against(model.name, other.name)
    pairs = [(one.made[other], one.made[model]) for one in drawn]
    scores = [pair_scores(theirs[0], mine[0]) for theirs, mine in pairs]
    for measure, metric, unit_, worse in LIKE:
        value = fmean(one[measure] for one in scores)
        equal = measure == "psnr_db" and value == CAP_DB
        yield Check(
            subject=subject, metric=metric, unit=unit_, larger_is_worse=worse,
            new=None if equal else value, note=EQUAL if equal else "",
        )  # fmt: skip
    yield Check(subject=subject, metric=SATURATION, unit="%", new=saturation_percent(pairs))
    for judge in judges:
        far = (judge.fidelity(one.content, one.made[other], one.made[model]) for one in drawn)
        yield Check(subject=subject, metric=f"fidelity by {judge.label}", new=fmean(far))


def gallery(drawings: Sequence[Drawing]) -> tuple[Shown, ...]:
    """Encode the pictures for the page, photo by photo: content, models, amplified differences."""
    return tuple(each for drawing in drawings for each in _row(drawing))


def album(drawn: Mapping[str, Drawn], *, most: int) -> tuple[Shown, ...]:
    """Encode photo, base, new and their amplified difference of the ``most`` worst photos.

    ``drawn`` is by what is compared; of each photo the one is shown in which the arms differ most.
    """
    levels: dict[str, tuple[float, str, int]] = {}
    for subject, pictures in drawn.items():
        for number, name in enumerate(pictures.names):
            level = psnr_db(unit(pictures.base[number]), unit(pictures.new[number]))
            levels[name] = min(
                levels.get(name, (math.inf, subject, number)), (level, subject, number)
            )
    worst = sorted(levels.items(), key=lambda one: one[1])[:most]
    return tuple(each for name, found in worst for each in _arms(drawn, name, *found))


def _arms(
    drawn: Mapping[str, Drawn], name: str, level: float, subject: str, number: int
) -> Iterator[Shown]:
    pictures = drawn[subject]
    where = f" in {subject}" if len(drawn) > 1 else ""
    title = f"{name}{where}: {EQUAL if level == math.inf else f'PSNR {level:.1f} dB'}"
    photo, base, new = (each[number][0] for each in (pictures.photos, pictures.base, pictures.new))
    yield shown(title, "content", "photo", photo)
    yield shown(title, "bundle", "base", base)
    yield shown(title, "bundle", "new", new)
    yield shown(title, "difference", f"{AMPLIFIED} x |new - base|", difference(new, base))


def difference(one: Pixels, two: Pixels) -> Pixels:
    """Return 8 times the absolute difference, of two uint8 arrays of one shape."""
    gap = np.abs(one.astype(np.int16) - two)
    loud: Pixels = np.minimum(AMPLIFIED * gap, 255).astype(np.uint8)
    return loud


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
    for model in sorted(drawing.made, key=lambda one: ROLES.index(one.role)):
        yield shown(drawing.photo, model.role, model.name, drawing.made[model][0])
    for model, frame in drawing.made.items():
        reference = original_of(model, drawing.made)
        if model.role == "bundle" and reference is not None:
            gap = difference(frame[0], drawing.made[reference][0])
            title = f"{AMPLIFIED} x |{model.name} - {reference.name}|"
            yield shown(drawing.photo, "difference", title, gap)
