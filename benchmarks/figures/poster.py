"""``python -m stylepress.benchmarks.figures.poster OUT``: the picture in the README.

One row a shipped style; for two photos that no training saw: photo, teacher, INT8 student.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from stylepress.benchmarks.figures.shipped import Shipped, shipped
from stylepress.export.stage import frame_graph_of
from stylepress.export.verify import OnnxFrames, Pixels, in_torch
from stylepress.replace import replacing_file

RECIPES = Path("recipes")
SHOWN = ("astronaut", "raccoon")
SIDE, TILE, GAP = 512, 320, 6


def main(arguments: Sequence[str]) -> int:
    """Draw the poster into the file named; return the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("Name one file to draw into, e.g. docs/styles.jpg.\n")
        return 64
    out = Path(arguments[0])
    photos = [_square(RECIPES / "photos" / "heldout" / f"{name}.jpg") for name in SHOWN]
    rows = [_row(style, photos) for style in shipped(RECIPES)]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    stacked = np.concatenate([part for row in rows for part in (row, gap)][:-1])
    with replacing_file(out) as beside:
        Image.fromarray(stacked).save(beside, quality=88, optimize=True)
    return 0


def _row(style: Shipped, photos: Sequence[Pixels]) -> Pixels:
    teacher = frame_graph_of(style.teacher)
    student = OnnxFrames(style.bundle.path("model.onnx"))
    gap = np.full((TILE, GAP, 3), 255, np.uint8)
    tiles: list[Pixels] = []
    for photo in photos:
        for picture in (photo, in_torch(teacher, photo), student(photo)):
            small = Image.fromarray(picture[0]).resize((TILE, TILE), Image.Resampling.LANCZOS)
            tiles += [np.asarray(small, np.uint8), gap]
    return np.concatenate(tiles[:-1], axis=1)


def _square(path: Path) -> Pixels:
    with Image.open(path) as file:
        fitted = ImageOps.fit(file.convert("RGB"), (SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(fitted, np.uint8)[None]


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    raise SystemExit(main(sys.argv[1:]))
