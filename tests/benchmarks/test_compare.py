"""Two reports show a trend; only one that measured both bundles in turns is judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stylepress.benchmarks.compare import compare, compare_files
from stylepress.benchmarks.machine.watch import Event, Validity
from stylepress.benchmarks.report import Quality, Report
from stylepress.benchmarks.report_files import write_json
from stylepress.benchmarks.verdict.holm import least_pairs
from stylepress.benchmarks.verdict.pictures import PictureLimits
from stylepress.benchmarks.verdict.rule import ONCE_ALPHA
from stylepress.errors import RecipeError

BUNDLE, OTHER = "dots int8", "dots int8 2"


def timed(report: Report, factor: float, *, noise: float, seed: int = 0) -> Report:
    """The report as if every system had taken 10 ms, times ``factor``, with some noise."""
    rng = np.random.default_rng(seed)
    rounds = tuple((float(t),) for t in 10 * factor * np.exp(noise * rng.normal(size=12)))
    latencies = tuple(
        each.model_copy(update={"rounds_ms": rounds, "median_ms": 10 * factor})
        for each in report.latencies
    )
    scenario = report.scenario.model_copy(update={"rounds": 12})
    quiet = {"validity": None, "scenes": ()}
    return report.model_copy(update={"latencies": latencies, "scenario": scenario, **quiet})


def with_both(report: Report, factor: float, *, noise: float = 0.01, style: float = 1.0) -> Report:
    """The report as ``bench OLD NEW`` writes it: the new bundle takes ``factor`` as long."""
    steady = timed(report, 1, noise=noise)
    slow = timed(report, factor, noise=noise, seed=1)
    model = report.model(BUNDLE).model_copy(update={"name": OTHER, "digest": "f" * 64})
    added = tuple(
        one.model_copy(update={"name": f"{OTHER} · {one.backend}", "model": OTHER})
        for one in slow.latencies
        if one.model == BUNDLE
    )
    qualities = tuple(
        one.model_copy(update={"model": OTHER, "style_distance": (one.style_distance or 0) * style})
        for one in report.qualities
        if one.model == BUNDLE
    )
    return steady.model_copy(
        update={
            "models": (*report.models, model),
            "latencies": (*steady.latencies, *added),
            "qualities": (*report.qualities, *qualities),
        }
    )


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_times_measured_apart_are_shown_and_never_judged(report: Report, factor: float) -> None:
    result = compare(timed(report, 1, noise=0.01), timed(report, factor, noise=0.01, seed=1))
    assert (result.verdict, result.exit_code, result.mode) == ("TREND", 0, "trend")
    assert all(one.verdict is None and not one.gated for one in result.judgements)
    latency = next(one for one in result.judgements if "onnxruntime" in one.subject)
    assert latency.worse == pytest.approx(factor, rel=0.05)


def test_a_trend_repeats_the_doubts_of_both_reports(report: Report) -> None:
    quiet = report.machine.model_copy(update={"load_average": 0.0})
    busy = report.machine.model_copy(update={"load_average": 50.0})
    one, two = (report.model_copy(update={"machine": each}) for each in (quiet, busy))
    reasons = compare(one, two).reasons
    assert any(reason.startswith("new: the machine was busy before") for reason in reasons)
    assert not any(reason.startswith("base: the machine was busy") for reason in reasons)


@pytest.mark.parametrize(
    ("factor", "verdict", "code"), [(1.0, "PASS", 0), (1.2, "FAIL", 1), (0.7, "PASS", 0)]
)
def test_a_report_that_measured_both_in_turns_is_judged(
    report: Report, factor: float, verdict: str, code: int
) -> None:
    result = compare(timed(report, 1, noise=0.01), with_both(report, factor))
    assert (result.verdict, result.exit_code, result.mode) == (verdict, code, "rounds")
    assert (result.base.name, result.new.name) == (BUNDLE, OTHER)


def test_rounds_too_noisy_to_tell_are_inconclusive(report: Report) -> None:
    result = compare(timed(report, 1, noise=0.01), with_both(report, 1.03, noise=0.3))
    assert (result.verdict, result.exit_code) == ("INCONCLUSIVE", 3)


def test_a_slowdown_that_two_engines_of_a_process_may_differ_by_is_left_open(
    report: Report,
) -> None:
    """Worse by more than the limit and surely worse, but not surely by more than the limit."""
    result = compare(timed(report, 1, noise=0.01), with_both(report, 1.07, noise=0.04))
    assert result.verdict == "INCONCLUSIVE"
    (one, *_) = (one for one in result.judgements if one.verdict == "INCONCLUSIVE")
    assert one.low is not None
    assert 1.01 < one.low < 1.05 < (one.worse or 0)
    assert "compare the bundles" in one.note


def test_worse_pictures_fail_without_any_noise(report: Report) -> None:
    result = compare(timed(report, 1, noise=0.01), with_both(report, 1.0, style=1.3))
    assert result.verdict == "FAIL"
    assert any("style distance is worse: +30.0 %" in reason for reason in result.reasons)


def with_psnr(report: Report, levels: dict[str, float | None]) -> Report:
    """Give each bundle's pictures one PSNR; None for pictures equal to the reference's."""

    def changed(one: Quality) -> Quality:
        if one.model not in levels:
            return one
        level = levels[one.model]
        return one.model_copy(update={"psnr_db": level, "identical": level is None})

    return report.model_copy(update={"qualities": tuple(map(changed, report.qualities))})


@pytest.mark.parametrize(
    ("before", "after", "limit", "verdict"),
    [
        (40.0, 39.0, 20.0, "PASS"),
        (40.0, 19.0, 20.0, "FAIL"),
        (40.0, 39.0, 39.5, "FAIL"),
        (None, 39.0, 20.0, "PASS"),
        (30.0, None, 50.0, "PASS"),
        (15.0, 15.0, 20.0, "PASS"),
        (15.0, 14.9, 20.0, "FAIL"),
    ],
)
def test_psnr_is_judged_by_its_own_limit_and_equal_pictures_are_infinitely_near(
    report: Report, before: float | None, after: float | None, limit: float, verdict: str
) -> None:
    new = with_psnr(with_both(report, 1.0), {BUNDLE: before, OTHER: after})
    limits = PictureLimits(min_psnr_db=limit)
    result = compare(timed(report, 1, noise=0.01), new, limits=limits)
    (psnr,) = (one for one in result.judgements if one.metric.startswith("PSNR"))
    assert (psnr.verdict, psnr.base, psnr.new) == (verdict, before, after)


def test_quality_has_a_limit_of_its_own_beside_that_of_times(report: Report) -> None:
    new = with_both(report, 1.0, style=1.08)
    base = timed(report, 1, noise=0.01)
    assert compare(base, new).verdict == "PASS"
    assert compare(base, new, limits=PictureLimits(delta=0.05)).verdict == "FAIL"


def test_rounds_too_few_for_all_times_together_judge_nothing_and_the_fewest_are_told(
    report: Report,
) -> None:
    new = with_both(report, 1.0)
    both = {one.backend for one in new.latencies if one.model == OTHER}
    short = new.scenario.model_copy(update={"rounds": 5})
    base = timed(report, 1, noise=0.01).model_copy(update={"scenario": short})
    result = compare(base, new.model_copy(update={"scenario": short}))
    assert (result.verdict, result.mode) == ("TREND", "trend")
    need = least_pairs(len(both), ONCE_ALPHA)
    assert result.reasons[0].endswith(f"{len(both)} times together; {need} would do")


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
    assert (result.verdict, result.exit_code) == ("NOT COMPARABLE", 2)
    assert set(result.differing) == {"machine.cpu", "scenario.width"}
    assert result.judgements == ()
    assert "| scenario.width | 128 | 640 |" in result.summary()


def test_fields_that_are_meant_to_differ_may_and_then_nothing_is_judged(report: Report) -> None:
    packages = {**report.machine.packages, "onnxruntime": "0.0"}
    moved = report.machine.model_copy(update={"packages": packages})
    other = timed(report, 2, noise=0.01).model_copy(update={"machine": moved})
    before = timed(report, 1, noise=0.01)
    assert set(compare(before, other).differing) == {"machine.packages.onnxruntime"}
    assert compare(before, other, vary=["packages.onnxruntime"]).verdict == "TREND"


def test_a_field_may_be_named_as_the_refusal_named_it(report: Report) -> None:
    moved = report.machine.model_copy(update={"cpu": "another"})
    other = report.model_copy(update={"machine": moved})
    (named,) = compare(report, other).differing
    assert compare(report, other, vary=[named]).verdict == "TREND"


@pytest.mark.parametrize("name", ["cpus", "package", "packages.openvin", "bundles", ""])
def test_a_field_that_no_machine_has_cannot_vary(report: Report, name: str) -> None:
    with pytest.raises(RecipeError, match=r"has a field .*packages\.onnxruntime"):
        compare(report, report, vary=[name])


def test_rounds_that_the_machine_disturbed_are_left_open(report: Report) -> None:
    event = Event(kind="foreign load", what="others used 60 % of the processor")
    spoiled = Validity(ok=False, events=(event,), samples=9)
    new = with_both(report, 1.5).model_copy(update={"validity": spoiled})
    result = compare(timed(report, 1, noise=0.01), new)
    assert (result.verdict, result.exit_code) == ("INCONCLUSIVE", 3)
    assert any("others used 60 %" in reason for reason in result.reasons)


def test_both_bundles_inside_do_not_help_across_machines(report: Report) -> None:
    moved = report.machine.model_copy(update={"cpu": "another"})
    new = with_both(report, 1.0).model_copy(update={"machine": moved})
    assert compare(timed(report, 1, noise=0.01), new).verdict == "NOT COMPARABLE"


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
    write_json(with_both(report, 1.5), new)
    record = compare_files(base, new).record()
    assert (record["verdict"], record["exit_code"]) == ("FAIL", 1)


@pytest.mark.parametrize("percent", [0, -5, float("nan")])
def test_a_threshold_that_judges_nothing_is_refused(report: Report, percent: float) -> None:
    with pytest.raises(RecipeError, match="--delta"):
        compare(report, report, max_regression_percent=percent)
