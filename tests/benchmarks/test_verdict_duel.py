"""The gate sees what people see, refuses what `run` refuses, and never passes what it did not measure."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.gate import USUAL
from stylepress.benchmarks.part import read_json
from stylepress.benchmarks.show.files import write_forms
from stylepress.benchmarks.timing.systems import Run, golden_check
from stylepress.benchmarks.verdict.comparison import Comparison
from stylepress.benchmarks.verdict.duel import duel, lone
from stylepress.benchmarks.verdict.session import Session, pairs_of
from stylepress.errors import ArtifactError, RecipeError
from stylepress.picture import Pixels
from stylepress.progress import Silent
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import Bundle, read_bundle
from tests.benchmarks.duels import TINY, Heard, Machine, altered, compared, options, run, slower

BOTH = ("null", "onnxruntime")
LOOSE = USUAL.changed(
    **dict.fromkeys(("psnr_db", "cast_levels", "style_shift_percent", "weights_percent"), None),
    **dict.fromkeys(("saturation_percent", "content_percent", "grid_percent"), None),
    memory_percent=None,
)
"""Times alone make the verdict."""


@pytest.fixture(scope="session")
def versions(
    style: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Path]:
    folder = tmp_path_factory.mktemp("versions")
    source = style["bundle"]
    return {
        "same": altered(source, folder / "same"),
        "red": altered(source, folder / "red", add=24),
        "grey": altered(source, folder / "grey", fade=0.7),
        "wrong": altered(source, folder / "wrong", golden=False),
    }


def failed(found: Comparison) -> set[str]:
    return {one.key for one in found.checks if one.verdict == "FAIL"}


def of(found: Comparison, key: str, subject: str = "onnxruntime") -> Check:
    return next(one for one in found.checks if (one.key, one.subject) == (key, subject))


def test_a_red_cast_fails_with_the_usual_limits_and_nothing_is_timed(
    style: Mapping[str, Path], versions: Mapping[str, Path]
) -> None:
    machine = Machine()
    found = compared(style, versions["red"], machine)
    assert (found.verdict, found.exit_code) == ("FAIL", 1)
    assert "cast_levels" in failed(found)
    assert machine.asked == []
    assert any(one.what == "times and memory" for one in found.unjudged)


def test_less_saturation_fails_with_the_usual_limits(
    style: Mapping[str, Path], versions: Mapping[str, Path]
) -> None:
    found = compared(style, versions["grey"])
    assert "saturation_percent" in failed(found)
    change = of(found, "saturation_percent", "pictures").new
    assert change is not None
    assert -34 < change < -26


def test_what_run_refuses_fails_before_anything_else_is_looked_at(
    style: Mapping[str, Path], versions: Mapping[str, Path]
) -> None:
    machine = Machine()
    found = compared(style, versions["wrong"], machine)
    assert failed(found) == {"golden_levels"}
    assert found.verdict == "FAIL"
    assert (machine.asked, found.gallery) == ([], ())
    assert "`stylepress run` would refuse it" in found.reasons[0]


def test_golden_pairs_are_held_as_run_holds_them_by_the_mean_too(
    versions: Mapping[str, Path],
) -> None:
    bundle = read_bundle(versions["wrong"])
    numbers = {**bundle.artifact.numbers, "golden_tolerance": 255.0, "golden_rms": 1.0}
    manifest = bundle.artifact.manifest.model_copy(update={"numbers": numbers})
    loose = replace(bundle, artifact=replace(bundle.artifact, manifest=manifest))
    assert golden_check(loose, "onnxruntime", threads=1, subject="it").verdict == "FAIL"


def test_what_draws_a_frame_fastest_is_timed_first_however_long_it_takes_to_open(
    style: Mapping[str, Path], versions: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, machine = [0.0], Machine()

    @contextmanager
    def opened(bundle: Bundle, backend: str, engine: EngineOptions) -> Iterator[Run]:
        now[0] += 100 if backend == "null" else 0

        def run(frame: Pixels) -> Pixels:
            now[0] += 0.1 if backend == "null" else 1
            return frame

        yield run

    monkeypatch.setattr("stylepress.benchmarks.verdict.duel.opened", opened)
    monkeypatch.setattr("stylepress.benchmarks.verdict.duel.perf_counter", lambda: now[0])
    compared(style, versions["same"], machine, backends=("onnxruntime", "null"), limits=LOOSE)
    assert list(dict.fromkeys(machine.asked)) == ["null", "onnxruntime"]


def test_equal_bundles_pass_at_once_and_only_their_golden_pairs_are_run(
    style: Mapping[str, Path],
) -> None:
    machine = Machine()
    found = compared(style, style["bundle"], machine, backends=("onnxruntime", "null"))
    assert (found.verdict, found.mode, machine.asked) == ("PASS", "not measured", [])
    assert [one.subject for one in found.checks if one.key == "golden_levels"] == ["onnxruntime"]
    assert {one.metric for one in found.gated} >= {"golden pictures", "bytes that differ"}


def test_another_version_that_draws_alike_passes_and_says_what_it_did_not_judge(
    style: Mapping[str, Path], versions: Mapping[str, Path]
) -> None:
    found = compared(style, versions["same"], labels=("main", "branch"))
    assert found.verdict == "PASS", found.reasons
    assert found.labels == ("main", "branch")
    told = {one.what: one.why for one in found.unjudged}
    assert "`--style` takes one" in told["style distance"]
    assert "`--drift`" in next(why for what, why in told.items() if "Frechet" in what)
    assert any("steady" in what for what in told)
    assert len(found.runs) == 16


def test_all_that_the_style_picture_allows_is_judged(
    style: Mapping[str, Path], versions: Mapping[str, Path]
) -> None:
    found = compared(style, versions["same"], style=style["picture"])
    assert of(found, "style_percent", "pictures").verdict == "PASS"
    assert "style distance" not in {one.what for one in found.unjudged}


def test_an_obvious_slowdown_fails_at_the_first_look_of_eight_pairs(
    style: Mapping[str, Path], versions: Mapping[str, Path]
) -> None:
    machine = Machine(times=slower(versions["same"].name, 1.39))
    found = compared(style, versions["same"], machine, backends=BOTH)
    assert found.verdict == "FAIL"
    assert len(machine.asked) == 16, "the second backend was not needed"
    assert [one.note for one in found.gated if one.key == "p50_percent"] == ["obvious"]


def test_complete_measures_what_would_not_change_the_verdict(
    style: Mapping[str, Path], versions: Mapping[str, Path]
) -> None:
    plan = TINY.model_copy(update={"complete": True})
    machine = Machine()
    found = compared(style, versions["red"], machine, plan=plan)
    assert found.verdict == "FAIL"
    assert len(machine.asked) == 16


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was waited, without waiting."""
    waited: list[float] = []
    monkeypatch.setattr("stylepress.benchmarks.verdict.session.time.sleep", waited.append)
    return waited


