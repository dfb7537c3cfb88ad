"""Holm's correction: of many figures judged at once, chance alone fails none, with one alpha."""

from __future__ import annotations

import math
from collections.abc import Sequence


def holm(values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values for being judged together (Holm 1979), in the order given.

    The k-th smallest of m, counted from 0, becomes the largest of (m - i) p_i for i <= k, at most
    1. A figure is rejected when its adjusted p is at most alpha.

    >>> holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)
    """
    adjusted = [1.0] * len(values)
    worst = 0.0
    order = sorted(range(len(values)), key=values.__getitem__)
    for rank, index in enumerate(order):
        worst = max(worst, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = worst
    return tuple(adjusted)


def least_pairs(figures: int, alpha: float) -> int:
    """Fewest pairs with which any of ``figures`` can fail at all, at a two-sided ``alpha``.

    The smallest one-sided p of n pairs is 2^-n, and the smallest of m figures is multiplied by m.

    >>> [least_pairs(m, 0.05) for m in (1, 2, 20)], least_pairs(1, 0.01)
    ([6, 7, 10], 8)
    """
    return max(1, math.ceil(math.log2(2 * max(1, figures) / alpha) - 1e-9))
