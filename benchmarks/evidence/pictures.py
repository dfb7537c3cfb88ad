"""How like the style and the teacher the pictures of what ships are, by judges of all kinds.

Pictures are drawn once and judged by all. A network whose features a training minimised is shown,
and the others judge: VGG is the loss of those that ship.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from statistics import fmean

import numpy as np
from PIL import Image

from stylepress.benchmarks.evidence.row import Row
from stylepress.benchmarks.evidence.setting import Drawn, Setting, Shipped
from stylepress.benchmarks.quality.motion.course import follow, open_flow, views_of, warp_error
from stylepress.benchmarks.quality.motion.footage import read_footage
from stylepress.benchmarks.quality.photos import unit
from stylepress.benchmarks.quality.pixels import Picture, grid_energy, psnr_db, style_distance
from stylepress.export.stage import frame_graph_of
from stylepress.picture import Pixels, read_picture
from stylepress.replace import replacing_file
from stylepress.train.features.judges import Judge, Name, find_judges

TITLES: dict[Name, str] = {"vgg": "VGG", "effnet": "EffNet"}
TRAINED_ON: Name = "vgg"
PATCHES, GRID = "patch distance, student / teacher", "grid artefact, student / teacher"
STEADY, INT8 = "warping error, student / teacher", "PSNR of INT8 against the float student"
SMALL = "bundle over the teacher's weights in float32"
FOOTAGE = "warping error on footage, student / teacher"
FILM = "debian/opencv-doc-vtest.avi"
"""What `stylepress photos fetch recipes/photos/debian` brings beside photos: people in a street."""
FRAMES = 6
"""Of a camera over a photo, or of the film, for the warping error."""
SHOWN = ("astronaut", "raccoon")
TILE_PX, GAP_PX = 320, 6


def figures(setting: Setting) -> Iterator[Row]:
    """Judge every style that ships on photos that no training saw."""
    judges = find_judges(env=setting.environ, home=setting.home)
    for style in setting.styles:
        drawn, picture = setting.drawn(style), read_picture(style.picture).pixels
        for judge in judges.values():
            yield from _judged(style, judge, drawn, picture)
        yield from _pixels(style, drawn, picture)
        yield _steadiness(style, setting)
        yield from _on_footage(style, setting)
        yield _size(style)


def _judged(style: Shipped, judge: Judge, drawn: Drawn, picture: Pixels) -> Iterator[Row]:
    """Yield style distances and fidelity by one network."""
    photo, teacher, student = (
        fmean(judge.style(frame, picture) for frame in frames)
        for frames in (drawn.photos, drawn.teacher, drawn.bundle)
    )
    title = TITLES[judge.name]
    label = f"; {judge.label}{', trained on this' if judge.name == TRAINED_ON else ''}"
    note = f"photo {photo:.3f}, teacher {teacher:.3f}, student {student:.3f}{label}"
    for pair, value in (
        ("teacher / photo", teacher / photo),
        ("student / teacher", student / teacher),
        ("student / photo", student / photo),
    ):
        yield _row(f"{title} style distance, {pair}", style, value, note)
    trios = zip(drawn.photos, drawn.teacher, drawn.bundle, strict=True)
    values = [judge.fidelity(*trio) for trio in trios]
    note = f"0 a copy, 1 the photo; {min(values):.2f} to {max(values):.2f}{label}"
    yield _row(f"{title} fidelity of the student", style, fmean(values), note, unit="")


def _pixels(style: Shipped, drawn: Drawn, picture: Pixels) -> Iterator[Row]:
    """Yield what needs no network: patches, the grid of an upscaling, what INT8 costs."""
    aim = unit(picture[np.newaxis])
    teacher, student, int8 = (
        [unit(frame) for frame in frames] for frames in (drawn.teacher, drawn.student, drawn.bundle)
    )
    measures: dict[str, Callable[[Picture], float]] = {
        PATCHES: partial(style_distance, style=aim), GRID: grid_energy,
    }  # fmt: skip
    for figure, measure in measures.items():
        theirs, mine = (fmean(map(measure, some)) for some in (teacher, int8))
        yield _row(figure, style, mine / theirs, f"{mine:.3g}, teacher {theirs:.3g}")
    level = min(psnr_db(np.concatenate(int8), np.concatenate(student)), 99.0)
    yield _row(INT8, style, level, f"over all pixels of {len(int8)} photos", unit="dB")


def _steadiness(style: Shipped, setting: Setting) -> Row:
    """Hold the student's change along a known motion against the teacher's."""
    views, matrices = views_of(setting.paths("heldout")[0], setting.size, FRAMES)
    teacher, student = (warp_error(film, matrices) for film in _films(style, setting, views))
    note = f"{student:.3g}, teacher {teacher:.3g}; {FRAMES} frames of a camera, motion known"
    return _row(STEADY, style, student / teacher, note)


def _films(style: Shipped, setting: Setting, frames: Sequence[Pixels]) -> Iterator[list[Pixels]]:
    """Yield what teacher and student make of (H, W, 3) frames."""
    for model in (style.teacher, style.bundle):
        yield [one[0] for one in setting.painted(model, (frame[np.newaxis] for frame in frames))]


def _on_footage(style: Shipped, setting: Setting) -> Iterator[Row]:
    """Hold the student's change along the estimated flow of a film against the teacher's."""
    film, flow = setting.recipes / "photos" / FILM, open_flow()
    if not film.is_file() or isinstance(flow, str):
        why = flow if isinstance(flow, str) else f"{film} is not here: `stylepress photos fetch`"
        setting.progress.warn(f"Nothing is measured on footage. {why}")
        return
    title, estimate = flow
    frames = read_footage(film, setting.size, count=FRAMES, progress=setting.progress).frames
    followed = follow(frames, list(_films(style, setting, frames)), estimate)
    if followed is None:
        setting.progress.warn(f"Nothing is measured on footage: no part of {film} can be followed.")
        return
    teacher, student = followed.warp_errors
    note = f"{student:.3g}, teacher {teacher:.3g}; {FRAMES} frames of {film.name}, flow by {title}"
    yield _row(FOOTAGE, style, student / teacher, note)


def _size(style: Shipped) -> Row:
    weights = frame_graph_of(style.teacher).network.parameters()
    large, small = 4 * sum(weight.numel() for weight in weights), style.bundle.size_bytes
    return _row(SMALL, style, small / large, f"{small:,} of {large:,} bytes", unit="of")


def _row(figure: str, style: Shipped, value: float, note: str, *, unit: str = "x") -> Row:
    return Row(figure, value, unit, style.name, digest=style.bundle.digest, note=note)


def draw_poster(setting: Setting, path: Path) -> Path:
    """Draw two held-out photos, each with what teacher and student make of it, a row a style.

    Raises:
        OutputError: it cannot be written.
    """
    names, rows = [photo.stem for photo in setting.paths("heldout")], []
    for style in setting.styles:
        drawn = setting.drawn(style)
        trios = zip(names, drawn.photos, drawn.teacher, drawn.bundle, strict=False)
        rows.append([one[0] for name, *trio in trios if name in SHOWN for one in trio])
    step = TILE_PX + GAP_PX
    sheet = Image.new("RGB", (len(rows[0]) * step - GAP_PX, len(rows) * step - GAP_PX), "white")
    for (down, row), across in product(enumerate(rows), range(len(rows[0]))):
        tile = Image.fromarray(row[across]).resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS)
        sheet.paste(tile, (across * step, down * step))
    with replacing_file(path) as beside:
        sheet.save(beside, "JPEG", quality=88, optimize=True)
    return path
