"""Rows about pictures: style, grid, INT8 against float, and how small the bundle is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stylepress.benchmarks.figures.rows import Row
from stylepress.benchmarks.figures.shipped import Shipped, usual_backend
from stylepress.benchmarks.pictures.photos import Photo, unit
from stylepress.benchmarks.pictures.quality import Picture, grid_energy, psnr_db, style_distance
from stylepress.benchmarks.timing.baselines import float_bundle
from stylepress.picture import read_picture
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions, open_engine
from stylepress.runtime.bundle import load_bundle

STYLE_BAR, GRID_BAR, PSNR_BAR_DB, SIZE_BAR = 1.15, 1.1, 32.0, 1 / 12


@dataclass(frozen=True, slots=True)
class Drawn:
    """What teacher, float student and INT8 student made of the same photos."""

    teacher: list[Picture]
    student: list[Picture]
    bundle: list[Picture]


def picture_rows(
    styles: Sequence[Shipped], photos: Sequence[Photo], work: Path, *, progress: Progress
) -> Iterator[Row]:
    """Stylize the held-out photos with all three models of each style, and judge the INT8 one."""
    drawn = {style.name: _drawn(style, photos, work, progress) for style in styles}
    for style in styles:
        picture = read_picture(style.picture).pixels.astype(np.float32) / 255
        pair = drawn[style.name]
        theirs = _mean([style_distance(one, picture) for one in pair.teacher])
        mine = _mean([style_distance(one, picture) for one in pair.bundle])
        yield Row(
            f"style distance over the teacher's, {style.name}",
            mine / theirs,
            STYLE_BAR,
            "x",
            at_least=False,
            note=f"{mine:.3f}, teacher {theirs:.3f}, {len(photos)} photos",
        )
    for style in styles:
        pair = drawn[style.name]
        theirs = _mean([grid_energy(one) for one in pair.teacher])
        mine = _mean([grid_energy(one) for one in pair.bundle])
        yield Row(
            f"grid artefact over the teacher's, {style.name}",
            mine / theirs,
            GRID_BAR,
            "x",
            at_least=False,
            note=f"{mine:.2f}, teacher {theirs:.2f}, a photo 0.8 to 1.4",
        )
    for style in styles:
        pair = drawn[style.name]
        level = psnr_db(np.concatenate(pair.bundle), np.concatenate(pair.student))
        yield Row(
            f"PSNR of INT8 against the float student, {style.name}",
            min(level, 100.0),
            PSNR_BAR_DB,
            "dB",
            at_least=True,
            note="over all pixels of all photos",
        )
    for style in styles:
        yield Row(
            f"bundle over the teacher's checkpoint, {style.name}",
            style.bundle.size_bytes / style.teacher.size_bytes,
            SIZE_BAR,
            "of",
            at_least=False,
            note=f"{style.bundle.size_bytes:,} of {style.teacher.size_bytes:,} bytes, all files",
        )


def _drawn(style: Shipped, photos: Sequence[Photo], work: Path, progress: Progress) -> Drawn:
    frame = photos[0].frame
    teacher, student = (
        float_bundle(checkpoint, work, frame, progress=progress).folder
        for checkpoint in (style.teacher, style.student)
    )
    return Drawn(*(_pictures(folder, photos) for folder in (teacher, student, style.bundle.folder)))


def _pictures(folder: Path, photos: Sequence[Photo]) -> list[Picture]:
    """Stylize the photos in OpenVINO where it runs: what is judged is what is shipped."""
    size = photos[0].frame.shape[1:3]
    options = EngineOptions(size=(size[0], size[1]))
    with closing(open_engine(load_bundle(folder), usual_backend(), options=options)) as engine:
        return [unit(engine.run(photo.frame)) for photo in photos]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
