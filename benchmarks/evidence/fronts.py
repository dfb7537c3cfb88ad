"""The front from nano to wide of each style, and what `fit` finds beside it, after short trainings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path

from stylepress.benchmarks.evidence.place import STYLE, Place
from stylepress.benchmarks.evidence.row import Row
from stylepress.build import BuildOptions
from stylepress.export.fit.candidate import presets
from stylepress.export.fit.result import Budget, Effort, Fit, front
from stylepress.export.fit.search import fit
from stylepress.export.fit.study import Trial
from stylepress.recipe import changed, load_recipe
from stylepress.replace import replacing_file

STYLES = ("glass", "starry", "strokes", "woodcut")
SHORT, MINUTES = 150, 20.0
NO_LIMIT = Budget(1000.0, 10.0)
DRAWING = Path("docs/fronts.svg")
WIDTH, HEIGHT, EDGE = 720, 400, 56
COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df")


def front_rows(place: Place) -> Iterator[Row]:
    """Yield drift and predicted time of every preset, each style; draw them into docs."""
    named = {candidate.key: name for name, candidate in presets(("int8",))}
    lines: dict[str, list[tuple[float, float, str]]] = {}
    for style in STYLES:
        effort = Effort(trials=1 + len(named), short_steps=SHORT, best=0)
        found = _searched(place, style, NO_LIMIT, effort)
        points = [trial for trial in found.tried if trial.candidate.key in named]
        lines[style] = [(t.latency_ms, t.drift or 0.0, named[t.candidate.key]) for t in points]
        for trial in points:
            name = named[trial.candidate.key]
            row = partial(Row, subject=f"student {style}, {name}", engine=found.backend,
                          precision="int8", size="512x512")  # fmt: skip
            yield row(f"drift after {SHORT} steps", trial.drift or float("nan"))
            yield row("predicted time of a frame", trial.latency_ms, "ms")
    with replacing_file(place.checkout / DRAWING) as beside:
        beside.write_text(_drawing(lines), encoding="utf-8")


def fit_rows(place: Place) -> Iterator[Row]:
    """Yield how much nearer to the teacher than each preset a student is that is no slower."""
    named = dict(presets(("int8",)))
    effort = Effort(trials=1 + len(named), short_steps=SHORT, best=0)
    begun = _searched(place, STYLE, NO_LIMIT, effort)
    slowest = max(_trial(begun, candidate.key).latency_ms for candidate in named.values())
    effort = Effort(trials=1000, minutes=MINUTES, short_steps=SHORT, best=0)
    found = _searched(place, STYLE, Budget(slowest, NO_LIMIT.drift), effort)
    trained = [trial for trial in found.tried if trial.drift is not None]
    for name, candidate in named.items():
        preset = _trial(found, candidate.key)
        within = [trial for trial in trained if trial.latency_ms <= preset.latency_ms]
        best = min(within, key=lambda trial: trial.drift or 0.0)
        note = (
            f"{best.candidate.key}, {best.latency_ms:.2f} ms against {preset.latency_ms:.2f}; "
            f"{len(trained)} students of {SHORT} steps in {MINUTES:.0f} minutes, {len(front(trained))} on the front"
        )
        yield Row(
            "drift of the best student that is no slower, over the preset's",
            (best.drift or 0.0) / (preset.drift or 1.0), "x", f"{STYLE}, {name}", found.backend,
            "int8", "512x512", note=note,
        )  # fmt: skip


def _searched(place: Place, style: str, budget: Budget, effort: Effort) -> Fit:
    recipe = changed(
        load_recipe(place.recipes / f"{style}.yaml"), photos=str(place.photos().resolve())
    )
    options = BuildOptions(out=place.work / f"fit-{style}", environ=os.environ, home=Path.home())
    return fit(recipe, budget, effort, options=options, progress=place.progress)


def _trial(found: Fit, key: str) -> Trial:
    return next(trial for trial in found.tried if trial.candidate.key == key)


def _drawing(lines: Mapping[str, Sequence[tuple[float, float, str]]]) -> str:
    """Draw drift over time, a line a style, as SVG."""
    most_ms = 1.1 * max(ms for points in lines.values() for ms, _, _ in points)
    most = 1.1 * max(drift for points in lines.values() for _, drift, _ in points)

    def at(ms: float, drift: float) -> tuple[float, float]:
        across, up = ms / most_ms * (WIDTH - 2 * EDGE), drift / most * (HEIGHT - 2 * EDGE)
        return EDGE + across, HEIGHT - EDGE - up

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        ),
        f'<path d="M{EDGE} {EDGE}V{HEIGHT - EDGE}H{WIDTH - EDGE}" fill="none" stroke="#6a737d"/>',
        (
            f'<text x="{WIDTH / 2}" y="{HEIGHT - 14}" text-anchor="middle">ms a frame of 512x512, '
            f"0 to {most_ms:.0f}</text>"
        ),
        f'<text x="8" y="{EDGE - 16}">distance to the teacher, 0 (a copy) to {most:.2f}</text>',
    ]
    for colour, (style, points) in zip(COLOURS, lines.items(), strict=False):
        placed = [(*at(ms, drift), name) for ms, drift, name in sorted(points)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in placed)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y, name in placed:
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
            parts.append(f'<text x="{x + 6:.1f}" y="{y - 6:.1f}" fill="{colour}">{name}</text>')
        x, y, _ = placed[-1]
        parts.append(
            f'<text x="{x + 8:.1f}" y="{y + 14:.1f}" fill="{colour}">{escape(style)}</text>'
        )
    return "".join([*parts, "</svg>\n"])
