"""Figures about copies: how near teachers and students are to the style, by judges of all kinds.

The judges are networks; those that a training minimised are shown as such, and do not judge it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.evidence.row import Row, mean, promised
from stylepress.benchmarks.evidence.setting import Setting, Shipped
from stylepress.benchmarks.quality.motion.camera import camera, render, warp_error
from stylepress.benchmarks.quality.motion.steadiness import LOOP
from stylepress.benchmarks.quality.photos import unit
from stylepress.benchmarks.quality.pixels import style_distance
from stylepress.benchmarks.timing.systems import Run
from stylepress.options import home
from stylepress.picture import read_picture
from stylepress.runtime.bundle import read_bundle
from stylepress.train.features.judges import Judge, Name, find_judges

Pixels = NDArray[np.uint8]

SIZE = (512, 512)
VGG_BARS = {"teacher / photo": 0.28, "student / teacher": 1.6, "student / photo": 0.35}
EFFNET_BARS = {"teacher / photo": 0.50, "student / teacher": 1.4}
FIDELITY_BARS: Mapping[Name, float] = {"effnet": 0.55, "vgg": 0.45}
PATCH_BAR, WARP_BAR = 1.25, 1.2
FRAMES = 12
TRAINED_ON: Name = "vgg"


@dataclass(frozen=True, slots=True)
class Drawn:
    """The held-out photos and what a style's teacher and INT8 student make of them; (1, H, W, 3)."""

    photos: tuple[Pixels, ...]
    teacher: tuple[Pixels, ...]
    student: tuple[Pixels, ...]
    picture: Pixels


def copy_figures(setting: Setting) -> Iterator[Row]:
    """Judge every style that ships on photos that no training saw."""
    judges = find_judges(env=setting.environ, home=home())
    for name in ("vgg", "effnet"):
        if name not in judges:
            setting.progress.warn(
                f"Figures by {name} are left out. Run `pip install 'stylepress[vgg,judge]'`."
            )
    for style in setting.styles:
        drawn = _drawn(style, setting)
        for judge in judges.values():
            yield from _style(style, judge, drawn)
            yield from _fidelity(style, judge, drawn)
        yield _patches(style, drawn)
        yield _steadiness(style, setting)


def _style(style: Shipped, judge: Judge, drawn: Drawn) -> Iterator[Row]:
    photo, teacher, student = (
        mean(judge.style(frame, drawn.picture) for frame in frames)
        for frames in (drawn.photos, drawn.teacher, drawn.student)
    )
    bars = VGG_BARS if judge.name == "vgg" else EFFNET_BARS
    values = {
        "teacher / photo": teacher / photo,
        "student / teacher": student / teacher,
        "student / photo": student / photo,
    }
    note = f"photo {photo:.3f}, teacher {teacher:.3f}, student {student:.3f}{_said(judge)}"
    for pair, bar in bars.items():
        yield _row(f"{judge.name} style distance, {pair}", style, values[pair], bar, note)


def _fidelity(style: Shipped, judge: Judge, drawn: Drawn) -> Iterator[Row]:
    values = [
        judge.fidelity(*three)
        for three in zip(drawn.photos, drawn.teacher, drawn.student, strict=True)
    ]
    note = f"0 a copy, 1 the photo; {min(values):.2f} to {max(values):.2f}{_said(judge)}"
    bar = FIDELITY_BARS[judge.name]
    yield _row(f"fidelity of the INT8 student, {judge.name}", style, mean(values), bar, note)


def _patches(style: Shipped, drawn: Drawn) -> Row:
    picture = unit(drawn.picture[np.newaxis])
    teacher, student = (
        mean(style_distance(unit(frame), picture) for frame in frames)
        for frames in (drawn.teacher, drawn.student)
    )
    note = f"{student:.3g}, teacher {teacher:.3g}; took no part in training"
    return _row("patch distance, student / teacher", style, student / teacher, PATCH_BAR, note)


def _steadiness(style: Shipped, setting: Setting) -> Row:
    """Hold the student's change along a known motion against the teacher's."""
    still, matrices = camera(setting.paths("heldout")[0], SIZE, LOOP)
    matrices = matrices[:FRAMES]
    views = [np.array(view)[np.newaxis] for view in render(still, matrices, SIZE)]
    with ExitStack() as stack:
        errors = [
            warp_error([np.array(run(view)[0]) for view in views], matrices)
            for run in (
                setting.engine(setting.float_bundle(style.teacher), SIZE, stack),
                setting.engine(read_bundle(style.bundle.folder), SIZE, stack),
            )
        ]
    teacher, student = errors
    note = f"{student:.3g}, teacher {teacher:.3g}; {FRAMES} frames of a camera, motion known"
    return _row("warping error, student / teacher", style, student / teacher, WARP_BAR, note)


def _said(judge: Judge) -> str:
    trained = ", trained on this" if judge.name == TRAINED_ON else ""
    return f"; {judge.label}{trained}"


def _row(figure: str, style: Shipped, value: float, most: float, note: str) -> Row:
    name = f"{figure}, {style.name}"
    return promised(name, value, "x", most=most, note=note, digest=style.bundle.digest)


def _drawn(style: Shipped, setting: Setting) -> Drawn:
    frames = tuple(photo.frame for photo in setting.heldout(SIZE))
    with ExitStack() as stack:
        teacher = setting.engine(setting.float_bundle(style.teacher), SIZE, stack)
        student = setting.engine(read_bundle(style.bundle.folder), SIZE, stack)
        return Drawn(
            frames,
            _pictures(teacher, frames),
            _pictures(student, frames),
            read_picture(style.picture).pixels,
        )


def _pictures(run: Run, frames: Sequence[Pixels]) -> tuple[Pixels, ...]:
    return tuple(np.array(run(frame)) for frame in frames)
