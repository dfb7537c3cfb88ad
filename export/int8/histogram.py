"""How large the values of one tensor get: a histogram a channel, filled block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Method: TypeAlias = Literal["minmax", "percentile", "entropy", "mse"]
Values: TypeAlias = NDArray[np.float32]

BINS, POOLED_BINS = 2048, 4096
CODES = 127
SILENT = 1e-30
"""Ranges below this are nothing: their steps would be no float32 numbers."""
BLOCK_VALUES = 1 << 21
"""Values that are counted at once: what bounds the memory beside the tensor itself."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of |x| in equal bins over [0, ``most``], where ``most`` is the largest value met."""

    counts: NDArray[np.float64]
    most: float

    def limit(self, method: Method, *, percentile: float = 99.99) -> float:
        """Return the size beyond which values are clipped: at most the largest value met."""
        if method == "minmax" or not self.most:
            return self.most
        if method == "percentile":
            wanted = self.counts.sum() * (percentile / 100)
            bins = int(np.searchsorted(np.cumsum(self.counts), wanted)) + 1
            return min(1.0, bins / len(self.counts)) * self.most
        return self._least_divergence() if method == "entropy" else self._least_error()

    def _least_error(self) -> float:
        """Return the limit whose 127 steps give the least squared error over all values."""
        filled = np.flatnonzero(self.counts)
        sizes = (filled + 0.5) * (self.most / len(self.counts))
        limits = self.most * np.linspace(0.2, 1, 161)
        steps = limits[:, None] / CODES
        kept = np.minimum(np.rint(sizes / steps), CODES) * steps
        errors = ((kept - sizes) ** 2) @ self.counts[filled]
        return float(limits[int(np.argmin(errors))])

    def _least_divergence(self) -> float:
        """Return the limit whose codes are distributed most like the values (Migacz, GTC 2017).

        For each limit the values beyond it are counted in its last bin; the codes spread their
        counts evenly over the bins they hold that are not empty; the limit with the least
        Kullback-Leibler divergence of the two wins. The bin of 0 is left out: what ReLU cut is
        exact under every limit.
        """
        bins = len(self.counts)
        best, least = bins, np.inf
        for end in range(max(1, bins // 5), bins + 1, max(1, bins // 160)):
            values = self.counts[1:end].copy()
            if len(values) < CODES:
                continue
            outside = self.counts[end:].sum()
            filled = values > 0
            codes = np.arange(len(values)) * CODES // len(values)
            total = np.bincount(codes, values, minlength=CODES)
            members = np.bincount(codes, filled, minlength=CODES)
            spread = np.where(filled, (total / np.maximum(members, 1))[codes], 0.0)
            values[-1] += outside
            if not spread.sum() or (values[-1] and not spread[-1]):
                continue
            wanted, drawn = values / values.sum(), spread / spread.sum()
            some = wanted > 0
            gap = float((wanted[some] * np.log(wanted[some] / drawn[some])).sum())
            if gap < least:
                best, least = end, gap
        return best / bins * self.most


class Activations:
    """What one tensor (N, C, H, W) held: the sizes |x| of each channel, and its mean.

    Sizes are counted over [0, top] of their channel, where top is a power of two that doubles
    when it is too small. Doubling merges bins in pairs and loses nothing, so one pass is enough
    and the order of the photos does not matter. ``whole`` says that every value was an integer
    from -128 to 127: what a frame is in a network whose range is -128..127. Such a tensor is int8
    already, and a step of 1 loses nothing.
    """

    def __init__(self, channels: int) -> None:
        self.whole = True
        self.most = np.zeros(channels)
        self.top = np.full(channels, 2.0**-64)
        self.counts = np.zeros((channels, BINS), np.int64)
        self.sums = np.zeros(channels)

    def add(self, values: Values) -> None:
        """Count the finite values of one more (1, C, H, W); its channels are taken in blocks."""
        block = max(1, BLOCK_VALUES // max(1, values[0, 0].size))
        for first in range(0, len(self.most), block):
            self._add(slice(first, first + block), values[0, first : first + block])

    def _add(self, at: slice, values: Values) -> None:
        if self.whole:
            inside = values.min() >= -CODES - 1 and values.max() <= CODES
            self.whole = bool(inside and (values == np.rint(values)).all())
        self.sums[at] += values.sum(axis=(1, 2), dtype=np.float64)
        sizes = np.abs(values).reshape(len(values), -1)
        self.most[at] = np.maximum(self.most[at], sizes.max(axis=1))
        self._make_room()
        density = (BINS / self.top[at])[:, None].astype(np.float32)
        # A bin holds its upper end and not its lower, so that top itself lies in the last one.
        places = np.maximum(np.ceil(sizes * density).astype(np.int64) - 1, 0)
        places += np.arange(len(values))[:, None] * BINS
        counts = np.bincount(places.ravel(), minlength=len(values) * BINS)
        self.counts[at] += counts.reshape(-1, BINS)

    def _make_room(self) -> None:
        while (small := self.most > self.top).any():
            pairs = self.counts[small].reshape(-1, BINS // 2, 2).sum(axis=2)
            self.counts[small] = np.pad(pairs, ((0, 0), (0, BINS // 2)))
            self.top[small] *= 2

    @property
    def means(self) -> NDArray[np.float64]:
        """(C,) mean of each channel over everything counted."""
        return self.sums / max(1, int(self.counts[0].sum()))

    def channel(self, index: int) -> Histogram:
        """Return the sizes of one channel."""
        return self.pooled(np.eye(len(self.most))[index])

    def pooled(self, scale: NDArray[np.float64]) -> Histogram:
        """Return the sizes of the whole tensor once channel c is multiplied by ``scale[c]``."""
        most = float((self.most * scale).max())
        if most < SILENT:
            return Histogram(np.array([float(self.counts.sum())]), 0.0)
        middles = (np.arange(BINS) + 0.5) * (self.top * scale)[:, None] / BINS
        places = np.minimum((middles * (POOLED_BINS / most)).astype(np.int64), POOLED_BINS - 1)
        counts = np.bincount(places.ravel(), self.counts.ravel(), minlength=POOLED_BINS)
        return Histogram(counts.astype(np.float64), most)
