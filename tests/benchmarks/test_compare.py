"""Two reports show a trend, or are judged by rounds in turns; stored comparisons are judged again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.compare import compare, judged_again
from stylepress.benchmarks.gate import USUAL, Gate, load_gate
from stylepress.benchmarks.report import Latency, Model, Report
from stylepress.errors import RecipeError
from tests.benchmarks.duels import Machine, altered, compared, slower


def latency(model: str, ms: float, rounds: int = 10) -> Latency:
    times = tuple((ms * (1 + 0.002 * (n % 3)),) for n in range(rounds))
    return Latency(
        name=f"{model} · onnxruntime", model=model, backend="onnxruntime", facts={}, baseline=False,
        rounds_ms=times,
        median_ms=sorted(one for (one,) in times)[rounds // 2], p90_ms=None,
    )  # fmt: skip


def measured(report: Report, *times: tuple[str, float], rounds: int = 10) -> Report:
    """The fixture's report, as if these bundles had been measured in turns."""
    (known,) = report.of_role("bundle")

    def bundle(name: str) -> Model:
        return known.model_copy(update={"name": name, "digest": f"digest of {name}"})

    looks = tuple(
        one.model_copy(update={"subject": name})
        for one in report.looks
        if one.subject == known.name
        for name, _ in times
    )
    return report.model_copy(
        update={
            "models": tuple(bundle(name) for name, _ in times),
            "latencies": tuple(latency(name, ms, rounds) for name, ms in times),
            "looks": looks, "drifts": (), "steadiness": (), "scenes": (),
            "starts": (), "validity": None,
            "scenario": report.scenario.model_copy(update={"rounds": rounds}),
        }
    )  # fmt: skip


def p50(found: tuple[Check, ...]) -> Check:
    return next(one for one in found if one.metric == "latency p50")


def test_reports_measured_apart_show_a_trend_that_is_of_the_values_shown(report: Report) -> None:
    found = compare(measured(report, ("old", 10)), measured(report, ("old", 10.55)))
    assert (found.verdict, found.exit_code) == ("TREND", 0)
    one = p50(found.checks)
    assert one.verdict is None
    assert one.base is not None
    assert one.new is not None
    assert one.worse == one.new / one.base
    assert {"weights", "content distance"} <= {each.metric for each in found.checks}


def test_reports_judge_nothing_though_both_bundles_were_measured_in_turns(report: Report) -> None:
    """Engines of one process differ by a few percent: only fresh processes tell a slower one."""
    found = compare(measured(report, ("old", 10)), measured(report, ("old", 10), ("new", 13.9)))
    assert (found.verdict, {one.verdict for one in found.checks}) == ("TREND", {None})


def test_another_machine_or_scenario_is_named_and_nothing_is_shown(report: Report) -> None:
    other = report.model_copy(
        update={
            "machine": report.machine.model_copy(update={"cpu": "another"}),
            "scenario": report.scenario.model_copy(update={"height": 64}),
        }
    )
    found = compare(report, other)
    assert (found.verdict, found.exit_code, found.checks) == ("NOT COMPARABLE", 2, ())
    assert {"machine.cpu", "scenario.height"} <= found.differing.keys()
    varied = compare(report, other.model_copy(update={"scenario": report.scenario}), vary=["cpu"])
    assert varied.verdict == "TREND"
    with pytest.raises(RecipeError, match="nonsense"):
        compare(report, other, vary=["nonsense"])


def test_versions_of_what_reads_pictures_inform_and_do_not_gate(report: Report) -> None:
    packages = {**report.machine.packages, "pillow": "1", "av": "1", "scipy": "1"}
    other = report.machine.model_copy(update={"packages": packages})
    assert compare(report, report.model_copy(update={"machine": other})).verdict == "TREND"


def test_what_was_measured_over_other_pictures_is_named_and_not_compared(report: Report) -> None:
    (drift,) = report.drifts
    other = drift.model_copy(update={"names": ("another.png",)})
    found = compare(report, report.model_copy(update={"drifts": (other,)}))
    assert any("direct P" in one.what for one in found.skipped)
    assert not any("direct P" in one.metric for one in found.checks)


@pytest.fixture(scope="module")
def slow(style: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    new = altered(style["bundle"], tmp_path_factory.mktemp("slow") / "slow", add=4)
    return compared(style, new, Machine(times=slower(new.name, 1.08)))


def test_a_stored_comparison_is_judged_again_with_other_limits(slow) -> None:  # type: ignore[no-untyped-def]
    assert slow.verdict == "FAIL"
    assert judged_again(slow, USUAL).verdict == "FAIL"
    wider = judged_again(slow, USUAL.changed(p50_percent=15.0, memory_percent=None))
    assert wider.verdict == "PASS"
    assert p50(wider.checks).limit == 0.15
    narrow = judged_again(slow, USUAL.changed(p50_percent=15.0, cast_levels=1.0))
    assert [one.key for one in narrow.checks if one.verdict == "FAIL"] == ["cast_levels"]
    with pytest.raises(RecipeError, match="nothing to judge again"):
        judged_again(slow.model_copy(update={"settings": None}), USUAL)


def test_a_gate_file_names_a_figure_and_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text("p50_percent: 12\ncast_levels: null\n")
    limits = load_gate(path)
    assert (limits.limit("p50_percent"), limits.limit("cast_levels")) == (0.12, None)
    assert limits.limit("saturation_percent") == USUAL.limit("saturation_percent")
    assert load_gate(path, delta_percent=3).limit("memory_percent") == 0.03
    assert "p90_percent" not in limits.gated


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("p50: 12\n", r"line 1: `p50` is not known\. .*p50_percent"),
        ("p50_percent: fast\n", "`p50_percent` is"),
        ("p50_percent: 0\n", "p50_percent"),
    ],
)
def test_a_gate_file_is_read_strictly(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=told):
        load_gate(path)


def test_every_figure_of_a_gate_says_what_it_is() -> None:
    described = Gate.model_json_schema()["properties"]
    assert all(one["description"] for one in described.values())
