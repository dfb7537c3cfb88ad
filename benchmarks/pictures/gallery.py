"""The pictures of a report: what each model made of each photo, and where two models differ."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stylepress.benchmarks.report import Column, Model, Shown

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


def gallery(drawings: Sequence[Drawing]) -> tuple[Shown, ...]:
    """Encode the pictures for the page, photo by photo: content, models, amplified differences."""
    return tuple(each for drawing in drawings for each in _row(drawing))


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
