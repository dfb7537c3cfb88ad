"""When the windows of a warm-up agree: no imports, so that a timed process can ask it too."""

from __future__ import annotations

WINDOWS = 3
WITHIN = 0.02


def agree(medians: list[float], within: float = WITHIN) -> bool:
    """Say whether the last three windows lie within a share of each other.

    >>> agree([9.0, 5.0, 5.05, 5.09]), agree([5.0, 5.0])
    (True, False)
    """
    last = medians[-WINDOWS:]
    return len(last) == WINDOWS and max(last) <= (1 + within) * min(last)
