"""Plots as inline SVG: they fill the width there is, and their letters keep their size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from stylepress.benchmarks.verdict.comparison import Judgement, Run
from stylepress.benchmarks.verdict.measures import p50_ms

STRIP_HEIGHT, CURVE_HEIGHT, RUNS_HEIGHT = 136, 236, 200
LINE, FOOT = 14, 10
"""Height of a line of small text, and how far the lowest one stands above the edge; pixels."""
ROOM = 28.0
"""Percent of the width that a name beside its line needs: 87 pixels of the 310 of a phone."""
POINTS = 400
"""Steps of a distribution curve: more than a screen can tell apart."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A horizontal scale from ``low`` to ``high``, in percent of the width; 4 % stay free."""

    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """Return where a value stands, in percent."""
        low, high, value = (
            (math.log(each) if self.log else each) for each in (self.low, self.high, value)
        )
        share = (value - low) / (high - low) if high > low else 0.5
        return 4 + 92 * min(1.0, max(0.0, share))


@dataclass(frozen=True, slots=True)
class Beside:
    """Where an upright line has its name: ``left`` or right of it, in which ``row`` of text.

    The line begins in that row too.
    """

    left: bool
    row: int = 0


def beside(equal: float, limit: float) -> tuple[Beside, Beside]:
    """Say where the names of two upright lines stand, so that nothing overlaps; in percent.

    ``equal`` is left of ``limit``. Each name stands outside the pair. One that has no room there
    turns inwards, and the other line with its name begins a row lower.

    >>> beside(4, 8), beside(90, 96)[0]
    ((Beside(left=False, row=0), Beside(left=False, row=1)), Beside(left=True, row=1))
    """
    turned = equal < ROOM, limit > 100 - ROOM
    alone = turned[0] != turned[1]
    return (
        Beside(left=not turned[0], row=int(alone and turned[1])),
        Beside(left=turned[1], row=int(alone and turned[0])),
    )


def strip(one: Judgement) -> str:
    """Draw every paired ratio as a dot, the estimate with its interval, 1 and the limit.

    To the right is worse.
    """
    worse = [n / b if one.larger_is_worse else b / n for b, n in one.values]
    limit = 1 + (one.delta or 0)
    ends = [*worse, 1.0, limit, one.low or 1.0, one.high or 1.0]
    axis = Axis(min(ends), max(ends), log=True)
    places = axis.place(1.0), axis.place(limit)
    first, second = beside(*places)
    parts = [_rule(places[0], "equal", "same", first)]
    if one.delta:
        parts.append(_rule(places[1], f"limit +{100 * one.delta:g} %", "limit", second))
    for index, ratio in enumerate(worse):
        # Rows of a fixed pattern part the dots that stand on each other, the same on every draw.
        height = 40 + 12 * (index % 4)
        parts.append(
            f'<circle cx="{axis.place(ratio):.2f}%" cy="{height}" r="4">'
            f"<title>pair {index + 1}: {100 * (ratio - 1):+.2f} %</title></circle>"
        )
    if one.worse is not None:
        low, high = one.low or one.worse, one.high or one.worse
        y = STRIP_HEIGHT - 42
        parts.append(
            f'<line class="span" x1="{axis.place(low):.2f}%" x2="{axis.place(high):.2f}%" '
            f'y1="{y}" y2="{y}"/>'
            f'<rect class="point" x="{axis.place(one.worse):.2f}%" y="{y - 7}" width="3" '
            f'height="14"/>'
        )
    parts += _ends(axis, STRIP_HEIGHT - FOOT, lambda value: f"{100 * (value - 1):+.1f} %")
    parts.append(_middle(STRIP_HEIGHT - FOOT, "new is worse →"))
    return _svg(f"{one.name}, pair by pair: new is worse by {one.change()}", STRIP_HEIGHT, parts)


def arm_keys(*, void: str = "") -> str:
    """Say which colour is which arm, and what ``void`` marks where there is something."""
    marks = {"base": "base", "new": "new", **({"void": void} if void else {})}
    keys = "".join(f'<span class="{mark}">{escape(name)}</span>' for mark, name in marks.items())
    return f'<div class="keys">{keys}</div>'


