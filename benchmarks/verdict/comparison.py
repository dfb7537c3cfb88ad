"""The comparison document: two arms, every run of them, what was judged, and the verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from stylepress.benchmarks.json_file import schema_of
from stylepress.benchmarks.machine.record import Machine
from stylepress.benchmarks.machine.timeline import Curves
from stylepress.benchmarks.part import Part, Skipped
from stylepress.benchmarks.report import FileFact, Shown
from stylepress.benchmarks.verdict.order import Arm
from stylepress.benchmarks.verdict.rule import Verdict

SCHEMA_VERSION: Literal[1] = 1

LookName = Literal["first", "extension", "confirmation"]
Kind = Literal["paired", "exact", "quality", "trend"]
Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE", "NOT COMPARABLE", "TREND"]
Mode = Literal["fresh processes", "rounds", "trend"]
EXIT_CODES: Mapping[Outcome, int] = {
    "PASS": 0,
    "TREND": 0,
    "FAIL": 1,
    "NOT COMPARABLE": 2,
    "INCONCLUSIVE": 3,
}


class Side(Part):
    """One of the two that are compared."""

    name: str
    digest: str
    precision: str
    size_bytes: int
    weights_bytes: int | None = None


class Run(Part):
    """One fresh process: every timed call, and what surrounded them.

    ``place`` is its number in the whole measurement, from 0; ``began_s`` and ``ended_s`` are when
    its process began and ended, in seconds from the first run's beginning. ``waited_share`` is the
    share of the measured time that a thread, the mean of all, waited for a core. ``invalid`` holds
    why the run does not count; it is kept all the same. ``missing`` says why a field is None.
    """

    part: LookName
    pair: int
    place: int
    backend: str
    arm: Arm
    began_s: float | None = None
    ended_s: float | None = None
    samples_ns: tuple[int, ...]
    load_ns: int
    first_call_ns: int
    warm_calls: int
    stable: bool
    peak_rss_bytes: int | None
    waited_share: float | None = None
    missing: dict[str, str] = Field(default_factory=dict)
    invalid: tuple[str, ...] = ()


class Settings(Part):
    """How it was measured and judged; written down before the first run.

    ``pairs`` of the first look; ``looks`` are pairs and two-sided alpha of each look.
    ``foreign_load`` is the share of the processor that others may use, None where nobody watched.
    """

    height: int
    width: int
    threads: int
    backends: tuple[str, ...]
    pairs: int
    looks: tuple[tuple[int, float], ...]
    confirm: bool
    delta: float
    gated: tuple[str, ...]
    floor_source: Literal["assumed", "measured"]
    seed: int
    min_s: float
    min_count: int
    warm_s: float
    warm_count: int
    rest_s: float
    foreign_load: float | None = None
    photos: tuple[FileFact, ...] = ()
    style: FileFact | None = None
    references: tuple[FileFact, ...] = ()


class Confirmation(Part):
    """A failure measured once more with fresh pairs."""

    pairs: int
    worse: float
    low: float | None
    high: float | None
    p: float
    verdict: Verdict


class Judgement(Part):
    """One figure of both arms, and what follows from it.

    ``worse`` is how many times as bad the new arm is (1: equal; also for figures where more is
    better), ``low`` and ``high`` its interval at ``confidence``. ``verdict`` is None where nothing
    is judged. ``needed`` tells how many pairs might decide what is open. ``values`` are the paired
    values behind a figure, (base, new) each.
    """

    subject: str
    metric: str
    unit: str
    kind: Kind
    base: float | None
    new: float | None
    larger_is_worse: bool = True
    worse: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    pairs: int | None = None
    p: float | None = None
    p_holm: float | None = None
    delta: float | None = None
    floor: float | None = None
    gated: bool = False
    verdict: Verdict | None = None
    needed: int | None = None
    confirmation: Confirmation | None = None
    values: tuple[tuple[float, float], ...] = ()
    note: str = ""

    @property
    def name(self) -> str:
        """Subject and metric in one line."""
        return f"{self.subject} · {self.metric}"

    def shown(self, value: float | None) -> str:
        """Write one of its values with the unit; a dash for None."""
        return "-" if value is None else f"{value:.4g} {self.unit}".strip()

    def change(self) -> str:
        """Write by how much the new arm is worse, with the interval; empty when unknown."""
        if self.worse is None:
            return ""
        text = f"{100 * (self.worse - 1):+.1f} %"
        if self.low is not None and self.high is not None and self.confidence is not None:
            low, high = 100 * (self.low - 1), 100 * (self.high - 1)
            text += f" [{low:+.1f}, {high:+.1f}]"
        return text


@dataclass(frozen=True, slots=True)
class Pictured:
    """One photo for the page: it, both arms' pictures and where these differ.

    ``psnr_db`` is between the arms, infinite where their pictures are equal.
    """

    photo: str
    psnr_db: float
    shown: tuple[Shown, ...]


class Comparison(Part):
    """Two arms on one machine, or two reports; and the verdict with its reasons.

    ``curves`` is what the machine did from the first run to the last, on the clock of the runs.
    ``engines`` are what the backends told of the base's engines, by backend, ``new_engines`` of the
    new arm's where that is not the same. ``differing`` maps a field of machine or scenario to its two values: nothing was judged then.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    document: Literal["comparison"] = "comparison"
    tool: str
    created: str
    mode: Mode
    base: Side
    new: Side
    verdict: Outcome
    reasons: tuple[str, ...]
    settings: Settings | None
    machine: Machine
    judgements: tuple[Judgement, ...]
    runs: tuple[Run, ...] = ()
    curves: Curves | None = None
    engines: dict[str, dict[str, str | int]] = Field(default_factory=dict)
    new_engines: dict[str, dict[str, str | int]] = Field(default_factory=dict)
    differing: dict[str, tuple[Any, Any]] = Field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()
    gallery: tuple[Pictured, ...] = Field(default=(), exclude=True)

    @property
    def exit_code(self) -> int:
        """0 pass or trend, 1 fail, 2 not comparable, 3 inconclusive."""
        return EXIT_CODES[self.verdict]

    @property
    def labels(self) -> tuple[str, str]:
        """What base and new are called; where their names are equal, with what tells them apart."""
        base, new = self.base, self.new
        if base.name != new.name:
            return base.name, new.name
        if base.precision != new.precision:
            return f"{base.name} {base.precision}", f"{new.name} {new.precision}"
        return f"{base.name} {base.digest[:8]}", f"{new.name} {new.digest[:8]}"

    def told_engines(self) -> Iterator[tuple[str, str]]:
        """Yield each engine's title and facts, of both arms where these differ."""
        for backend, engine in self.engines.items():
            arms = {backend: engine}
            if backend in self.new_engines:
                arms = {f"{backend}, base": engine, f"{backend}, new": self.new_engines[backend]}
            for title, facts in arms.items():
                yield title, ", ".join(f"{name} {value}" for name, value in facts.items())

    def record(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**self.model_dump(mode="json"), "exit_code": self.exit_code}

    def doubts(self) -> tuple[str, ...]:
        """Return what speaks against trusting the times of the runs."""
        settings, runs = self.settings, self.runs
        if settings is None or not runs:
            return ()
        limit, waited = settings.foreign_load, 0
        if limit is not None:
            waited = sum((run.waited_share or 0) > limit for run in runs)
        unsettled = sum(not run.stable for run in runs) if settings.warm_s > 0 else 0
        counts = {
            "were discarded": sum(bool(run.invalid) for run in runs),
            "were not settled when their warm-up ended": unsettled,
            f"waited for a core for more than {100 * (limit or 0):g} % of the time": waited,
        }
        found = [f"{count} of {len(runs)} runs {what}" for what, count in counts.items() if count]
        if settings.floor_source == "assumed":
            found.append("the floor is assumed; measure it with `stylepress bench --selftest`")
        return tuple(found)

    def summary(self) -> str:
        """Return it as Markdown: the verdict, why, and one row a figure."""
        base, new = self.labels
        lines = [f"**{self.verdict}**: {new} against {base}", ""]
        if self.differing:
            lines += ["| differs | base | new |", "|---|---|---|"]
            lines += [f"| {k} | {_cell(a)} | {_cell(b)} |" for k, (a, b) in self.differing.items()]
            return "\n".join(lines) + "\n"
        lines += [f"- {reason}" for reason in self.reasons]
        lines += [""] if self.reasons else []
        lines += ["| figure | base | new | worse by | verdict |", "|---|--:|--:|---|---|"]
        lines += [
            f"| {_cell(one.name)} | {one.shown(one.base)} | {one.shown(one.new)} | "
            f"{one.change() or _cell(one.note)} | {one.verdict or 'not judged'} |"
            for one in self.judgements
        ]
        notes = [f"- Read with care: {doubt}." for doubt in self.doubts()]
        notes += [f"- Not compared: {one.what}: {one.why}" for one in self._left_out()]
        lines += ["", *notes] if notes else []
        return "\n".join([*lines, "", self.terms()]) + "\n"

    def _left_out(self) -> Iterator[Skipped]:
        """What was not compared and is no reason of the verdict, where it would be told."""
        for one in self.skipped:
            if not any(one.why in reason for reason in self.reasons):
                yield one

    def terms(self) -> str:
        """Say in a sentence or two how it was measured and what counts as worse."""
        settings = self.settings
        if settings is None:
            return (
                "Two reports measured apart show a trend; they judge nothing. "
                "Give two bundles for a verdict."
            )
        looks = " then ".join(f"{pairs} (alpha {alpha:g})" for pairs, alpha in settings.looks)
        threads = "thread" if settings.threads == 1 else "threads"
        how, order = "rounds in turns", ""
        again = ", twice" if settings.confirm else ""
        if self.mode == "fresh processes":
            how, order = "interleaved fresh processes", f", order seed {settings.seed}"
        return (
            f"{settings.width}x{settings.height}, {settings.threads} {threads}, pairs of {how}: "
            f"{looks}{order}. A figure fails when it is worse by more than "
            f"{100 * settings.delta:g} % and not by chance{again}; floor {settings.floor_source}. "
            f"Base and new are medians; worse by is of the pairs."
        )


def comparison_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of ``comparison.json``."""
    schema = schema_of(Comparison, "comparison")
    schema["properties"]["exit_code"] = {"enum": sorted(set(EXIT_CODES.values()))}
    return schema


def comparison_text(comparison: Comparison) -> str:
    """Return what ``comparison.json`` holds."""
    return json.dumps(comparison.record(), indent=1, allow_nan=False) + "\n"


def _cell(value: object) -> str:
    text = str(value).replace("|", "\\|").replace("\n", " ")
    return text if len(text) <= 80 else f"{text[:77]}..."
