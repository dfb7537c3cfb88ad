"""The quality gate: whether the new arm's pictures are as good, and whether they are the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.pictures.photos import unit
from stylepress.benchmarks.pictures.quality import (
    content_distance,
    grid_energy,
    psnr_db,
    ssim,
    style_distance,
)
from stylepress.benchmarks.verdict.comparison import Judgement
from stylepress.benchmarks.verdict.rule import Verdict
from stylepress.errors import RecipeError

Pixels = NDArray[np.uint8]

SUBJECT = "pictures"


@dataclass(frozen=True, slots=True)
class Drawn:
    """What both arms made of the same photos; each picture (1, H, W, 3) uint8 RGB.

    ``style`` is the style picture (H, W, 3) uint8, None when there is none. ``references`` are what
    the base made of other photos, its world.
    """

    names: tuple[str, ...]
    photos: tuple[Pixels, ...]
    base: tuple[Pixels, ...]
    new: tuple[Pixels, ...]
    style: Pixels | None
    references: tuple[Pixels, ...] = ()


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """What pictures may lose.

    ``min_psnr_db`` is asked of the photo that is farthest off; 0 or below asks nothing.
    ``delta`` is the share by which style distance, content distance and grid energy, the mean over
    photos, may grow.
    """

    min_psnr_db: float = 20.0
    delta: float = 0.10

    def __post_init__(self) -> None:
        if not (math.isfinite(self.min_psnr_db) and math.isfinite(self.delta) and self.delta > 0):
            raise RecipeError(
                f"Limits of {self.min_psnr_db} dB and {100 * self.delta:g} % judge no picture. "
                f"Give e.g. `--min-psnr 20 --max-quality-loss 10`."
            )


class PictureJudge(Protocol):
    """Something that judges the pictures of both arms: the seam for further quality metrics.

    A judgement has ``kind="quality"``; it counts in the verdict when ``gated`` is true.
    """

    def __call__(self, drawn: Drawn) -> Iterable[Judgement]:
        """Return one judgement a figure."""


@dataclass(frozen=True, slots=True)
class PairedJudge:
    """The judge that is always there: PSNR and SSIM between the arms, and each arm on its own."""

    limits: PictureLimits

    def __call__(self, drawn: Drawn) -> Iterator[Judgement]:
        """Judge how far the arms are apart, then how much worse the new one is by itself."""
        base, new = ([unit(frame) for frame in frames] for frames in (drawn.base, drawn.new))
        levels = [psnr_db(a, b) for a, b in zip(base, new, strict=True)]
        yield likeness("PSNR against base", drawn.names, levels, limits=self.limits)
        if min(base[0].shape[:2]) >= 11:
            yield _similarity([ssim(a, b) for a, b in zip(base, new, strict=True)])
        content = [unit(frame) for frame in drawn.photos]
        if drawn.style is not None:
            style = unit(drawn.style[np.newaxis])
            yield growth(
                "style distance",
                [
                    (style_distance(a, style), style_distance(b, style))
                    for a, b in zip(base, new, strict=True)
                ],
                limits=self.limits,
            )
        yield growth(
            "content distance",
            [
                (content_distance(a, c), content_distance(b, c))
                for a, b, c in zip(base, new, content, strict=True)
            ],
            limits=self.limits,
        )
        if min(base[0].shape[:2]) >= 64:
            yield growth(
                "grid energy",
                [(grid_energy(a), grid_energy(b)) for a, b in zip(base, new, strict=True)],
                limits=self.limits,
            )


def likeness(
    metric: str,
    names: Sequence[str],
    levels: Sequence[float],
    *,
    limits: PictureLimits,
    before: Sequence[float] | None = None,
) -> Judgement:
    """Judge PSNR in dB by photo, infinite for equal pictures; it cannot get better by differing.

    ``levels`` are between the arms; or with ``before``, each arm's against a third model: what
    was below the limit before is no loss unless it fell.
    """
    worst = min(range(len(levels)), key=levels.__getitem__)
    least, lowest = levels[worst], None if before is None else min(before)
    gated, asked = limits.min_psnr_db > 0, limits.min_psnr_db
    kept = least >= asked or (lowest is not None and least >= lowest)
    note = f"worst of {len(levels)} photos, {names[worst]}"
    if gated:
        note += f"; at least {asked:g} dB are asked"
    if all(map(math.isinf, levels)):
        note = "all pictures are equal"
    verdict: Verdict = "PASS" if kept else "FAIL"
    return Judgement(
        subject=SUBJECT,
        metric=metric,
        unit="dB",
        kind="quality",
        base=None if lowest is None or math.isinf(lowest) else lowest,
        new=None if math.isinf(least) else least,
        larger_is_worse=False,
        gated=gated,
        verdict=verdict if gated else None,
        note=note,
    )


def growth(
    metric: str, values: Sequence[tuple[float, float]], *, limits: PictureLimits
) -> Judgement:
    """Judge by how much a distance, (base, new) by photo, grew in the mean."""
    base, new = (fmean(one) for one in zip(*values, strict=True))
    worse = new / base if base > 0 else 1.0 if new == base else math.inf
    # Turned this way, what is no number fails.
    verdict: Verdict = "PASS" if worse <= 1 + limits.delta else "FAIL"
    return Judgement(
        subject=SUBJECT,
        metric=metric,
        unit="",
        kind="quality",
        base=_known(base),
        new=_known(new),
        worse=_known(worse),
        delta=limits.delta,
        gated=True,
        verdict=verdict,
        values=tuple(values),
        note=f"mean of {len(values)} photos",
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _similarity(values: Sequence[float]) -> Judgement:
    return Judgement(
        subject=SUBJECT,
        metric="SSIM against base",
        unit="",
        kind="quality",
        base=None,
        new=min(values),
        larger_is_worse=False,
        note=f"worst of {len(values)} photos",
    )
