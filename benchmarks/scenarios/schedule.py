"""When samples arrive: fixed before the run begins, so that a slow system cannot slow them down."""

from __future__ import annotations

import math
from random import Random

from stylepress.errors import RecipeError

MOST_ARRIVALS = 1_000_000


def poisson_ns(rate_hz: float, *, seed: int, min_s: float, min_count: int) -> tuple[int, ...]:
    """Draw arrival times of a Poisson process, in ns from the start, rising.

    Gaps are exponential with mean ``1 / rate_hz``, by inversion of uniform numbers: one seed gives
    one schedule, whatever the versions. As many as ``min_count`` and ``min_s`` seconds both ask.
    """
    _check(rate_hz, min_s, min_count)
    random = Random(seed)
    arrivals: list[int] = []
    now_s = 0.0
    while len(arrivals) < min_count or now_s < min_s:
        now_s -= math.log1p(-random.random()) / rate_hz
        arrivals.append(round(1e9 * now_s))
    return tuple(arrivals)


def steady_ns(rate_hz: float, *, min_s: float, min_count: int) -> tuple[int, ...]:
    """Return the times k / ``rate_hz`` of a camera, in ns from the start.

    >>> steady_ns(25, min_s=0.1, min_count=1)
    (0, 40000000, 80000000)
    """
    _check(rate_hz, min_s, min_count)
    count = max(min_count, math.ceil(min_s * rate_hz))
    return tuple(round(1e9 * number / rate_hz) for number in range(count))


def _check(rate_hz: float, min_s: float, min_count: int) -> None:
    if not (math.isfinite(rate_hz) and rate_hz > 0):
        raise RecipeError(
            f"Samples that arrive at a rate of {rate_hz} a second never arrive. "
            f"Give a rate above 0."
        )
    if max(min_count, min_s * rate_hz) > MOST_ARRIVALS:
        raise RecipeError(
            f"{rate_hz:g} samples a second for {min_s:g} s are more than {MOST_ARRIVALS:,}, and "
            f"each is kept. Ask for a lower rate or a shorter time."
        )
