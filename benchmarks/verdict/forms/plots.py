"""Plots as inline SVG: they fill the width there is, and their letters keep their size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from stylepress.benchmarks.verdict.comparison import Judgement, Run
from stylepress.benchmarks.verdict.measures import p50_ms

STRIP_HEIGHT, CURVE_HEIGHT, RUNS_HEIGHT = 118, 230, 190
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


def strip(one: Judgement) -> str:
    """Draw every paired ratio as a dot, the estimate with its interval, 1 and the limit.

    To the right is worse.
    """
    worse = [n / b if one.larger_is_worse else b / n for b, n in one.values]
    limit = 1 + (one.delta or 0)
    ends = [*worse, 1.0, limit, one.low or 1.0, one.high or 1.0]
    axis = Axis(min(ends), max(ends), log=True)
    parts = [_rule(axis.place(1.0), STRIP_HEIGHT - 34, "equal", "same", left=True)]
    if one.delta:
        parts.append(
            _rule(axis.place(limit), STRIP_HEIGHT - 34, f"+{100 * one.delta:g} %", "limit")
        )
    for index, ratio in enumerate(worse):
        # Rows of a fixed pattern part the dots that stand on each other, the same on every draw.
        height = 26 + 12 * (index % 4)
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
    parts += _ends(axis, STRIP_HEIGHT - 4, lambda value: f"{100 * (value - 1):+.1f} %")
    return _svg(f"paired ratios of {one.name}", STRIP_HEIGHT, parts)


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
    parts += _ends(axis, CURVE_HEIGHT - 12, lambda value: f"{value:.3g} ms")
    return _svg(f"distribution of {title}", CURVE_HEIGHT, parts)


def in_order(runs: Sequence[Run], title: str) -> str:
    """Draw the median of every run in the order they were made: drift shows as a slope."""
    counted = sorted(runs, key=lambda run: run.place)
    values = [p50_ms(run) for run in counted]
    if not values:
        return ""
    low, high = min(values), max(values)
    inner = RUNS_HEIGHT - 44
    scale = Axis(low, high, log=True)
    axis = Axis(0, max(1, len(values) - 1))
    parts = []
    for index, (run, value) in enumerate(zip(counted, values, strict=True)):
        share = (scale.place(value) - 4) / 92
        kind = "void" if run.invalid else run.arm
        note = f", discarded: {'; '.join(run.invalid)}" if run.invalid else ""
        parts.append(
            f'<circle class="{kind}" cx="{axis.place(index):.2f}%" '
            f'cy="{14 + inner * (1 - share):.1f}" r="4"><title>'
            f"{escape(f'run {run.place}, {run.arm}, {run.part}: {value:.4g} ms{note}')}"
            "</title></circle>"
        )
    parts.append(f'<text class="tick" x="4%" y="{RUNS_HEIGHT - 6}">first run</text>')
    parts.append(
        f'<text class="tick" x="96%" y="{RUNS_HEIGHT - 6}" text-anchor="end">last run</text>'
    )
    parts.append(
        f'<text class="tick" x="50%" y="{RUNS_HEIGHT - 6}" text-anchor="middle">'
        f"{low:.3g} to {high:.3g} ms</text>"
    )
    return _svg(f"runs in order, {title}", RUNS_HEIGHT, parts)


def _curve(arm: str, values: np.ndarray, axis: Axis) -> str:
    shares = np.linspace(0, 1, min(POINTS, len(values)))
    places = [axis.place(float(value)) for value in np.quantile(values, shares)]
    points = " ".join(
        f"{x:.2f},{100 * (1 - share):.2f}" for x, share in zip(places, shares, strict=True)
    )
    return f'<polyline class="{arm}" points="{points}"/>'


def _rule(place: float, height: int, label: str, kind: str, *, left: bool = False) -> str:
    """Draw an upright line with its name beside it, on the side that has room."""
    ends = (left and place > 15) or place > 85
    anchor, shift = ("end", -5) if ends else ("start", 5)
    return (
        f'<line class="{kind}" x1="{place:.2f}%" x2="{place:.2f}%" y1="4" y2="{height}"/>'
        f'<text class="tick" x="{place:.2f}%" dx="{shift}" y="14" text-anchor="{anchor}">'
        f"{escape(label)}</text>"
    )


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
