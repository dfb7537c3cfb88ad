"""The plot of a paired figure, as inline SVG: it fills the width there is, and its letters keep their size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from stylepress.benchmarks.check import Check

STRIP_HEIGHT, LINE, FOOT = 136, 14, 10
"""Heights of the plot and of a line of small text; how far the lowest one stands off the edge."""


class Axis(NamedTuple):
    """A horizontal scale from ``low`` to ``high``, in percent of the width; ``free`` at both ends."""

    low: float
    high: float
    log: bool = False
    free: float = 4

    def place(self, value: float) -> float:
        """Return where a value stands, in percent."""
        low, high, value = (
            (math.log(each) if self.log else each) for each in (self.low, self.high, value)
        )
        share = (value - low) / (high - low) if high > low else 0.5
        return self.free + (100 - 2 * self.free) * min(1.0, max(0.0, share))


def strip(check: Check) -> str:
    """Draw every paired ratio as a dot, the estimate with its interval, 1 and the limit.

    To the right is worse.
    """
    worse = [n / b if check.larger_is_worse else b / n for b, n in check.values]
    limit = 1 + (check.limit or 0)
    ends = [*worse, 1.0, limit, check.low or 1.0, check.high or 1.0]
    axis = Axis(min(ends), max(ends), log=True)
    parts = [_rule(axis.place(1.0), "equal", "same", LINE)]
    if check.limit:
        name = f"limit +{100 * check.limit:g} %"
        parts.append(_rule(axis.place(limit), name, "limit", 2 * LINE))
    for index, ratio in enumerate(worse):
        # Rows of a fixed pattern part the dots that stand on each other, the same on every draw.
        title = f"pair {index + 1}: {100 * (ratio - 1):+.2f} %"
        parts.append(_dot(axis.place(ratio), 44 + 12 * (index % 4), "new", title))
    if check.worse is not None:
        low, high = check.low or check.worse, check.high or check.worse
        y = STRIP_HEIGHT - 38
        parts.append(
            f'<line class="span" x1="{axis.place(low):.2f}%" x2="{axis.place(high):.2f}%" '
            f'y1="{y}" y2="{y}"/><rect class="point" x="{axis.place(check.worse):.2f}%" '
            f'y="{y - 7}" width="3" height="14"/>'
        )
    for x, end, anchor in (("4%", axis.low, "start"), ("96%", axis.high, "end")):
        parts.append(_text(x, STRIP_HEIGHT - FOOT, f"{100 * (end - 1):+.1f} %", anchor))
    parts.append(_text("50%", STRIP_HEIGHT - FOOT, "new is worse →", "middle"))
    return _svg(f"{check.name}, pair by pair: new is worse by {check.change}", STRIP_HEIGHT, parts)


def _rule(place: float, label: str, kind: str, y: int) -> str:
    """Draw an upright line with its name beside it, on the side that has room for it."""
    anchor, shift = ("end", -5) if place > 50 else ("start", 5)
    return (
        f'<line class="{kind}" x1="{place:.2f}%" x2="{place:.2f}%" y1="{y - 10}" '
        f'y2="{STRIP_HEIGHT - 30}"/>{_text(f"{place:.2f}%", y, label, anchor, shift)}'
    )


def _dot(x: float, y: float, kind: str, title: str) -> str:
    words = f"<title>{escape(title)}</title>" if title else ""
    return f'<circle class="{kind}" cx="{x:.2f}%" cy="{y:.1f}" r="3.5">{words}</circle>'


def _text(x: str, y: float, words: str, anchor: str = "start", shift: int = 0) -> str:
    return (
        f'<text class="tick" x="{x}" dx="{shift}" y="{y:g}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


def _svg(label: str, height: float, parts: Sequence[str], kind: str = "plot") -> str:
    return (
        f'<svg class="{kind}" role="img" width="100%" height="{height:g}" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )
