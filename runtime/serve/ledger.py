"""What became of every frame: captured = published + dropped by reason + still in flight."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

AGES_S = (0.01, 0.02, 0.033, 0.05, 0.067, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)
WINDOW = 300
"""Ages of so many frames are kept, for the percentiles that the page shows."""


class Ledger:
    """The counts of one stream; every method is safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.captured = self.published = self.in_flight = 0
        self.slates = self.corrupt = 0
        self.dropped: Counter[str] = Counter()
        self.reconnects: Counter[str] = Counter()
        self.age_sum_s = 0.0
        self._buckets = [0] * (len(AGES_S) + 1)
        self._ages_s: deque[float] = deque(maxlen=WINDOW)
        self._times_s: deque[float] = deque(maxlen=WINDOW)
        self.last_s = 0.0

    def capture(self) -> None:
        """Count a frame that came in."""
        with self._lock:
            self.captured += 1
            self.in_flight += 1

    def drop(self, reason: str) -> None:
        """Count a frame of those in flight that goes no further."""
        with self._lock:
            self.in_flight -= 1
            self.dropped[reason] += 1

    def lose(self, frames: int, reason: str) -> None:
        """Count frames that a source process captured and could not hand over."""
        if frames:
            with self._lock:
                self.captured += frames
                self.dropped[reason] += frames

    def publish(self, age_s: float) -> None:
        """Count a frame of those in flight that went to all outputs, ``age_s`` after its capture."""
        with self._lock:
            self.in_flight -= 1
            self.published += 1
            self.age_sum_s += age_s
            self._ages_s.append(age_s)
            self._buckets[bisect_left(AGES_S, age_s)] += 1
            self.last_s = time.monotonic()
            self._times_s.append(self.last_s)

    def age_buckets(self) -> tuple[list[tuple[str, float]], float]:
        """Return a histogram of ages, cumulative by upper end in s, and the sum of all ages."""
        with self._lock:
            sums = accumulate(self._buckets)
            names = [*(f"{end:g}" for end in AGES_S), "+Inf"]
            return list(zip(names, map(float, sums), strict=True)), self.age_sum_s

    def facts(self) -> dict[str, Any]:
        """Return all counts of one moment, the rate of the last seconds, and the ages in ms."""
        with self._lock:
            now = time.monotonic()
            recent = [moment for moment in self._times_s if now - moment <= 3.0]
            span = now - recent[0] if len(recent) > 1 else 0.0
            ages = sorted(self._ages_s)
            return {
                "captured": self.captured,
                "published": self.published,
                "in_flight": self.in_flight,
                "dropped": dict(self.dropped),
                "corrupt": self.corrupt,
                "slates": self.slates,
                "reconnects": dict(self.reconnects),
                "fps": round((len(recent) - 1) / span, 2) if span > 0 else 0.0,
                "age_ms": {"p50": _at(ages, 0.5), "p99": _at(ages, 0.99)},
            }


def balance(facts: Mapping[str, Any]) -> int:
    """Return how many frames of a ledger nobody accounts for: 0."""
    gone = sum(facts["dropped"].values()) + facts["published"] + facts["in_flight"]
    return int(facts["captured"] - gone)


def _at(ages_s: list[float], share: float) -> float | None:
    if not ages_s:
        return None
    return round(1e3 * ages_s[min(len(ages_s) - 1, int(share * len(ages_s)))], 2)