def distributions(runs: Sequence[Run], title: str) -> str:
    """Draw which share of all calls was faster than a time, one curve an arm; time is logarithmic.

    The axis ends where 99.5 % of the slower arm lie; few calls take many times as long.
    """
    arms = {
        arm: np.sort([ns / 1e6 for run in runs if run.arm == arm for ns in run.samples_ns])
        for arm in ("base", "new")
    }
    if not all(len(values) for values in arms.values()):
        return ""
    low = min(float(values[0]) for values in arms.values())
    high = max(float(np.quantile(values, 0.995)) for values in arms.values())
    axis = Axis(low, max(high, 1.0001 * low), log=True)
    inner = CURVE_HEIGHT - 40
    parts = [
        f'<line class="grid" x1="4%" x2="96%" y1="{y}" y2="{y}"/>'
        f'<text class="tick" x="96%" y="{y + 12}" text-anchor="end">{label}</text>'
        for y, label in ((8 + inner * 0.1, "90 %"), (8 + inner * 0.5, "half"))
    ]
    parts.append(
        f'<svg x="0" y="8" width="100%" height="{inner}" viewBox="0 0 100 100" '
        f'preserveAspectRatio="none">{"".join(_curve(a, v, axis) for a, v in arms.items())}</svg>'
    )
    parts += _ends(axis, CURVE_HEIGHT - FOOT, lambda value: f"{value:.3g} ms")
    parts.append(_middle(CURVE_HEIGHT - FOOT, "slower →"))
    return _svg(f"distribution of {title}", CURVE_HEIGHT, parts) + arm_keys()


def in_order(runs: Sequence[Run], title: str) -> str:
    """Draw the median of every run in the order they were made: drift shows as a slope."""
    counted = sorted(runs, key=lambda run: run.place)
    values = [p50_ms(run) for run in counted]
    if not values:
        return ""
    low, high = min(values), max(values)
    inner = RUNS_HEIGHT - 62
    scale = Axis(low, high, log=True)
    axis = Axis(0, max(1, len(values) - 1))
    parts = []
    for index, (run, value) in enumerate(zip(counted, values, strict=True)):
        share = (scale.place(value) - 4) / 92
        kind = "void" if run.invalid else run.arm
        note = f", discarded: {'; '.join(run.invalid)}" if run.invalid else ""
        parts.append(
            f'<circle class="{kind}" cx="{axis.place(index):.2f}%" '
            f'cy="{30 + inner * (1 - share):.1f}" r="4"><title>'
            f"{escape(f'run {run.place}, {run.arm}, {run.part}: {value:.4g} ms{note}')}"
            "</title></circle>"
        )
    parts += [
        f'<text class="tick" x="4%" y="{LINE}">height: {low:.3g} to {high:.3g} ms</text>',
        f'<text class="tick" x="4%" y="{RUNS_HEIGHT - FOOT}">first run</text>',
        f'<text class="tick" x="96%" y="{RUNS_HEIGHT - FOOT}" text-anchor="end">last run</text>',
    ]
    void = "discarded" if any(run.invalid for run in counted) else ""
    return _svg(f"runs in order, {title}", RUNS_HEIGHT, parts) + arm_keys(void=void)


def _curve(arm: str, values: np.ndarray, axis: Axis) -> str:
    shares = np.linspace(0, 1, min(POINTS, len(values)))
    places = [axis.place(float(value)) for value in np.quantile(values, shares)]
    points = " ".join(
        f"{x:.2f},{100 * (1 - share):.2f}" for x, share in zip(places, shares, strict=True)
    )
    return f'<polyline class="{arm}" points="{points}"/>'


def _rule(place: float, label: str, kind: str, where: Beside) -> str:
    """Draw an upright line with its name beside it."""
    anchor, shift = ("end", -5) if where.left else ("start", 5)
    top = LINE * where.row
    return (
        f'<line class="{kind}" x1="{place:.2f}%" x2="{place:.2f}%" y1="{top + 4}" '
        f'y2="{STRIP_HEIGHT - 34}"/>'
        f'<text class="tick" x="{place:.2f}%" dx="{shift}" y="{top + LINE}" '
        f'text-anchor="{anchor}">{escape(label)}</text>'
    )


def _middle(y: int, label: str) -> str:
    return f'<text class="tick" x="50%" y="{y}" text-anchor="middle">{escape(label)}</text>'


def _ends(axis: Axis, y: int, write: Callable[[float], str]) -> list[str]:
    return [
        f'<text class="tick" x="4%" y="{y}">{escape(write(axis.low))}</text>',
        f'<text class="tick" x="96%" y="{y}" text-anchor="end">{escape(write(axis.high))}</text>',
    ]


def _svg(label: str, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg role="img" width="100%" height="{height}" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )
