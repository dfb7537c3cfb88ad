"""A regression of pictures is told without the page, and decides what a gate exits with."""

from __future__ import annotations

import pytest

from stylepress.benchmarks.drift.alarm import alarms, gate_code
from stylepress.benchmarks.quality.result import Check, CheckVerdict, Drift
from stylepress.benchmarks.report import Report


def check(
    verdict: CheckVerdict, *, name: str = "psnr_db mean", value: float | None = 12.5
) -> Check:
    return Check(
        name=name, value=value, limit=30, bound="at least", verdict=verdict, why="few pictures"
    )


def judged(report: Report, *verdicts: CheckVerdict) -> Drift:
    return report.drifts[0].model_copy(update={"checks": tuple(map(check, verdicts))})


def test_a_regression_is_told_with_what_failed_and_its_limit(report: Report) -> None:
    (told,) = alarms([judged(report, "ok", "regression")], gated=False)
    assert told == (
        "dots int8 lost too much against dots fp32: PSNR, dB, mean 12.5 (limit: at least 30)."
    )


def test_a_regression_without_a_figure_is_told_with_its_reason(report: Report) -> None:
    drift = report.drifts[0].model_copy(update={"checks": (check("regression", value=None),)})
    (told,) = alarms([drift], gated=False)
    assert told.endswith(": PSNR, dB, mean (few pictures).")


def test_what_is_open_is_told_and_what_nobody_judges_only_to_a_gate(report: Report) -> None:
    (told,) = alarms([judged(report, "inconclusive")], gated=False)
    assert "is open: PSNR, dB, mean (few pictures)" in told
    assert list(alarms([judged(report)], gated=False)) == []
    assert "--student" in next(alarms([judged(report)], gated=True))
    assert list(alarms([judged(report, "ok")], gated=True)) == []


@pytest.mark.parametrize(
    ("verdicts", "bundles", "code"),
    [
        (["ok"], 1, 0),
        (["ok", "ok"], 2, 0),
        (["ok", "regression"], 2, 1),
        (["inconclusive", "regression"], 2, 1),
        (["ok", "inconclusive"], 2, 3),
        (["not judged"], 1, 3),
        (["ok"], 2, 3),
        ([], 1, 3),
    ],
)
def test_a_gate_fails_for_one_bundle_and_is_open_for_one(
    report: Report, verdicts: list[CheckVerdict], bundles: int, code: int
) -> None:
    drifts = [judged(report, verdict) for verdict in verdicts]
    assert gate_code(drifts, bundles=bundles) == code
