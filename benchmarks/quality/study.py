"""One study of drift from beginning to end: what two models made of pictures in, a ``Drift`` out."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stylepress.benchmarks.check import Check, Verdict, together
from stylepress.benchmarks.gate import USUAL, Limits
from stylepress.benchmarks.part import Part
from stylepress.benchmarks.quality.checks import (
    BENIGN_QUALITY,
    BENIGN_TINT,
    distance_checks,
    paired_checks,
)
from stylepress.benchmarks.quality.features.extractor import Extractor, ExtractorFact
from stylepress.benchmarks.quality.frechet import Features, distances
from stylepress.benchmarks.quality.pixels import levels, pair_scores
from stylepress.errors import FrameError
from stylepress.picture import Pixels
from stylepress.progress import Progress

Rows = NDArray[np.float64]

LEAST = 4
"""Squares below which there is no distance between two sets."""
SQUARE, NETWORK_SQUARE = 64, 128
"""Sides of the squares: features in code see small ones well, networks enlarge them to 299."""


class Drift(Part):
    """What one study of a compressed model against its original found, one check a figure.

    ``names`` are the pictures, ``size`` (height, width) that of the first, ``psnr_db`` of each. Distances
    between sets are over ``count`` squares of ``square`` pixels cut from them, and ``references``
    squares of other pictures; squares of one picture are alike, so intervals are taken over
    pictures (``resampling``). Nothing is ``judged`` where the original is another network, whose
    pictures nobody means to equal.
    """

    original: str
    compressed: str
    names: tuple[str, ...]
    size: tuple[int, int]
    square: int
    count: int
    references: int
    extractor: ExtractorFact
    resampling: str
    judged: bool
    checks: tuple[Check, ...]
    psnr_db: tuple[float, ...]

    @property
    def verdict(self) -> Verdict | None:
        """None where nothing was meant to be judged; open where nothing could be."""
        return together(self.checks) if self.judged else None

    @property
    def sample(self) -> str:
        """What the pictures were, in words."""
        height, width = self.size
        squares = f"{self.count} squares of {self.square} pixels"
        return f"{squares} of {len(self.names)} pictures of {width}x{height}"


class Pair(NamedTuple):
    """What both models made of one picture; (H, W, 3) uint8 each."""

    name: str
    original: Pixels
    compressed: Pixels


def square_of(extractor: Extractor, size: tuple[int, int]) -> int:
    """Return the side of the squares that distances over sets are taken over, of such pictures."""
    return min(SQUARE if extractor.fact.kind == "code" else NETWORK_SQUARE, *size)


def shortage(count: int, size: tuple[int, int], extractor: Extractor) -> str:
    """Say why ``count`` pictures of ``size``, (height, width), are too few; "" where not."""
    side = square_of(extractor, size)
    cut = count * (size[0] // side) * (size[1] // side)
    if cut >= LEAST:
        return ""
    return (
        f"{count} photos of {size[1]}x{size[0]} are {cut} squares of {side} pixels, and a distance "
        f"takes {LEAST} at least"
    )


def drift_study(
    models: tuple[str, str],
    pairs: Sequence[Pair],
    references: Iterable[Pixels],
    *,
    extractor: Extractor,
    limits: Limits = USUAL,
    judged: bool = True,
    progress: Progress,
) -> Drift:
    """Hold what a compressed model made of pictures against what its original made of them.

    ``models`` are their names, the original's first. ``references`` are what the original made of
    other pictures, its world; without any there is no drift, only direct distances. Pictures are
    taken one after the other and not kept, only their features are.

    Raises:
        FrameError: too few pictures or references, or models whose pictures differ in size.
    """
    names, scores, numbers = [pair.name for pair in pairs], list[dict[str, float]](), list[int]()
    height, width = pairs[0].original.shape[:2] if pairs else (0, 0)
    side = square_of(extractor, (height, width))
    arms: tuple[list[Rows], list[Rows], list[Rows]] = [], [], []
    progress.start("Comparing pictures", len(pairs))
    for number, pair in enumerate(pairs):
        scores.append(pair_scores(*pair[1:]))
        for rows, picture in zip(arms, (*pair[1:], benign(pair.original)), strict=True):
            rows.append(extractor.describe(squares(picture, side)))
        numbers += [number] * len(arms[0][-1])
        progress.advance()
    progress.finish()
    world = [extractor.describe(squares(picture, side)) for picture in references]
    others = sum(map(len, world))
    if len(numbers) < LEAST or 0 < others < LEAST:
        raise FrameError(
            f"{len(numbers)} squares against {others} of reference are too few for a study.",
            f"Give {LEAST} of each at least, better five a dimension.",
        )
    reference = np.concatenate(world) if world else None
    original, compressed, changed = (np.concatenate(rows) for rows in arms)
    found = distances(Features(reference, original, compressed, changed, np.array(numbers)))
    checks = (*distance_checks(found, limits), *paired_checks(scores, limits, names))
    if not judged:
        checks = tuple(one.model_copy(update={"verdict": None, "limit": None}) for one in checks)
    return Drift(
        original=models[0],
        compressed=models[1],
        names=tuple(names),
        size=(height, width),
        square=side,
        count=found.count,
        references=found.references,
        extractor=extractor.fact,
        resampling=found.resampling,
        judged=judged,
        checks=checks,
        psnr_db=tuple(one["psnr_db"] for one in scores),
    )


def squares(picture: Pixels, side: int) -> Pixels:
    """Cut (H, W, 3) into squares, row by row: (N, side, side, 3), the rest at the rims left out.

    >>> squares(np.arange(24, dtype=np.uint8).reshape(2, 4, 3), 2)[:, 0, 0, 0].tolist()
    [0, 6]
    """
    down, across = (length // side for length in picture.shape[:2])
    blocks = picture[: down * side, : across * side].reshape(down, side, across, side, 3)
    return np.ascontiguousarray(blocks.swapaxes(1, 2)).reshape(-1, side, side, 3)


def benign(picture: Pixels) -> Pixels:
    """Change a picture as nobody minds: a level more red and less blue, and through JPEG 95."""
    tint = np.array([BENIGN_TINT, 0, -BENIGN_TINT])
    return jpeg(levels(picture + tint), BENIGN_QUALITY)


def jpeg(picture: Pixels, quality: int) -> Pixels:
    """Encode as JPEG (4:4:4, so that only ``quality`` counts) and decode again."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=0)
    return np.asarray(Image.open(file))
