"""Two reports measured apart: drift, memory and scenarios then and now, and what cannot be compared."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from stylepress.benchmarks.compare import compare
from stylepress.benchmarks.quality.result import Drift
from stylepress.benchmarks.report import Consistency, Report
from stylepress.benchmarks.report_figures import report_figures
from stylepress.benchmarks.trend import figure_trends
from stylepress.benchmarks.verdict.forms.exports import append_history, dashboards


@pytest.fixture
def drift(report: Report) -> Drift:
    """What the bundle lost against its float student."""
    return report.drifts[0]


def with_drift(report: Report, drift: Drift) -> Report:
    return report.model_copy(update={"drifts": (drift,)})


def test_a_report_against_itself_has_changed_nowhere(report: Report) -> None:
    found = {one.name: one for one in figure_trends(report, report)}
    assert len(found) == len(list(report_figures(report)))
    assert all(one.worse in (1.0, None) for one in found.values())
    assert {one.verdict for one in found.values()} == {None}
    metrics = {one.metric for one in found.values()}
    assert {
        "ssim",
        "patch distance",
        "colour cast, levels, mean",
        "warping error",
        "flicker",
    } <= metrics


def test_a_direct_distance_that_doubles_is_a_trend_of_twice(report: Report, drift: Drift) -> None:
    frechet = drift.frechet
    wider = frechet.direct.model_copy(update={"value": 2 * frechet.direct.value})
    twice = drift.model_copy(update={"frechet": frechet.model_copy(update={"direct": wider})})
    found = compare(with_drift(report, drift), with_drift(report, twice))
    assert found.verdict == "TREND"
    (one,) = (each for each in found.judgements if each.metric.startswith("direct P"))
    assert one.worse == pytest.approx(2)
    assert f"| {one.name} |" in found.summary()


def test_distances_over_other_features_are_named_and_not_compared(
    report: Report, drift: Drift
) -> None:
    frechet = drift.frechet
    fact = frechet.extractor.model_copy(update={"sha256": "0" * 64})
    other = drift.model_copy(update={"frechet": frechet.model_copy(update={"extractor": fact})})
    found = compare(with_drift(report, drift), with_drift(report, other))
    metrics = {one.metric for one in found.judgements}
    assert not any(metric.startswith("direct P") for metric in metrics)
    assert "patch distance" in metrics  # of pixels, whatever the features are
    (skipped,) = (one for one in found.skipped if "direct P" in one.what)
    assert "000000000000" in skipped.why
    assert "Not compared: " in found.summary()
    assert "000000000000" in found.summary()


def test_a_clip_of_the_same_name_and_other_bytes_is_not_compared(report: Report) -> None:
    clip = {"name": "street.mp4", "sha256": "a" * 64}
    facts = {"warp_error": 1.0, "input_warp_error": 1.0, "flow": "DIS", "frames": 3}
    one, two = (
        Consistency.model_validate({"model": "m", **facts, "clip": {**clip, "sha256": end * 64}})
        for end in "ab"
    )
    before, after = (report.model_copy(update={"clips": (each,)}) for each in (one, two))
    found = compare(before, after)
    assert "m · warping error, street.mp4" in {one.what for one in found.skipped}
    again = compare(before, before)
    assert "m · warping error, street.mp4" in {one.name for one in again.judgements}


def test_the_history_of_trends_tracks_drift_beside_latency(
    report: Report, drift: Drift, tmp_path: Path
) -> None:
    made = with_drift(report, drift)
    assert append_history(compare(made, made), tmp_path / "history.csv")
    assert append_history(compare(made, made), tmp_path / "history.csv")
    one, two = csv.DictReader((tmp_path / "history.csv").read_text().splitlines())
    assert one == two
    (direct,) = (name for name in one if "direct P" in name and not name.endswith("ratio"))
    assert float(one[direct]) == pytest.approx(drift.frechet.direct.value)
    assert any("latency p50 ms" in name for name in one)
    assert any("all files MB" in name for name in one)


def test_dashboards_get_drift_from_a_report(report: Report, drift: Drift) -> None:
    files = dashboards(with_drift(report, drift))
    assert "direct P" in files["github-smaller-is-better.json"]
    assert "ssim" in files["github-bigger-is-better.json"]
    assert "patch-distance" in files["bencher.json"]