def test_a_burst_of_load_puts_pairs_off_and_changes_no_verdict(
    style: Mapping[str, Path], versions: Mapping[str, Path], instant: list[float]
) -> None:
    patient = TINY.model_copy(update={"patience_s": 600})
    for factor, verdict in ((1.0, "PASS"), (1.39, "FAIL")):
        machine = Machine(
            times=slower(versions["same"].name, factor), spoils=lambda _, number: number < 3
        )
        found = compared(style, versions["same"], machine, plan=patient, limits=LOOSE)
        assert found.verdict == verdict
        assert sum(bool(one.invalid) for one in found.runs) == 6
        assert len([one for one in found.runs if not one.invalid]) == 16
    assert instant[:3] == [5, 10, 20]


def test_what_was_never_measured_is_no_pass_however_an_open_verdict_exits(
    style: Mapping[str, Path], versions: Mapping[str, Path], instant: list[float]
) -> None:
    patient = TINY.model_copy(update={"patience_s": 60})
    machine = Machine(spoils=lambda backend, _: backend == "null", kind="throttled")
    found = compared(style, versions["same"], machine, plan=patient, limits=LOOSE, backends=BOTH)
    assert found.verdict == "INCONCLUSIVE"
    assert (found.code(3), found.code(0), found.code(1)) == (3, 3, 1)
    assert of(found, "p50_percent").verdict == "PASS"
    assert "never measured" in of(found, "p50_percent", "null").note
    assert sum(instant) == 60
    assert any(reason.startswith("null was given up: one pair") for reason in found.reasons)


