"""The picture of what INT8 costs: float, ours, and what NNCF makes of it, a row a style."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image

from stylepress.benchmarks.rivals.entry import NNCF, NNCF_TUNED
from stylepress.benchmarks.tables.loss import SIZE, engines
from stylepress.benchmarks.tables.setting import Setting
from stylepress.benchmarks.timing.systems import Pixels
from stylepress.replace import replacing_file

PLACE = Path("docs/int8.jpg")
CROP, GAP = 300, 6
"""Pixels of the middle of a photo that are shown as they are, and between two of them."""


def draw_poster(setting: Setting, checkout: Path) -> Path | None:
    """Draw ``docs/int8.jpg`` of a checkout; None where NNCF is not installed.

    Raises:
        OutputError: it cannot be written.
    """
    frame = setting.heldout(SIZE)[-1].frame
    rows = []
    for style in setting.styles:
        with ExitStack() as stack:
            bundle = setting.float_bundle(style.student)
            reference, ours, others = engines(style, bundle, setting, stack)
            runs = {name: run for name, run, _ in others}
            if not {NNCF, NNCF_TUNED} <= set(runs):
                setting.progress.warn(f"{PLACE} is left as it is. NNCF is not installed.")
                return None
            shown = (reference, runs[ours], runs[NNCF_TUNED], runs[NNCF])
            rows.append(_joined([_middle(run(frame)[0]) for run in shown], axis=1))
    path = checkout / PLACE
    with replacing_file(path) as beside:
        Image.fromarray(_joined(rows, axis=0)).save(beside, "JPEG", quality=88, optimize=True)
    return path


def _middle(picture: Pixels) -> Pixels:
    top, left = ((extent - CROP) // 2 for extent in picture.shape[:2])
    cut: Pixels = picture[top : top + CROP, left : left + CROP]
    return cut


def _joined(parts: list[Pixels], *, axis: int) -> Pixels:
    shape = list(parts[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 255, np.uint8)
    return np.concatenate([each for part in parts for each in (part, gap)][:-1], axis=axis)
