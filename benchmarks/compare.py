"""Two reports against each other: what became slower, larger or worse, and whether that counts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from stylepress.benchmarks.report import Report, mean_of, read_report
from stylepress.benchmarks.timing.interval import separate_ratio
from stylepress.errors import RecipeError

Verdict = Literal["ok", "regression", "not comparable", "inconclusive"]
EXIT_CODES: Mapping[Verdict, int] = {
    "ok": 0,
    "regression": 1,
    "not comparable": 2,
    "inconclusive": 3,
}
MORE_IS_WORSE: Mapping[str, bool] = {
    "style_distance": True,
    "content_distance": True,
    "grid_energy": True,
    "psnr_db": False,
    "ssim": False,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both reports.

    ``worse_percent`` is by how much the new one is worse (negative: better), ``low`` and ``high``
    its 95 % interval where it was measured with noise. ``verdict`` is None where nothing is judged.
    """

    subject: str
    metric: str
    unit: str
    base: float
    new: float
    worse_percent: float
    low: float | None = None
    high: float | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The rows, and what follows from them.

    ``differing`` maps a field of machine or scenario to its two values: then nothing was judged.
    """

    base: str
    new: str
    max_regression_percent: float
    verdict: Verdict
    rows: tuple[Row, ...]
    differing: Mapping[str, tuple[Any, Any]]

    @property
    def exit_code(self) -> int:
        """0 ok, 1 a regression, 2 not comparable, 3 inconclusive."""
        return EXIT_CODES[self.verdict]

    def record(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "exit_code": self.exit_code}

    def summary(self) -> str:
        """Return it as Markdown."""
        lines = [f"**{self.verdict}**: {self.new} against {self.base}", ""]
        if self.differing:
            lines += ["| differs | base | new |", "|---|---|---|"]
            lines += [f"| {k} | {_cell(a)} | {_cell(b)} |" for k, (a, b) in self.differing.items()]
            return "\n".join(lines) + "\n"
        lines += [
            "| what | figure | base | new | worse by | verdict |",
            "|---|---|--:|--:|--:|---|",
        ]
        lines += [
            f"| {row.subject} | {row.metric} | {_number(row.base, row.unit)} | "
            f"{_number(row.new, row.unit)} | {_worse(row)} | {row.verdict or 'not judged'} |"
            for row in self.rows
        ]
        lines += ["", f"Worse by more than {self.max_regression_percent:g} % is a regression."]
        return "\n".join(lines) + "\n"


def compare_files(base: Path, new: Path, *, max_regression_percent: float = 5) -> Comparison:
    """Compare two ``report.json`` files.

    Raises:
        ArtifactError: one of them is no report.
        RecipeError: a threshold that is no percentage above zero.
    """
    return compare(
        read_report(base),
        read_report(new),
        names=(str(base), str(new)),
        max_regression_percent=max_regression_percent,
    )


def compare(
    base: Report,
    new: Report,
    *,
    names: tuple[str, str] = ("base", "new"),
    max_regression_percent: float = 5,
) -> Comparison:
    """Judge latency, size and quality of the bundles that both reports hold.

    Times from two runs are separate samples, so their interval is wide; a latency is a regression
    when even its lower end is beyond the threshold, and inconclusive when only its upper end is.
    Quality and size do not vary, so they are judged as they are. Baselines are shown, not judged:
    when they moved too, it was the machine.
    """
    if not (math.isfinite(max_regression_percent) and max_regression_percent > 0):
        raise RecipeError(
            f"A regression threshold of {max_regression_percent} % judges nothing. "
            f"Give a percentage above 0, e.g. `--max-regression 5`."
        )
    differing = _differing(base, new)
    rows = () if differing else tuple(_rows(base, new, max_regression_percent))
    seen = {row.verdict for row in rows}
    verdict: Verdict = "not comparable" if differing else "ok"
    for possible in ("inconclusive", "regression"):
        if possible in seen:
            verdict = possible
    return Comparison(*names, max_regression_percent, verdict, rows, differing)


def _differing(base: Report, new: Report) -> dict[str, tuple[Any, Any]]:
    """Fields of machine and scenario that must agree and do not; and bundles without partner."""
    one, two = _identity(base), _identity(new)
    found = {
        name: (one.get(name), two.get(name))
        for name in [*one, *(name for name in two if name not in one)]
        if one.get(name) != two.get(name)
    }
    mine, theirs = ([model.name for model in each.of_role("bundle")] for each in (base, new))
    if not set(mine) & set(theirs):
        found["bundles"] = (mine, theirs)
    return found


def _identity(report: Report) -> dict[str, Any]:
    machine = {f"machine.{name}": value for name, value in report.machine.gating().items()}
    scenario = report.scenario.model_dump(mode="json")
    return {**machine, **{f"scenario.{name}": value for name, value in scenario.items()}}


def _rows(base: Report, new: Report, threshold: float) -> Iterator[Row]:
    yield from _latencies(base, new, threshold)
    theirs = {model.name: model for model in new.of_role("bundle")}
    for model in base.of_role("bundle"):
        if model.name in theirs:
            pair = model.size_bytes, theirs[model.name].size_bytes
            yield _exact(model.name, "size", "bytes", pair, threshold)
            yield from _qualities(base, new, model.name, threshold)


def _latencies(base: Report, new: Report, threshold: float) -> Iterator[Row]:
    known = {latency.name: latency for latency in base.latencies}
    for latency in new.latencies:
        before = known.get(latency.name)
        if before is None:
            continue
        ratio = separate_ratio(before.timing.round_medians_ms, latency.timing.round_medians_ms)
        low, high = (None if end is None else 100 * (end - 1) for end in (ratio.low, ratio.high))
        judged = latency.model is not None and not latency.baseline
        verdict: Verdict = "inconclusive"
        if low is not None and high is not None and (low > threshold or high <= threshold):
            verdict = "regression" if low > threshold else "ok"
        yield Row(
            subject=latency.name,
            metric="latency",
            unit="ms",
            base=before.median_ms,
            new=latency.median_ms,
            worse_percent=100 * (ratio.value - 1),
            low=low,
            high=high,
            verdict=verdict if judged else None,
        )


def _qualities(base: Report, new: Report, model: str, threshold: float) -> Iterator[Row]:
    for measure, more_is_worse in MORE_IS_WORSE.items():
        before = mean_of(base.qualities, model, measure)
        after = mean_of(new.qualities, model, measure)
        if before is not None and after is not None:
            pair = before, after
            unit = "dB" if measure == "psnr_db" else ""
            name = measure.removesuffix("_db").replace("_", " ")
            yield _exact(model, name, unit, pair, threshold, more_is_worse=more_is_worse)


def _exact(
    subject: str,
    metric: str,
    unit: str,
    pair: tuple[float, float],
    threshold: float,
    *,
    more_is_worse: bool = True,
) -> Row:
    base, new = pair
    change = new - base if more_is_worse else base - new
    worse = 100 * change / abs(base) if base else math.copysign(math.inf, change) if change else 0.0
    verdict: Verdict = "regression" if worse > threshold else "ok"
    return Row(subject, metric, unit, base, new, worse, verdict=verdict)


def _number(value: float, unit: str) -> str:
    text = f"{value:,.0f}" if unit == "bytes" else f"{value:.4g}"
    return f"{text} {unit}".strip()


def _worse(row: Row) -> str:
    text = f"{row.worse_percent:+.1f} %"
    if row.low is not None and row.high is not None:
        text += f" [{row.low:+.1f}, {row.high:+.1f}]"
    return text


def _cell(value: Any) -> str:
    text = str(value)
    return (text if len(text) <= 60 else f"{text[:57]}...").replace("|", "\\|")
