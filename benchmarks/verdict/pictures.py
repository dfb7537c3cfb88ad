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

    ``style`` is the style picture (H, W, 3) uint8, None when there is none.
    """

    names: tuple[str, ...]
    photos: tuple[Pixels, ...]
    base: tuple[Pixels, ...]
    new: tuple[Pixels, ...]
    style: Pixels | None


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """What pictures may lose.

    ``min_psnr_db`` is asked of the photo on which the arms differ most; 0 or below asks nothing.
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
        yield self._likeness(drawn.names, [psnr_db(a, b) for a, b in zip(base, new, strict=True)])
        if min(base[0].shape[:2]) >= 11:
            yield _similarity([ssim(a, b) for a, b in zip(base, new, strict=True)])
        content = [unit(frame) for frame in drawn.photos]
        if drawn.style is not None:
            style = unit(drawn.style[np.newaxis])
            yield self._distance(
                "style distance",
                [
                    (style_distance(a, style), style_distance(b, style))
                    for a, b in zip(base, new, strict=True)
                ],
            )
        yield self._distance(
            "content distance",
            [
                (content_distance(a, c), content_distance(b, c))
                for a, b, c in zip(base, new, content, strict=True)
            ],
        )
        if min(base[0].shape[:2]) >= 64:
            yield self._distance(
                "grid energy",
                [(grid_energy(a), grid_energy(b)) for a, b in zip(base, new, strict=True)],
            )

    def _likeness(self, names: Sequence[str], levels: Sequence[float]) -> Judgement:
        """PSNR between the arms: it cannot get better by being different, so it has one side."""
        worst = min(range(len(levels)), key=levels.__getitem__)
        least, equal = levels[worst], all(map(math.isinf, levels))
        gated = self.limits.min_psnr_db > 0
        verdict: Verdict = "PASS" if least >= self.limits.min_psnr_db else "FAIL"
        return Judgement(
            subject=SUBJECT,
            metric="PSNR between the arms",
            unit="dB",
            kind="quality",
            base=None,
            new=None if math.isinf(least) else least,
            larger_is_worse=False,
            gated=gated,
            verdict=verdict if gated else None,
            note="all pictures are equal"
            if equal
            else f"worst of {len(levels)} photos, {names[worst]}"
            + (f"; at least {self.limits.min_psnr_db:g} dB are asked" if gated else ""),
        )

    def _distance(self, metric: str, values: Sequence[tuple[float, float]]) -> Judgement:
        base, new = (fmean(one) for one in zip(*values, strict=True))
        worse = new / base if base > 0 else math.inf if new > 0 else 1.0
        verdict: Verdict = "FAIL" if worse > 1 + self.limits.delta else "PASS"
        return Judgement(
            subject=SUBJECT,
            metric=metric,
            unit="",
            kind="quality",
            base=base,
            new=new,
            worse=worse if math.isfinite(worse) else None,
            delta=self.limits.delta,
            gated=True,
            verdict=verdict,
            values=tuple(values),
            note=f"mean of {len(values)} photos",
        )


def _similarity(values: Sequence[float]) -> Judgement:
    return Judgement(
        subject=SUBJECT,
        metric="SSIM between the arms",
        unit="",
        kind="quality",
        base=None,
        new=min(values),
        larger_is_worse=False,
        note=f"worst of {len(values)} photos",
    )
