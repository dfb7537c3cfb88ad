"""What INT8 costs in pictures and saves in bytes, and the pictures that documents show of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image

from stylepress.artifact import Artifact
from stylepress.benchmarks.evidence.rivals.rival import NNCF, NNCF_TUNED, Entry, quantized
from stylepress.benchmarks.evidence.row import Row, mean, promised
from stylepress.benchmarks.evidence.setting import TITLES, Setting, Shipped, usual_backend, wxh
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.quality.photos import unit
from stylepress.benchmarks.quality.pixels import (
    Picture,
    grid_energy,
    psnr_db,
    ssim,
    style_distance,
)
from stylepress.benchmarks.timing.systems import Pixels, Run
from stylepress.picture import read_picture
from stylepress.replace import replacing_file
from stylepress.runtime.bundle import read_bundle

SIZE = (512, 512)
STYLE_BAR, GRID_BAR, PSNR_BAR_DB, SIZE_BAR = 1.15, 1.1, 32.0, 1 / 12
LOSSLESS_DB = 100.0
"""Written where the pictures are the same."""
PSNR, WORST = "PSNR against float", "PSNR against float, worst photo"
SSIM, GRID = "SSIM against float", "grid energy"
WEIGHTS, FILES, SAVED = "file with the weights", "all files", "weights saved by INT8"
CROP, TILE, GAP = 300, 320, 6
"""Pixels: of the middle of a photo that is shown as it is, of a whole one, between two of them."""
SHOWN = ("astronaut", "raccoon")


def picture_figures(setting: Setting) -> Iterator[Row]:
    """Stylize the held-out photos with all three models of each style, and judge the INT8 one."""
    photos = len(setting.heldout(SIZE))
    drawn = {style.name: _drawn(style, setting) for style in setting.styles}
    measures: tuple[tuple[str, float, Callable[[Picture, Picture], float]], ...] = (
        ("style distance over the teacher's", STYLE_BAR, style_distance),
        ("grid artefact over the teacher's", GRID_BAR, lambda one, style: grid_energy(one)),
    )
    for name, bar, measure in measures:
        for style in setting.styles:
            picture = read_picture(style.picture).pixels.astype(np.float32) / 255
            teacher, _, bundle = drawn[style.name]
            theirs, mine = (mean(measure(p, picture) for p in some) for some in (teacher, bundle))
            note = f"{mine:.3g}, teacher {theirs:.3g}, {photos} photos"
            yield _promised(name, style, mine / theirs, "x", most=bar, note=note)
    for style in setting.styles:
        _, student, bundle = drawn[style.name]
        level = _psnr_db(bundle, student)
        note = "over all pixels of all photos"
        name = "PSNR of INT8 against the float student"
        yield _promised(name, style, level, "dB", least=PSNR_BAR_DB, note=note)
    for style in setting.styles:
        small, large = style.bundle.size_bytes, style.teacher.size_bytes
        note = f"{small:,} of {large:,} bytes, all files"
        name = "bundle over the teacher's checkpoint"
        yield _promised(name, style, small / large, "of", most=SIZE_BAR, note=note)


def loss_rows(setting: Setting) -> Iterator[Row]:
    """Hold each INT8 student's pictures of the held-out photos against its float form's."""
    frames = [photo.frame for photo in setting.heldout(SIZE)]
    note = f"{len(frames)} photos that no training saw"
    for style in setting.styles:
        yield from _sizes(style, setting)
        subject = f"student {style.name}"
        with ExitStack() as stack:
            reference, title, others = engines(style, setting, stack)
            floats = _pictures(reference, frames)
            grid = mean(map(grid_energy, floats))
            digest = setting.float_bundle(style.student).artifact.digest
            yield Row(subject, title, "fp32", wxh(SIZE), GRID, grid, "", digest=digest)
            for engine, (run, artifact) in others.items():
                drawn = _pictures(run, frames)
                pairs = list(zip(drawn, floats, strict=True))
                for figure, value, said in (
                    (PSNR, _psnr_db(drawn, floats), "dB"),
                    (WORST, min(_psnr_db([one], [two]) for one, two in pairs), "dB"),
                    (SSIM, mean(ssim(one, two) for one, two in pairs), ""),
                    (GRID, mean(map(grid_energy, drawn)), ""),
                ):
                    yield Row(
                        *(subject, engine, "int8", wxh(SIZE), figure, value, said),
                        digest=artifact.digest,
                        note=note,
                    )


def _sizes(style: Shipped, setting: Setting) -> Iterator[Row]:
    """Return megabytes of weights and of all files, before and after."""
    plain, int8 = setting.float_bundle(style.student), read_bundle(style.bundle.folder)
    large, small = (one.onnx_path().stat().st_size / 1e6 for one in (plain, int8))
    subject, ours = f"student {style.name}", style.bundle
    files = ours.size_bytes / 1e6, style.teacher.size_bytes / 1e6
    for who, kind, figure, value, said, artifact in (
        (subject, "fp32", WEIGHTS, large, "MB", plain.artifact),
        (subject, "int8", WEIGHTS, small, "MB", ours),
        (subject, "int8", FILES, files[0], "MB", ours),
        (f"teacher {style.name}", "fp32", FILES, files[1], "MB", style.teacher),
        (subject, "int8", SAVED, 100 * (1 - small / large), "%", ours),
    ):
        yield Row(who, "", kind, "", figure, value, said, digest=artifact.digest)


def engines(
    style: Shipped, setting: Setting, stack: ExitStack
) -> tuple[Run, str, Mapping[str, tuple[Run, Artifact]]]:
    """Return the float reference, its engine's name, and every INT8 form by engine."""
    bundle, mine = setting.float_bundle(style.student), read_bundle(style.bundle.folder)
    usual = usual_backend()
    found = {
        TITLES[name]: (setting.engine(mine, SIZE, stack, backend=name), style.bundle)
        for name in dict.fromkeys((usual, "onnxruntime"))
    }
    folder, frames = setting.folder("rivals", style.name), setting.training(SIZE)
    for rival in quantized(Entry(style.student, bundle, SIZE, setting.threads, frames, folder)):
        if isinstance(rival, Skipped):
            setting.progress.warn(f"{rival.what} is left out. {rival.why}")
        else:
            found[rival.engine] = rival.run, bundle.artifact
    return setting.engine(bundle, SIZE, stack), TITLES[usual], found