def test_what_is_too_noisy_may_pass_where_that_is_asked_for(
    style: Mapping[str, Path], versions: Mapping[str, Path]
) -> None:
    wild = Machine(times=lambda _, number: 10 * (1 + 0.05 * (number * 7 % 13)))
    found = compared(style, versions["same"], wild, limits=LOOSE)
    assert found.verdict == "INCONCLUSIVE"
    assert (found.code(3), found.code(0)) == (3, 0)


def test_several_bundles_are_compared_in_one_go_and_one_of_them_fails_all(
    style: Mapping[str, Path], versions: Mapping[str, Path], tmp_path: Path
) -> None:
    for side, dots in (("old", style["bundle"]), ("new", versions["red"])):
        (tmp_path / side / "dots").mkdir(parents=True)
        shutil.copytree(dots, tmp_path / side / "dots" / "bundle")
        shutil.copytree(style["bundle"], tmp_path / side / "lines")
    machine = Machine()
    session = Session(options(style), Silent(), machine, machine.ask)
    found = duel(tmp_path / "old", tmp_path / "new", session)
    assert found.verdict == "FAIL"
    subjects = {one.subject for one in found.checks}
    assert {"dots in onnxruntime", "lines in onnxruntime", "lines"} <= subjects
    assert failed(found) >= {"cast_levels"}


def test_folders_that_do_not_match_are_refused(style: Mapping[str, Path], tmp_path: Path) -> None:
    for side, name in (("old", "a"), ("new", "b")):
        (tmp_path / side).mkdir()
        shutil.copytree(style["bundle"], tmp_path / side / name)
    with pytest.raises(RecipeError, match="holds a, b"):
        duel(tmp_path / "old", tmp_path / "new", Session(options(style), Silent()))
    (tmp_path / "none").mkdir()
    with pytest.raises(ArtifactError, match="hold no bundle"):
        duel(tmp_path / "none", tmp_path / "none", Session(options(style), Silent()))


def test_without_a_baseline_the_new_bundle_is_held_against_its_own_golden_pairs(
    style: Mapping[str, Path], versions: Mapping[str, Path]
) -> None:
    asked = options(style)
    good = lone(style["bundle"], why="there is none", options=asked)
    assert (good.verdict, good.exit_code, good.base) == ("NO BASELINE", 2, None)
    assert good.reasons == ("there is none",)
    bad = lone(versions["wrong"], why="there is none", options=asked)
    assert bad.verdict == "FAIL"


def test_p90_looks_at_as_many_calls_of_both_arms() -> None:
    """The estimate from above lies higher the fewer calls there are."""
    long, short = [1 + 0.001 * n for n in range(400)], [1 + 0.001 * n for n in range(80)]
    runs = [run(0, "base", long), run(0, "new", short)]
    values = pairs_of(runs, "p90_percent")
    assert values is not None
    assert values[0] == values[1]


def test_weights_are_judged_by_the_weights(
    style: Mapping[str, Path], versions: Mapping[str, Path]
) -> None:
    found = compared(style, versions["same"], limits=USUAL.changed(weights_percent=1e-6))
    weights = of(found, "weights_percent", "size")
    assert weights.base == pytest.approx((style["bundle"] / "model.onnx").stat().st_size / 1e6)
    assert weights.verdict == "FAIL"


def test_how_long_it_takes_is_told_before_it_begins(
    style: Mapping[str, Path], versions: Mapping[str, Path]
) -> None:
    heard, machine = Heard(), Machine()
    session = Session(options(style), heard, machine, machine.ask)
    duel(style["bundle"], versions["same"], session)
    assert any(said.startswith("Up to 8 pairs of runs in 1 backend") for said in heard.said)


def test_a_comparison_is_read_back_as_it_was_written(
    style: Mapping[str, Path], versions: Mapping[str, Path], tmp_path: Path
) -> None:
    found = compared(style, versions["same"])
    write_forms(found, tmp_path)
    record = json.loads((tmp_path / "comparison.json").read_text())
    assert record["exit_code"] == found.exit_code
    read = read_json(tmp_path / "comparison.json", Comparison)
    assert read == found.model_copy(update={"gallery": ()})
