"""Inception Score (Salimans et al. 2016): are pictures of one thing each, and of many things."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stylepress.errors import FrameError

SPLITS = 10


@dataclass(frozen=True, slots=True)
class InceptionScore:
    """Mean and deviation of the score over ``splits`` parts of ``count`` pictures."""

    value: float
    deviation: float
    splits: int
    count: int


def inception_score(
    logits: NDArray[np.floating], *, splits: int = SPLITS, seed: int = 0
) -> InceptionScore:
    """Return exp of the mean divergence KL(p(y|x) || p(y)), from (N, classes) logits.

    1 when every picture gives the same classes, the number of classes when each picture is sure
    of one and all are equally frequent. Pictures are put in a random order first.

    Raises:
        FrameError: fewer pictures than splits, or logits that are not finite.
    """
    rows = np.asarray(logits, np.float64)
    if rows.ndim != 2 or not 1 <= splits <= len(rows) or not np.isfinite(rows).all():
        raise FrameError(
            f"No Inception Score can be taken of logits of shape {rows.shape} in {splits} splits. "
            f"Give finite (pictures, classes), at least one picture a split."
        )
    rows = rows[np.random.default_rng(seed).permutation(len(rows))]
    rows = rows - rows.max(1, keepdims=True)
    logs = rows - np.log(np.exp(rows).sum(1, keepdims=True))
    scores = []
    for part in np.array_split(logs, splits):
        shares = np.exp(part)
        mean = shares.mean(0)
        # A class that no picture has adds 0, whatever its logarithm.
        divergence = (shares * (part - np.log(np.where(mean > 0, mean, 1)))).sum(1)
        scores.append(float(np.exp(divergence.mean())))
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)), splits, len(rows))
