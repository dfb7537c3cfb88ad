"""Climb the ladder: damage an original's pictures in every known way, and take every metric."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.quality.damage import LADDERS
from stylepress.benchmarks.quality.features.extractor import Extractor, Perceptual
from stylepress.benchmarks.quality.frechet import features_distance
from stylepress.benchmarks.quality.kernel import discrepancy
from stylepress.benchmarks.quality.paired import pair_scores
from stylepress.benchmarks.quality.patches import TAKEN, TAKEN_OF_FEW, Patches
from stylepress.benchmarks.quality.pixels import content_distance, scaled
from stylepress.benchmarks.quality.result import Ladder, Rung
from stylepress.progress import Progress

Pixels = NDArray[np.uint8]

PAIRS, PAIR_SIDE = 4, 256
"""Paired metrics need few pictures, and their middle shows the same damage as the whole."""


def squares(picture: Pixels, side: int | None) -> Iterator[Pixels]:
    """Cut (H, W, 3) into squares, row by row; what is left at the right and below is left out.

    The picture itself when ``side`` is None.

    >>> [int(cut[0, 0, 0]) for cut in squares(np.arange(24, dtype=np.uint8).reshape(2, 4, 3), 2)]
    [0, 6]
    """
    if side is None:
        yield picture
        return
    for top in range(0, picture.shape[0] - side + 1, side):
        for left in range(0, picture.shape[1] - side + 1, side):
            yield np.ascontiguousarray(picture[top : top + side, left : left + side])


@dataclass(frozen=True, slots=True)
class Climb:
    """How a ladder is climbed.

    Distances over sets use squares of ``square`` pixels of all pictures (None: the pictures),
    paired metrics the middle of the first four. The size of the drift needs the (M, d)
    features of a ``reference``, the drift of content the ``contents``: what the model was given.
    """

    extractor: Extractor
    lpips: Perceptual | None = None
    reference: NDArray[np.float64] | None = None
    contents: Sequence[Pixels] = ()
    square: int | None = None


@dataclass(frozen=True, slots=True)
class _Set:
    """Pictures of which every metric can be taken.

    ``gap`` is their distance to the reference, ``away`` that of each of the middles to its content.
    """

    features: NDArray[np.float64]
    gap: float | None
    patches: Patches
    middles: Sequence[Pixels]
    away: Sequence[float]


def ladder(pictures: Sequence[Pixels], climb: Climb, *, progress: Progress) -> Ladder:
    """Damage the (H, W, 3) uint8 ``pictures`` of a model, rung by rung."""
    whole = _described(pictures, climb)
    steps = [(name, s) for name, kind in LADDERS.items() for s in kind.strengths]
    rungs = []
    progress.start("Climbing the ladder of damages", len(steps))
    for name, strength in steps:
        damage = LADDERS[name].damage
        damaged = [damage(picture, strength, i) for i, picture in enumerate(pictures)]
        values = dict(_values(whole, _described(damaged, climb), climb))
        rungs.append(Rung(kind=name, strength=strength, values=values))
        progress.advance(note=f"{name} {strength:g}")
    progress.finish()
    return Ladder(
        pictures=len(pictures),
        count=len(whole.features),
        pairs=len(whole.middles),
        rungs=tuple(rungs),
    )


def _described(pictures: Sequence[Pixels], climb: Climb) -> _Set:
    cut = [square for picture in pictures for square in squares(picture, climb.square)]
    features, reference = climb.extractor.see(cut).features, climb.reference
    middles = [_middle(picture) for picture in pictures[:PAIRS]]
    contents = [_middle(picture) for picture in climb.contents[:PAIRS]]
    return _Set(
        features,
        None if reference is None else features_distance(reference, features),
        Patches.of(pictures, taken=TAKEN if climb.square is None else TAKEN_OF_FEW),
        middles,
        [
            content_distance(scaled(one), scaled(two))
            for one, two in zip(middles, contents, strict=bool(contents))
        ],
    )


def _values(whole: _Set, damaged: _Set, climb: Climb) -> Iterator[tuple[str, float]]:
    yield "direct", features_distance(whole.features, damaged.features)
    yield "kernel", discrepancy(whole.features, damaged.features, paired=True)
    yield "patches", whole.patches.distance(damaged.patches)
    if whole.gap is not None and damaged.gap is not None:
        yield "drift", abs(damaged.gap - whole.gap)
    scores = []
    for number, (one, two) in enumerate(zip(whole.middles, damaged.middles, strict=True)):
        extra = {} if climb.lpips is None else {"lpips": climb.lpips.distance(one, two)}
        if whole.away:
            extra["content_drift"] = damaged.away[number] - whole.away[number]
        scores.append(pair_scores(number, one, two, extra=extra).values)
    for name in scores[0]:
        yield name, math.fsum(one[name] for one in scores) / len(scores)


def _middle(picture: Pixels) -> Pixels:
    height, width = (min(side, PAIR_SIDE) for side in picture.shape[:2])
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return picture[top : top + height, left : left + width]
