"""The front from nano to wide of each style, and what `fit` finds beside it, after short trainings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from stylepress.benchmarks.evidence.place import ENGINE, STYLE, Place
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
    """Yield the predicted time of every preset, and its drift in each style; draw them into docs.

    Each style's search measures a latency table of its own; a time is the median of theirs.
    """
    named = {name: candidate.key for name, candidate in presets(("int8",))}
    searches = {style: _presets(place, style) for style in STYLES}
    row = partial(Row, engine=ENGINE, precision="int8", size="512x512")
    fronts: dict[str, list[tuple[float, float]]] = {style: [] for style in STYLES}
    for name, key in named.items():
        times = [_trial(found, key).latency_ms for found in searches.values()]
        taken = median(times)
        note = f"median of the tables of {len(times)} searches"
        yield row("predicted time of a frame", taken, "ms", f"student {name}",
                  low=min(times), high=max(times), note=note)  # fmt: skip
        for style, found in searches.items():
            drift = _trial(found, key).drift or float("nan")
            fronts[style].append((taken, drift))
            yield row(f"drift after {SHORT} steps", drift, "", f"student {style}, {name}")
    with replacing_file(place.checkout / DRAWING) as beside:
        beside.write_text(_drawing(fronts, list(named)), encoding="utf-8")


def fit_rows(place: Place) -> Iterator[Row]:
    """Yield how much nearer to the teacher than each preset a student is that is no slower."""
    named = dict(presets(("int8",)))
    begun = _presets(place, STYLE)
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


def _presets(place: Place, style: str) -> Fit:
    """Train the smallest student and the presets, which every search begins with."""
    trials = 1 + len(list(presets(("int8",))))
    return _searched(place, style, NO_LIMIT, Effort(trials, short_steps=SHORT, best=0))


def _searched(place: Place, style: str, budget: Budget, effort: Effort) -> Fit:
    recipe = changed(
        load_recipe(place.recipes / f"{style}.yaml"), photos=str(place.photos().resolve())
    )
    options = BuildOptions(out=place.work / f"fit-{style}", environ=os.environ, home=Path.home())
    return fit(recipe, budget, effort, options=options, progress=place.progress)


def _trial(found: Fit, key: str) -> Trial:
    return next(trial for trial in found.tried if trial.candidate.key == key)


def _drawing(fronts: Mapping[str, Sequence[tuple[float, float]]], names: Sequence[str]) -> str:
    """Draw drift over time, a line a style, as SVG; all styles have the same ``names`` at the same times."""
    points = [point for line in fronts.values() for point in line]
    most_ms = 1.15 * max(ms for ms, _ in points)
    low, high = (
        round(10 * end(drift for _, drift in points) + by) / 10
        for end, by in ((min, -1), (max, 0.5))
    )

    def at(ms: float, drift: float) -> tuple[float, float]:
        up = (drift - low) / (high - low) * (HEIGHT - 2 * EDGE)
        return EDGE + ms / most_ms * (WIDTH - 2 * EDGE), HEIGHT - EDGE - up

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="13"',
        ' font-family="sans-serif"><rect width="100%" height="100%" fill="#fff"/>',
        f'<path d="M{EDGE} {EDGE}V{HEIGHT - EDGE}H{WIDTH - EDGE}" fill="none" stroke="#6a737d"/>',
        _text(WIDTH / 2, HEIGHT - 10, "ms a frame of 512x512, predicted"),
        _text(
            WIDTH / 2, EDGE - 30, "distance to the teacher&#8217;s pictures; 0 a copy, 1 the photo"
        ),
        *(_text(EDGE - 20, at(0, level)[1] + 4, f"{level:.1f}") for level in (low, high)),
    ]
    for number, (name, (ms, _)) in enumerate(zip(names, next(iter(fronts.values())), strict=True)):
        x, y = at(ms, low)
        parts.append(_text(x, y + 16 + 14 * (number % 2), f"{name} {ms:.1f}"))
        parts.append(f'<path d="M{x:.1f} {EDGE}V{y:.1f}" stroke="#d0d7de"/>')
    for colour, (style, line) in zip(COLOURS, fronts.items(), strict=True):
        placed = [at(*point) for point in sorted(line)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in placed]
        parts.append(_text(placed[-1][0] + 36, placed[-1][1] + 4, style, colour))
    return "".join([*parts, "</svg>\n"])


def _text(x: float, y: float, words: str, colour: str = "#1b1f24") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="{colour}">{words}</text>'
