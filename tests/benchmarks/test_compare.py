"""Two reports are judged only when they can be, and then by what their noise allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stylepress.benchmarks.bench import write_json
from stylepress.benchmarks.compare import compare, compare_files
from stylepress.benchmarks.report import Report
from stylepress.errors import RecipeError

BUNDLE = "dots int8"


def timed(report: Report, factor: float, *, noise: float, seed: int = 0) -> Report:
    """The report as if every system had taken 10 ms, times ``factor``, with some noise."""
    rng = np.random.default_rng(seed)
    rounds = tuple((float(t),) for t in 10 * factor * np.exp(noise * rng.normal(size=12)))
    latencies = tuple(
        each.model_copy(update={"rounds_ms": rounds, "median_ms": 10 * factor})
        for each in report.latencies
    )
    return report.model_copy(update={"latencies": latencies})


def styled(report: Report, **changes: float) -> Report:
    """The report with each quality of its bundle multiplied."""
    qualities = tuple(
        one.model_copy(update={name: getattr(one, name) * f for name, f in changes.items()})
        if one.model == BUNDLE
        else one
        for one in report.qualities
    )
    return report.model_copy(update={"qualities": qualities})


def test_a_report_equals_itself(report: Report) -> None:
    steady = timed(report, 1, noise=0.001)
    result = compare(steady, steady)
    assert (result.verdict, result.exit_code) == ("ok", 0)
    assert all(abs(row.worse_percent) < 1e-9 for row in result.rows)


@pytest.mark.parametrize(
    ("factor", "noise", "verdict", "code"),
    [
        (1.02, 0.005, "ok", 0),
        (0.80, 0.02, "ok", 0),
        (1.20, 0.02, "regression", 1),
        (1.05, 0.05, "inconclusive", 3),
        (1.00, 0.30, "inconclusive", 3),
    ],
)
def test_a_latency_is_judged_by_its_interval(
    report: Report, factor: float, noise: float, verdict: str, code: int
) -> None:
    base, new = timed(report, 1, noise=noise), timed(report, factor, noise=noise, seed=1)
    result = compare(base, new, max_regression_percent=5)
    assert (result.verdict, result.exit_code) == (verdict, code)


def test_baselines_are_shown_but_not_judged(report: Report) -> None:
    result = compare(timed(report, 1, noise=0.01), timed(report, 2, noise=0.01))
    judged = {row.subject: row.verdict for row in result.rows if row.metric == "latency"}
    assert judged["dots teacher fp32 · torch eager"] is None
    assert judged["dots int8 · onnxruntime"] == "regression"


@pytest.mark.parametrize(
    ("measure", "factor", "verdict"),
    [
        ("style_distance", 1.2, "regression"),
        ("style_distance", 0.8, "ok"),
        ("psnr_db", 0.9, "regression"),
        ("psnr_db", 1.1, "ok"),
        ("ssim", 0.9, "regression"),
        ("grid_energy", 1.2, "regression"),
    ],
)
def test_worse_pictures_are_a_regression_without_any_noise(
    report: Report, measure: str, factor: float, verdict: str
) -> None:
    steady = timed(report, 1, noise=0.001)
    assert compare(steady, styled(steady, **{measure: factor})).verdict == verdict


def test_another_machine_or_scenario_is_not_compared_and_the_fields_are_named(
    report: Report,
) -> None:
    moved = report.model_copy(
        update={
            "machine": report.machine.model_copy(update={"cpu": "another"}),
            "scenario": report.scenario.model_copy(update={"width": 640}),
        }
    )
    result = compare(report, moved)
    assert (result.verdict, result.exit_code) == ("not comparable", 2)
    assert set(result.differing) == {"machine.cpu", "scenario.width"}
    assert result.rows == ()
    assert "| scenario.width | 128 | 640 |" in result.summary()


def test_reports_without_a_common_bundle_are_not_compared(report: Report) -> None:
    renamed = tuple(
        each.model_copy(update={"name": "other"}) if each.role == "bundle" else each
        for each in report.models
    )
    result = compare(report, report.model_copy(update={"models": renamed}))
    assert set(result.differing) == {"bundles"}


def test_two_files_are_compared_like_the_reports_in_them(report: Report, tmp_path: Path) -> None:
    base, new = tmp_path / "base.json", tmp_path / "new.json"
    write_json(timed(report, 1, noise=0.01), base)
    write_json(timed(report, 1.5, noise=0.01), new)
    result = compare_files(base, new)
    record: dict[str, Any] = result.record()
    assert (record["verdict"], record["exit_code"]) == ("regression", 1)
    assert "+50" in result.summary()


@pytest.mark.parametrize("percent", [0, -5, float("nan")])
def test_a_threshold_that_judges_nothing_is_refused(report: Report, percent: float) -> None:
    with pytest.raises(RecipeError, match="--max-regression"):
        compare(report, report, max_regression_percent=percent)
