"""Picture against picture: what compression did to each one, the worst of them by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.part import Part
from stylepress.benchmarks.pictures.quality import psnr_db, ssim, structures
from stylepress.errors import FrameError

Pixels = NDArray[np.uint8]

CAP_DB = 99.0
"""PSNR of equal pictures, which is infinite, so that a mean exists; 0.003 levels of error."""
WORST = 16
RESAMPLES = 1000
STRUCTURE_SIDE, WINDOW_SIDE = 176, 11

MORE_IS_WORSE: Mapping[str, bool] = {
    "psnr_db": False,
    "ssim": False,
    "ms_ssim": False,
    "lpips": True,
    "levels": True,
    "content_drift": True,
    "style_drift": True,
}


class Worst(Part):
    """One of the pictures that suffered most."""

    picture: int
    value: float


class Paired(Part):
    """One measure over all pictures.

    ``low`` and ``high`` bound the mean with 95 % (bootstrap over pictures; None below 6). ``p95``
    is what 95 % of the pictures keep to, ``worst`` the 16 beyond, worst first.
    """

    measure: str
    more_is_worse: bool
    count: int
    mean: float
    low: float | None
    high: float | None
    p95: float
    worst: tuple[Worst, ...]


@dataclass(frozen=True, slots=True)
class PairScores:
    """One picture of the compressed model against that of the original, by measure.

    ``levels`` is the mean absolute difference in 8-bit levels.
    """

    picture: int
    values: Mapping[str, float]


def pair_scores(
    picture: int, one: Pixels, two: Pixels, *, extra: Mapping[str, float] | None = None
) -> PairScores:
    """Score two (H, W, 3) uint8 pictures; ``extra`` adds measures that were taken elsewhere.

    SSIM needs sides of 11, MS-SSIM of 176: below, they are left out.

    Raises:
        FrameError: pictures of two sizes.
    """
    if one.shape != two.shape or one.dtype != np.uint8 or two.dtype != np.uint8:
        raise FrameError(
            f"Picture {picture} is {one.shape} {one.dtype} from one model and {two.shape} "
            f"{two.dtype} from the other. Give both models the same frame."
        )
    first, second = one.astype(np.float32) / 255, two.astype(np.float32) / 255
    values = {
        "psnr_db": min(psnr_db(first, second), CAP_DB),
        "levels": float(np.mean(np.abs(one.astype(np.int16) - two))),
    }
    side = min(one.shape[:2])
    if side >= STRUCTURE_SIDE:
        values["ssim"], values["ms_ssim"] = structures(first, second)
    elif side >= WINDOW_SIDE:
        values["ssim"] = ssim(first, second)
    return PairScores(picture, {**values, **(extra or {})})


def paired(scores: Sequence[PairScores], *, seed: int = 0) -> tuple[Paired, ...]:
    """Sum up each measure over the pictures that have it."""
    names = [name for name in MORE_IS_WORSE if any(name in one.values for one in scores)]
    return tuple(_paired(name, scores, seed) for name in names)


def _paired(name: str, scores: Sequence[PairScores], seed: int) -> Paired:
    known = [(one.picture, one.values[name]) for one in scores if name in one.values]
    values = np.array([value for _, value in known])
    if not np.isfinite(values).all():
        raise FrameError(
            f"The {name} of picture {known[int(np.argmin(np.isfinite(values)))][0]} is "
            f"{values[int(np.argmin(np.isfinite(values)))]}. Look at that picture."
        )
    more = MORE_IS_WORSE[name]
    order = np.argsort(-values if more else values, kind="stable")[:WORST]
    low, high = _interval(values, seed)
    return Paired(
        measure=name,
        more_is_worse=more,
        count=len(values),
        mean=float(values.mean()),
        low=low,
        high=high,
        p95=float(np.quantile(values, 0.95 if more else 0.05)),
        worst=tuple(Worst(picture=known[i][0], value=known[i][1]) for i in order.tolist()),
    )


def _interval(values: NDArray[np.float64], seed: int) -> tuple[float | None, float | None]:
    if len(values) < 6:
        return None, None
    draw = np.random.default_rng(seed)
    means = [values[draw.integers(len(values), size=len(values))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def rank_correlation(one: Sequence[float], two: Sequence[float]) -> float:
    """Spearman's rho, ties by their mean rank; NaN when one of them does not vary.

    >>> rank_correlation([1, 2, 3, 4], [10, 20, 40, 30])
    0.8
    """
    first, second = _ranks(one), _ranks(two)
    first, second = first - first.mean(), second - second.mean()
    size = math.sqrt(float(first @ first) * float(second @ second))
    return round(float(first @ second) / size, 12) if size else math.nan


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    below, equal = (array[:, None] > array).sum(1), (array[:, None] == array).sum(1)
    ranks: NDArray[np.float64] = below + (equal - 1) / 2
    return ranks
