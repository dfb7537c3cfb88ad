"""What `fit` predicts and finds: times beside measured ones, the fronts of the presets, one search."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from stylepress.benchmarks.evidence.row import Row
from stylepress.benchmarks.evidence.setting import ENGINE, SQUARE, Setting, side_by_side
from stylepress.build import BuildOptions
from stylepress.export.fit.candidate import (
    BLOCKS,
    DEEP_BLOCKS,
    DEEP_WIDTHS,
    HALVES,
    WIDTHS,
    Candidate,
    Precision,
    presets,
)
from stylepress.export.fit.latency import LatencyTable, Timer, median_error, random_bundle
from stylepress.export.fit.result import Budget, Effort, Fit, front
from stylepress.export.fit.search import fit
from stylepress.export.fit.study import Trial
from stylepress.recipe import changed, load_recipe
from stylepress.replace import replacing_file
from stylepress.train.student import PRESETS, StudentSize

ERROR = "median error of the predicted time"
STYLES = ("glass", "starry", "strokes", "woodcut")
SHORT, MINUTES = 150, 20.0
NO_LIMIT = Budget(1000.0, 10.0)
NAMED = {name: candidate.key for name, candidate in presets(("int8",))}
DRAWING = Path("docs/fronts.svg")
LEFT, RIGHT, TOP, BOTTOM = 56, 664, 56, 344
COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df")


def latency(setting: Setting) -> Iterator[Row]:
    """Yield how far predicted times are from measured ones, over random students.

    Parts and students are timed in turns with one and the same other student, and count in its
    time: what else the machine does falls on both.
    """
    timer = _timer_beside(PRESETS["base"], setting)
    table, draw = LatencyTable(ENGINE, SQUARE, timer), np.random.default_rng(7)
    predicted, measured = dict[str, float](), dict[str, float]()
    while len(measured) < 20:
        candidate = _random(draw)
        key = candidate.key
        if key not in measured:
            predicted[key] = table.predict(candidate)
            measured[key] = timer(candidate.size, candidate.precision)
            setting.progress.say(f"{key}: {predicted[key]:.2f} ms, measured {measured[key]:.2f} ms")
    worst = max(abs(predicted[key] / ms - 1) for key, ms in measured.items())
    yield Row(
        ERROR, 100 * median_error(predicted, measured), "%", f"{len(measured)} random students",
        ENGINE, "fp32 and int8", "512x512",
        note=f"worst {100 * worst:.0f} %, {len(table.students_ms)} students measured for it",
    )  # fmt: skip


def _timer_beside(other: StudentSize, setting: Setting) -> Timer:
    """Return what times students in turns with ``other``, whose first time is the unit."""
    beside = random_bundle(other, "fp32", setting.work / "beside")
    (unit,) = side_by_side(beside)
    folders = itertools.count()

    def timed(student: StudentSize, precision: Precision) -> float:
        bundle = random_bundle(student, precision, setting.work / f"timed-{next(folders)}")
        own, reference = side_by_side(bundle, beside)
        return unit * own / reference

    return timed


def _random(draw: np.random.Generator) -> Candidate:
    deep = int(draw.choice(DEEP_WIDTHS))
    size = StudentSize(
        width=int(draw.choice(WIDTHS)),
        half=int(draw.choice(HALVES)),
        blocks=int(draw.choice(BLOCKS)),
        deep_width=deep,
        deep_blocks=int(draw.choice(DEEP_BLOCKS)) if deep else 0,
        norms=bool(draw.integers(2)),
    )
    return Candidate(size, "int8" if draw.random() < 0.5 else "fp32")


def fronts(setting: Setting) -> Iterator[Row]:
    """Yield the predicted time of every preset, and its drift in each style; draw them into docs.

    Each style's search measures a latency table of its own; a time is the median of theirs.
    """
    searches = {style: _presets(setting, style) for style in STYLES}
    row = partial(Row, engine=ENGINE, precision="int8", size="512x512")
    lines: dict[str, list[tuple[float, float]]] = {style: [] for style in STYLES}
    for name, key in NAMED.items():
        times = [_trial(found, key).latency_ms for found in searches.values()]
        yield row(
            "predicted time of a frame", median(times), "ms", f"student {name}", low=min(times),
            high=max(times), note=f"median of the tables of {len(times)} searches",
        )  # fmt: skip
        for style, found in searches.items():
            drift = _trial(found, key).drift or float("nan")
            lines[style].append((median(times), drift))
            yield row(f"drift after {SHORT} steps", drift, "", f"student {style}, {name}")
    with replacing_file(setting.recipes.parent / DRAWING) as path:
        path.write_text(_drawing(lines), encoding="utf-8")


def beside(setting: Setting) -> Iterator[Row]:
    """Yield how much nearer to the teacher than each preset a student is that is no slower."""
    style = STYLES[0]
    begun = _presets(setting, style)
    slowest = max(_trial(begun, key).latency_ms for key in NAMED.values())
    effort = Effort(trials=1000, minutes=MINUTES, short_steps=SHORT, best=0)
    found = _searched(setting, style, Budget(slowest, NO_LIMIT.drift), effort)
    trained = [trial for trial in found.tried if trial.drift is not None]
    for name, key in NAMED.items():
        preset = _trial(found, key)
        within = [trial for trial in trained if trial.latency_ms <= preset.latency_ms]
        best = min(within, key=lambda trial: trial.drift or 0.0)
        note = (
            f"{best.candidate.key}, {best.latency_ms:.2f} ms against {preset.latency_ms:.2f}; "
            f"{len(trained)} students of {SHORT} steps in {MINUTES:.0f} minutes, "
            f"{len(front(trained))} on the front"
        )
        yield Row(
            "drift of the best student that is no slower, over the preset's",
            (best.drift or 0.0) / (preset.drift or 1.0), "x", f"{style}, {name}", found.backend,
            "int8", "512x512", note=note,
        )  # fmt: skip


def _presets(setting: Setting, style: str) -> Fit:
    """Train the smallest student and the presets, which every search begins with."""
    return _searched(setting, style, NO_LIMIT, Effort(1 + len(NAMED), short_steps=SHORT, best=0))


def _searched(setting: Setting, style: str, budget: Budget, effort: Effort) -> Fit:
    recipe = load_recipe(setting.recipes / f"{style}.yaml")
    recipe = changed(recipe, photos=str(setting.learning.resolve()))
    folder = setting.work / f"fit-{style}"
    options = BuildOptions(out=folder, environ=setting.environ, home=setting.home)
    return fit(recipe, budget, effort, options=options, progress=setting.progress)


def _trial(found: Fit, key: str) -> Trial:
    return next(trial for trial in found.tried if trial.candidate.key == key)


def _drawing(lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Draw drift over time, a line a style, as SVG; the presets have the same times in all."""
    points = [point for line in lines.values() for point in line]
    most_ms = 1.1 * max(ms for ms, _ in points)
    low, high = (
        round(10 * end(drift for _, drift in points) + by) / 10
        for end, by in ((min, -1), (max, 0.5))
    )

    def at(ms: float, drift: float) -> tuple[float, float]:
        across, up = ms / most_ms, (drift - low) / (high - low)
        return LEFT + across * (RIGHT - LEFT), BOTTOM - up * (BOTTOM - TOP)

    middle = (LEFT + RIGHT) / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {RIGHT + LEFT} {BOTTOM + TOP}"',
        ' font-size="13" font-family="sans-serif"><rect width="100%" height="100%" fill="#fff"/>',
        f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" fill="none" stroke="#6a737d"/>',
        _text(middle, BOTTOM + 46, "ms a frame of 512x512, predicted"),
        _text(middle, 26, "distance to the teacher&#8217;s pictures; 0 a copy, 1 the photo"),
        *(_text(LEFT - 20, at(0, level)[1] + 4, f"{level:.1f}") for level in (low, high)),
    ]
    for number, (name, (ms, _)) in enumerate(zip(NAMED, next(iter(lines.values())), strict=True)):
        x, _ = at(ms, low)
        parts.append(_text(x, BOTTOM + 16 + 14 * (number % 2), f"{name} {ms:.1f}"))
        parts.append(f'<path d="M{x:.1f} {TOP}V{BOTTOM}" stroke="#d0d7de"/>')
    for colour, (style, line) in zip(COLOURS, lines.items(), strict=True):
        placed = [at(*point) for point in sorted(line)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in placed]
        parts.append(_text(placed[-1][0] + 36, placed[-1][1] + 4, style, colour))
    return "".join([*parts, "</svg>\n"])


def _text(x: float, y: float, words: str, colour: str = "#1b1f24") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="{colour}">{words}</text>'
