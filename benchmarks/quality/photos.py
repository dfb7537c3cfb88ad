"""The photos of a measurement, at its size."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from stylepress.artifact import file_digest
from stylepress.benchmarks.part import FileFact
from stylepress.benchmarks.quality.pixels import scaled
from stylepress.errors import FrameError, RecipeError
from stylepress.picture import LIMIT_PIXELS, PHOTO_SUFFIXES, Pixels, read_picture
from stylepress.progress import Progress
from stylepress.runtime.bundle import Bundle

LEAST_SIDE = 64
"""Pixels of a frame's shorter side, below which there is too little to judge pictures by."""
MOST_REFERENCES = 24


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo at the size of the measurement: (1, H, W, 3) uint8; ``path`` is None for golden."""

    fact: FileFact
    frame: Pixels
    path: Path | None


@dataclass(frozen=True, slots=True)
class Style:
    """The style picture as it is: (H, W, 3) uint8."""

    fact: FileFact
    pixels: Pixels


def read_style(path: Path) -> Style:
    """Read the style picture.

    Raises:
        FrameError: it cannot be read.
    """
    pixels = read_picture(path).on_white()
    return Style(FileFact(name=path.name, sha256=file_digest(path)), pixels)


def check_frame(size: tuple[int, int]) -> None:
    """Refuse frames of ``size``, (height, width), that nothing can be measured at.

    Raises:
        RecipeError: a side below 64 pixels, or more pixels than any picture may have.
    """
    height, width = size
    if min(size) < LEAST_SIDE or height * width > LIMIT_PIXELS:
        raise RecipeError(
            f"Frames of {width}x{height} are {'too small' if min(size) < LEAST_SIDE else 'too large'} "
            f"to measure.",
            f"Measure at {LEAST_SIDE}x{LEAST_SIDE} or more, and at "
            f"{LIMIT_PIXELS / 1e6:g} megapixels at most.",
        )


def fitted(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Scale (H, W, 3) until it covers ``size`` (height, width), crop the middle: (1, H, W, 3)."""
    image = ImageOps.fit(Image.fromarray(pixels), size[::-1], Image.Resampling.LANCZOS)
    return np.array(image, np.uint8)[np.newaxis]


def unit(frame: Pixels) -> NDArray[np.float32]:
    """Return the picture of a (1, H, W, 3) uint8 frame: (H, W, 3) float32 in [0, 1]."""
    return scaled(frame[0])


def read_photos(
    folder: Path, size: tuple[int, int], *, limit: int, progress: Progress
) -> list[Photo]:
    """Read up to ``limit`` photos of a folder, in name order; a bad one is told and left out.

    Raises:
        FrameError: the folder holds no photo that can be read.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES)
    found: list[Photo] = []
    for path in paths:
        if len(found) == limit:
            break
        try:
            frame = fitted(read_picture(path).on_white(), size)
        except FrameError as error:
            progress.warn(f"{path.name} is left out. {error}")
            continue
        found.append(Photo(FileFact(name=path.name, sha256=file_digest(path)), frame, path))
    if not found:
        what = "holds no photo that can be read" if folder.is_dir() else "is no folder of photos"
        raise FrameError(f"{folder} {what}.", "Name a folder with JPEG or PNG files.")
    return found


def other_photos(
    folder: Path | None, inputs: Sequence[Photo], *, progress: Progress
) -> list[Photo]:
    """Read the photos of reference, at the size of the inputs; none is both.

    Raises:
        FrameError: the folder holds no photo that is not among the inputs.
    """
    if folder is None:
        return []
    size = inputs[0].frame.shape[1], inputs[0].frame.shape[2]
    taken = {one.fact.sha256 for one in inputs}
    most = MOST_REFERENCES + len(taken)
    found = read_photos(folder, size, limit=most, progress=progress)
    others = [one for one in found if one.fact.sha256 not in taken][:MOST_REFERENCES]
    if not others:
        raise FrameError(
            f"All {len(found)} photos of {folder} are measured on, so none is left for reference.",
            "Name a folder of other photos with `--references`.",
        )
    return others


def golden_photos(bundle: Bundle, size: tuple[int, int], *, limit: int) -> list[Photo]:
    """Take the pictures that a bundle brings for its self-test, enlarged to ``size``.

    Raises:
        FrameError: it brings none.
    """
    from stylepress.benchmarks.timing.systems import golden_pictures

    golden = [
        Photo(
            FileFact(name=f"golden {name}", sha256=hashlib.sha256(before.tobytes()).hexdigest()),
            fitted(before[0], size),
            None,
        )
        for name, before in golden_pictures(bundle)
    ]
    if not golden:
        raise FrameError(
            f"{bundle.artifact.folder} has no golden pictures to measure with.",
            "Name a folder of photos with `--photos`.",
        )
    return golden[:limit]
