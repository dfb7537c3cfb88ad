"""The pictures of a report: what each model made of each photo, and where two models differ."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
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

    def reference(self, model: Model) -> Model | None:
        """Return the model that another should equal: the float student, or else the teacher."""
        order = {"bundle": ("student", "teacher"), "student": ("teacher",), "teacher": ()}
        for role in order[model.role]:
            for other in self.made:
                if other.role == role:
                    return other
        return None


def gallery(drawings: Sequence[Drawing]) -> tuple[Shown, ...]:
    """Encode the pictures for the page, photo by photo: content, models, amplified differences."""
    return tuple(shown for drawing in drawings for shown in _row(drawing))


def difference(one: Pixels, two: Pixels) -> Pixels:
    """Return 8 times the absolute difference, of two uint8 arrays of one shape."""
    gap = np.abs(one.astype(np.int16) - two)
    loud: Pixels = np.minimum(AMPLIFIED * gap, 255).astype(np.uint8)
    return loud


def _row(drawing: Drawing) -> Iterator[Shown]:
    yield _shown(drawing, "content", "photo", drawing.content)
    for role in ("teacher", "student", "bundle"):
        for model, frame in drawing.made.items():
            if model.role == role:
                yield _shown(drawing, role, model.name, frame)
    for model, frame in drawing.made.items():
        reference = drawing.reference(model)
        if model.role == "bundle" and reference is not None:
            gap = difference(frame, drawing.made[reference])
            title = f"{AMPLIFIED} x |{model.name} - {reference.name}|"
            yield _shown(drawing, "difference", title, gap)


def _shown(drawing: Drawing, column: Column, title: str, frame: Pixels) -> Shown:
    image = Image.fromarray(frame[0])
    image.thumbnail((MOST_SIDE, MOST_SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    # Not optimize=True: Pillow then gives libjpeg a buffer of one byte a pixel, which a picture as
    # busy as noise overruns (python-pillow/Pillow#148, #5448).
    image.save(file, "JPEG", quality=QUALITY, subsampling=0)
    return Shown(drawing.photo, column, title, file.getvalue(), image.height, image.width)
