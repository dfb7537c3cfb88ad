"""The photos of a measurement, at its size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from stylepress.artifact import file_digest
from stylepress.benchmarks.pictures.quality import scaled
from stylepress.benchmarks.report import FileFact
from stylepress.errors import FrameError
from stylepress.progress import Progress
from stylepress.runtime.bundle import Bundle
from stylepress.runtime.media.images import PHOTO_SUFFIXES, read_picture

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo at the size of the measurement: (1, H, W, 3) uint8; ``path`` is None for golden."""

    fact: FileFact
    frame: Pixels
    path: Path | None


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
            frame = fitted(read_picture(path).pixels, size)
        except FrameError as error:
            progress.warn(f"{path.name} is left out. {error}")
            continue
        found.append(Photo(FileFact(name=path.name, sha256=file_digest(path)), frame, path))
    if not found:
        raise FrameError(
            f"{folder} holds no photo that can be read. Name a folder with JPEG or PNG files."
        )
    return found


def golden_photos(bundle: Bundle, size: tuple[int, int], *, limit: int) -> list[Photo]:
    """Take the pictures that a bundle brings for its self-test, enlarged to ``size``.

    Raises:
        FrameError: it brings none.
    """
    files = bundle.artifact.files
    golden = [
        Photo(
            FileFact(name=f"golden {name}", sha256=files[f"golden/{name}.in.png"].sha256),
            fitted(before[0], size),
            None,
        )
        for name, before, _ in bundle.golden()
    ]
    if not golden:
        raise FrameError(
            f"{bundle.artifact.folder} has no golden pictures to measure with. "
            f"Name a folder of photos with `--photos`."
        )
    return golden[:limit]
