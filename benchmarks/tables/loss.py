"""What INT8 costs in pictures and saves in bytes: ours and NNCF's, for every style that ships."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from statistics import fmean

import numpy as np

from stylepress.artifact import Artifact
from stylepress.benchmarks.figures.result import Result
from stylepress.benchmarks.figures.shipped import TITLES, Shipped, usual_backend
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.quality.photos import unit
from stylepress.benchmarks.quality.pixels import Picture, grid_energy, psnr_db, ssim
from stylepress.benchmarks.rivals.entry import Entry, quantized
from stylepress.benchmarks.tables.setting import Setting
from stylepress.benchmarks.timing.systems import Pixels, Run
from stylepress.runtime.backends import EngineOptions, open_engine
from stylepress.runtime.bundle import Bundle, load_bundle

SIZE = (512, 512)
LOSSLESS_DB = 100.0
"""Written where the pictures are the same."""
PSNR, WORST = "PSNR against float", "PSNR against float, worst photo"
SSIM, GRID = "SSIM against float", "grid energy"
WEIGHTS, FILES, SAVED = "file with the weights", "all files", "weights saved by INT8"


def loss_results(setting: Setting) -> Iterator[Result]:
    """Hold each INT8 student's pictures of the held-out photos against its float form's."""
    for style in setting.styles:
        bundle = setting.float_bundle(style.student)
        yield from _sizes(style, bundle)
        with ExitStack() as stack:
            reference, title, others = engines(style, bundle, setting, stack)
            frames = [photo.frame for photo in setting.heldout(SIZE)]
            floats = _pictures(reference, frames)
            subject = f"student {style.name}"
            grid = fmean(map(grid_energy, floats))
            yield _row(subject, title, GRID, grid, "", bundle.artifact, kind="fp32")
            for engine, run, artifact in others:
                drawn = _pictures(run, frames)
                for figure, value, said in _figures(drawn, floats):
                    row = _row(subject, engine, figure, value, said, artifact)
                    yield replace(row, note=f"{len(frames)} photos that no training saw")


def _sizes(style: Shipped, bundle: Bundle) -> Iterator[Result]:
    """Return bytes of weights and of all files, before and after."""
    subject = f"student {style.name}"
    int8 = load_bundle(style.bundle.folder)
    weights = {
        "fp32": bundle.onnx_path.stat().st_size,
        "int8": int8.onnx_path.stat().st_size,
    }
    for kind, count in weights.items():
        artifact = bundle.artifact if kind == "fp32" else style.bundle
        yield _row(subject, "", WEIGHTS, count / 1e6, "MB", artifact, kind=kind)
    yield _row(subject, "", FILES, style.bundle.size_bytes / 1e6, "MB", style.bundle)
    teacher = f"teacher {style.name}"
    files = style.teacher.size_bytes / 1e6
    yield _row(teacher, "", FILES, files, "MB", style.teacher, kind="fp32")
    saved = 100 * (1 - weights["int8"] / weights["fp32"])
    yield _row(subject, "", SAVED, saved, "%", style.bundle)


def engines(
    style: Shipped, bundle: Bundle, setting: Setting, stack: ExitStack
) -> tuple[Run, str, list[tuple[str, Run, Artifact]]]:
    """Return the float reference, its engine's name, and every INT8 form: name, run, artifact."""
    options = EngineOptions(size=SIZE, threads=setting.threads)
    backend = usual_backend()

    def opened(bundle: Bundle, name: str) -> Run:
        return stack.enter_context(closing(open_engine(bundle, name, options=options))).run

    mine = load_bundle(style.bundle.folder)
    names = dict.fromkeys((backend, "onnxruntime"))
    found = [(TITLES[name], opened(mine, name), style.bundle) for name in names]
    folder = setting.folder("rivals", style.name)
    frames = setting.training(SIZE)
    entry = Entry(style.student, bundle, SIZE, setting.threads, frames, folder)
    for rival in quantized(entry):
        if isinstance(rival, Skipped):
            setting.progress.warn(f"{rival.what} is left out. {rival.why}")
        else:
            found.append((rival.engine, rival.run, bundle.artifact))
    return opened(bundle, backend), TITLES[backend], found


def _figures(
    drawn: Sequence[Picture], floats: Sequence[Picture]
) -> Iterator[tuple[str, float, str]]:
    pairs = list(zip(drawn, floats, strict=True))
    worst = min(psnr_db(one, two) for one, two in pairs)
    whole = psnr_db(_stacked(drawn), _stacked(floats))
    yield PSNR, min(whole, LOSSLESS_DB), "dB"
    yield WORST, min(worst, LOSSLESS_DB), "dB"
    yield SSIM, fmean(ssim(one, two) for one, two in pairs), ""
    yield GRID, fmean(map(grid_energy, drawn)), ""


def _stacked(pictures: Sequence[Picture]) -> Picture:
    return np.concatenate(pictures)


def _pictures(run: Run, frames: Sequence[Pixels]) -> list[Picture]:
    return [unit(run(frame)) for frame in frames]


def _row(
    subject: str,
    engine: str,
    figure: str,
    value: float,
    said: str,
    artifact: Artifact,
    *,
    kind: str = "int8",
) -> Result:
    size = f"{SIZE[1]}x{SIZE[0]}" if engine else ""
    known = value if math.isfinite(value) else math.nan
    return Result(subject, engine, kind, size, figure, known, said, digest=artifact.digest)
