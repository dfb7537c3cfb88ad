"""Pairs of pictures, input and target: of a folder of side-by-side pictures, or made of photos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from stylepress.errors import FrameError
from stylepress.train.photos import Photos

ZOOM = (1.0, 2.0)
"""Short side of a picture, in crops."""
LEVELS = 4
"""Shades of a cartoon."""
OUTLINE = 0.12
"""A step of grey over two pixels that is drawn as a line."""
GREY = (0.299, 0.587, 0.114)
Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Pairs:
    """Draws pairs of square crops, each (3, S, S) float32 in [0, 1].

    ``photos`` are pictures whose left half is the input and whose right half is the target, as pix2pix
    keeps them, where ``task`` is None; else photos that a pair is made of.
    """

    photos: Photos
    task: str | None = None

    def crop(self, draw: torch.Generator, side: int) -> Pair:
        """Draw one pair; photo, place, scale and mirroring come from ``draw``.

        Raises:
            FrameError: a picture is too narrow to be two.
        """
        if self.task is not None:
            photo = self.photos.crop(draw, side, zoom=ZOOM, strange=False)
            return TASKS[self.task](photo)
        index = int(torch.randint(len(self.photos), (1,), generator=draw))
        left, right = halves(self.photos.at(index))
        zoom, across, down, mirrored = torch.rand(4, generator=draw).tolist()
        window = min(left.size) / (ZOOM[0] + (ZOOM[1] - ZOOM[0]) * zoom)
        x, y = (left.width - window) * across, (left.height - window) * down
        crops = []
        for half in (left, right):
            square = half.resize(
                (side, side), Image.Resampling.BICUBIC, (x, y, x + window, y + window)
            )
            pixels = torch.from_numpy(np.asarray(square, np.float32) / 255).permute(2, 0, 1)
            crops.append((pixels.flip(2) if mirrored < 0.5 else pixels).contiguous())
        return crops[0], crops[1]


def halves(picture: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Return the left and the right half of a side-by-side picture, of the same size.

    Raises:
        FrameError: it is not wider than high, so that it cannot be two pictures.
    """
    half = picture.width // 2
    if picture.width <= picture.height:
        raise FrameError(
            f"A pair is {picture.width}x{picture.height} pixels, which is no two pictures side by "
            f"side.",
            "Put the input left and the target right of it into one picture, or leave out `pairs`.",
        )
    right = picture.crop((picture.width - half, 0, picture.width, picture.height))
    return picture.crop((0, 0, half, picture.height)), right


def to_cartoon(photo: Tensor) -> Pair:
    """Return a photo, (3, S, S) in [0, 1], and itself in flat colours between dark outlines."""
    smooth = _blurred(_blurred(photo))
    grey = _grey(smooth)
    flat = (grey * LEVELS).floor().clamp(max=LEVELS - 1).add(0.5) / LEVELS
    coloured = (flat + 1.6 * (smooth - grey)).clamp(0, 1)
    return photo, coloured * _lines(smooth)


def to_photo(photo: Tensor) -> Pair:
    """Return the outlines of a photo, black on white, and the photo."""
    return _lines(_blurred(photo)).expand(3, -1, -1).contiguous(), photo


TASKS: Mapping[str, Callable[[Tensor], Pair]] = {"cartoon": to_cartoon, "edges": to_photo}
"""What pairs are made by, by the name in a recipe."""


def _grey(picture: Tensor) -> Tensor:
    return (picture * torch.tensor(GREY).view(3, 1, 1)).sum(0, keepdim=True)


def _blurred(picture: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(picture[None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0]


def _lines(picture: Tensor) -> Tensor:
    """Return 0 on the outlines of a picture and 1 elsewhere, soft between them: (1, S, S)."""
    padded = F.pad(_grey(picture)[None], (1, 1, 1, 1), mode="replicate")[0]
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    slope = (across.square() + down.square() + 1e-12).sqrt()
    return (2 - slope / OUTLINE).clamp(0, 1)
