"""The floor: by how much two equal arms differ on this machine, measured with equal arms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from stylepress.benchmarks.json_file import read_json, schema_of
from stylepress.benchmarks.machine.record import Machine, differing
from stylepress.benchmarks.part import Part, Skipped
from stylepress.benchmarks.timing.interval import paired_ratio
from stylepress.benchmarks.timing.systems import NULL
from stylepress.benchmarks.verdict.comparison import Run
from stylepress.benchmarks.verdict.measures import MEASURES, pairs_of
from stylepress.errors import RecipeError

SCHEMA_VERSION: Literal[1] = 1
LENGTHS = ("min_s", "min_count", "warm_s")


class FloorEntry(Part):
    """One figure of two equal arms.

    ``ratio`` would be 1 on a perfect machine; ``low`` and ``high`` bound it with 95 %. ``floor``
    is the larger of |ratio - 1| and half the width of the interval, a share.
    """

    model: str
    backend: str
    metric: str
    pairs: int
    ratio: float
    low: float
    high: float
    floor: float


class Floor(Part):
    """What ``stylepress bench --selftest`` found out; valid for one machine, size and threads.

    It is that of runs of ``min_s`` seconds and ``min_count`` calls at least, warmed up for
    ``warm_s``: shorter ones differ by more, so it does not hold for them.
    ``runs`` hold every timed call of the bundles, and none of the null system's: of those a run has
    hundreds of thousands, and their figures are in ``entries``.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    document: Literal["floor"] = "floor"
    tool: str
    created: str
    machine: Machine
    height: int
    width: int
    threads: int
    seed: int
    min_s: float = 0.0
    min_count: int = 0
    warm_s: float = 0.0
    entries: tuple[FloorEntry, ...]
    runs: tuple[Run, ...]
    skipped: tuple[Skipped, ...] = ()

    def of(self, backend: str, metric: str) -> float | None:
        """Return the floor of a figure in a backend; None when it was not measured."""
        known = [
            one.floor for one in self.entries if (one.backend, one.metric) == (backend, metric)
        ]
        return max(known, default=None)

    def summary(self) -> str:
        """Return it as Markdown."""
        lines = ["| equal arms | figure | pairs | ratio [95 %] | floor |", "|---|---|--:|---|--:|"]
        lines += [
            f"| {one.model} · {one.backend} | {MEASURES[one.metric].title} | {one.pairs} | "
            f"{one.ratio:.4f} [{one.low:.4f}, {one.high:.4f}] | {100 * one.floor:.2f} % |"
            for one in self.entries
        ]
        times = [one for one in self.entries if one.metric == "p50" and one.backend != NULL]
        if times:
            worst = max(one.floor for one in times)
            lines += ["", f"A limit below {200 * worst:.2g} % cannot be judged here for latency."]
        if self.skipped:
            lines += ["", *(f"- Not measured: {one.what}: {one.why}" for one in self.skipped)]
        return "\n".join(lines) + "\n"


def entries_of(runs: Sequence[Run], model: str, backend: str) -> tuple[FloorEntry, ...]:
    """Derive the floors of one backend from runs of equal arms; none from fewer than 6 pairs."""
    found = []
    for name, measure in MEASURES.items():
        values = pairs_of(runs, backend, measure)
        if values is None:
            continue
        ratio = paired_ratio(*values)
        if ratio.low is None or ratio.high is None:
            continue
        found.append(
            FloorEntry(
                model=model,
                backend=backend,
                metric=name,
                pairs=ratio.count,
                ratio=ratio.value,
                low=ratio.low,
                high=ratio.high,
                floor=max(abs(ratio.value - 1), (ratio.high - ratio.low) / 2),
            )
        )
    return tuple(found)


def check_floor(floor: Floor, machine: Machine, settings: Mapping[str, float]) -> None:
    """Refuse a floor that was measured elsewhere, otherwise, or by longer runs.

    ``settings`` are height, width, threads, min_s, min_count and warm_s of the comparison.

    Raises:
        RecipeError: one of them does not allow it; the fields are named.
    """
    then = {name: getattr(floor, name) for name in settings}
    names: dict[str, tuple[object, object]] = {
        **differing(floor.machine, machine),
        **{
            name: (then[name], now)
            for name, now in settings.items()
            if (now < then[name] if name in LENGTHS else now != then[name])
        },
    }
    if names:
        shown = ", ".join(
            f"{name} ({before} then, {after} now)" for name, (before, after) in [*names.items()][:6]
        )
        raise RecipeError(
            f"The floor was measured under other conditions: {shown}. "
            f"Measure it here with `stylepress bench BUNDLE --selftest`."
        )


def floor_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of ``floor.json``."""
    return schema_of(Floor, "floor")


def floor_text(floor: Floor) -> str:
    """Return what ``floor.json`` holds."""
    return json.dumps(floor.model_dump(mode="json"), indent=1, allow_nan=False) + "\n"


def read_floor(path: Path) -> Floor:
    """Read a ``floor.json``.

    Raises:
        ArtifactError: missing, no floor, or of another schema version.
    """
    command = "stylepress bench BUNDLE --selftest"
    return read_json(path, Floor, noun="floor", command=command)