def draw_posters(setting: Setting, docs: Path) -> Iterator[Path]:
    """Draw the pictures that documents show below ``docs``; those that can be drawn here.

    ``styles.jpg``: two photos that no training saw, each with what teacher and student make of it.
    ``int8.jpg``: the middle of a photo in float, by our INT8, and by NNCF's, tuned and as it comes.

    Raises:
        OutputError: one cannot be written.
    """
    wholes, crops = [], []
    shown = [photo for photo in setting.heldout(SIZE) if photo.fact.name.startswith(SHOWN)]
    last = setting.heldout(SIZE)[-1].frame
    for style in setting.styles:
        with ExitStack() as stack:
            reference, ours, others = engines(style, setting, stack)
            teacher = setting.engine(setting.float_bundle(style.teacher), SIZE, stack)
            drawn = [
                picture[0]
                for photo in shown
                for picture in (
                    photo.frame,
                    teacher(photo.frame),
                    others[ours][0](photo.frame),
                )
            ]
            wholes.append(_joined([_small(one) for one in drawn], axis=1))
            if {NNCF, NNCF_TUNED} <= others.keys():
                runs = reference, *(others[name][0] for name in (ours, NNCF_TUNED, NNCF))
                crops.append(_joined([_middle(run(last)[0]) for run in runs], axis=1))
    for name, rows in (("styles.jpg", wholes), ("int8.jpg", crops)):
        if not rows:
            setting.progress.warn(f"{name} is left as it is. NNCF is not installed.")
            continue
        with replacing_file(docs / name) as beside:
            Image.fromarray(_joined(rows, axis=0)).save(beside, "JPEG", quality=88, optimize=True)
        yield docs / name


def _drawn(style: Shipped, setting: Setting) -> list[list[Picture]]:
    """Return what teacher, float student and INT8 student make of the held-out photos."""
    frames = [photo.frame for photo in setting.heldout(SIZE)]
    floats = [setting.float_bundle(checkpoint) for checkpoint in (style.teacher, style.student)]
    with ExitStack() as stack:
        return [
            _pictures(setting.engine(bundle, SIZE, stack), frames)
            for bundle in (*floats, read_bundle(style.bundle.folder))
        ]


def _promised(
    name: str,
    style: Shipped,
    value: float,
    unit: str,
    *,
    least: float | None = None,
    most: float | None = None,
    note: str,
) -> Row:
    figure, digest = f"{name}, {style.name}", style.bundle.digest
    return promised(figure, value, unit, least=least, most=most, note=note, digest=digest)


def _psnr_db(drawn: Sequence[Picture], floats: Sequence[Picture]) -> float:
    return min(psnr_db(np.concatenate(drawn), np.concatenate(floats)), LOSSLESS_DB)


def _pictures(run: Run, frames: Sequence[Pixels]) -> list[Picture]:
    return [unit(run(frame)) for frame in frames]


def _small(picture: Pixels) -> Pixels:
    image = Image.fromarray(picture).resize((TILE, TILE), Image.Resampling.LANCZOS)
    return np.asarray(image, np.uint8)


def _middle(picture: Pixels) -> Pixels:
    top, left = ((extent - CROP) // 2 for extent in picture.shape[:2])
    return picture[top : top + CROP, left : left + CROP]


def _joined(parts: Sequence[Pixels], *, axis: int) -> Pixels:
    shape = list(parts[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 255, np.uint8)
    return np.concatenate([each for part in parts for each in (part, gap)][:-1], axis=axis)
