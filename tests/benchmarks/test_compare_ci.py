"""`stylepress compare` from the command line, and the steps that build servers run."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests.benchmarks.duels import altered

ROOT = Path(__file__).parents[2]
CI = ROOT / "docs" / "ci"
TINY = [
    *("--size", "64x64", "--backend", "null", "--threads", "1", "--pairs", "8", "--no-extend"),
    *("--no-confirm", "--min-time", "0", "--min-count", "5", "--delta", "400"),
    *("--foreign-load", "100", "--quiet"),
]


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    return {**known, "STYLEPRESS": f"{shlex.quote(sys.executable)} -m stylepress"}


@pytest.fixture(scope="module")
def new(style: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return altered(style["bundle"], tmp_path_factory.mktemp("new") / "new")


def command(environ: Mapping[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    line = [*shlex.split(environ["STYLEPRESS"]), *map(str, arguments)]
    return subprocess.run(line, env=environ, capture_output=True, text=True, check=False)


def steps(environ: Mapping[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    line = ["sh", str(CI / "compare.sh"), *map(str, arguments)]
    return subprocess.run(line, env=environ, capture_output=True, text=True, check=False)


def github(folder: Path) -> dict[str, str]:
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_BASE_REF": "main",
        "GITHUB_HEAD_REF": "my-branch",
    }


def test_the_steps_compare_and_hand_everything_on(
    style: Mapping[str, Path], new: Path, environ: Mapping[str, str], tmp_path: Path
) -> None:
    out, history = tmp_path / "out", tmp_path / "history.csv"
    told = {**environ, **github(tmp_path)}
    done = steps(told, style["bundle"], new, out, *TINY, "--history", history)
    record: dict[str, Any] = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    assert done.returncode == record["exit_code"], done.stderr
    assert record["verdict"] in ("PASS", "FAIL", "INCONCLUSIVE")
    assert len(record["runs"]) == 16
    assert (record["base"]["label"], record["new"]["label"]) == ("main", "my-branch")
    assert (tmp_path / "summary").read_text() == (out / "summary.md").read_text()
    lines = (tmp_path / "output").read_text().splitlines()
    assert lines == [f"verdict={record['verdict'].lower()}", f"code={done.returncode}"]
    assert (out / "annotations.txt").read_text() in done.stdout
    assert ElementTree.parse(out / "junit.xml").getroot().tag == "testsuites"
    assert len(history.read_text().splitlines()) == 2


def test_the_first_run_has_no_baseline_and_skips_with_every_form_written(
    style: Mapping[str, Path], environ: Mapping[str, str], tmp_path: Path
) -> None:
    told, out = {**environ, **github(tmp_path)}, tmp_path / "out"
    done = steps(told, tmp_path / "none", style["bundle"], out, *TINY)
    assert done.returncode == 0, done.stderr
    assert "no-baseline" in (tmp_path / "output").read_text()
    assert "NO BASELINE" in (tmp_path / "summary").read_text()
    names = {path.name for path in out.iterdir()}
    assert {"comparison.json", "comparison.html", "summary.md", "junit.xml"} <= names
    assert ElementTree.parse(out / "junit.xml").getroot().get("skipped") == "1"
    strict = command(environ, "compare", tmp_path / "none", style["bundle"], *TINY)
    assert strict.returncode == 2


def test_the_steps_pass_a_refusal_through_and_leave_nothing_of_an_earlier_run(
    environ: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    out = tmp_path / "out"
    out.mkdir()
    for name in ("junit.xml", "comparison.json", "bencher.json"):
        (out / name).write_text("old")
    done = steps(environ, tmp_path / "a", tmp_path / "a", out)
    assert done.returncode == 2
    assert "stylepress build" in done.stderr
    assert not list(out.iterdir())


def test_a_command_that_breaks_off_is_no_regression(
    environ: Mapping[str, str], tmp_path: Path
) -> None:
    told = {**environ, "STYLEPRESS": "false", "GITHUB_OUTPUT": str(tmp_path / "told")}
    assert steps(told, "a", "b", tmp_path / "out").returncode == 2
    assert (tmp_path / "told").read_text().splitlines() == ["verdict=error", "code=1"]
    assert steps(told).returncode == 64


def test_a_stored_comparison_and_the_folders_of_bench_are_taken(
    style: Mapping[str, Path], environ: Mapping[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "stored"
    again = ["compare", style["bundle"], style["bundle"], *TINY, "--out", out]
    assert command(environ, *again).returncode == 0
    done = command(environ, "compare", out, "--quiet")
    assert done.returncode == 0, done.stderr
    measured = ["--backend", "null", "--size", "64x64", "--rounds", "1", "--starts", "0", "--quiet"]
    for name in ("one", "two"):
        bench = command(environ, "bench", style["bundle"], *measured, "--out", tmp_path / name)
        assert bench.returncode == 0, bench.stderr
    trend = command(environ, "compare", tmp_path / "one", tmp_path / "two", "--json")
    assert json.loads(trend.stdout)["verdict"] == "TREND", trend.stderr


@pytest.mark.parametrize(("given", "code"), [("exit3", 3), ("pass", 3), ("fail", 1)])
def test_what_could_not_be_measured_exits_as_it_is_told_to_and_never_with_a_pass(
    style: Mapping[str, Path], new: Path, environ: Mapping[str, str], tmp_path: Path,
    given: str, code: int,
) -> None:  # fmt: skip
    gate = tmp_path / "gate.yaml"
    gate.write_text("p90_percent: 400\n")  # five calls a run have no p90, whatever the machine does
    asked = [*TINY, "--gate-file", gate, "--json", "--inconclusive", given]
    done = command(environ, "compare", style["bundle"], new, *asked)
    assert json.loads(done.stdout)["verdict"] == "INCONCLUSIVE", done.stderr
    assert done.returncode == code


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("{bundle}", "{bundle}", "--vary", "cpu"), "`--vary` would do nothing for two bundles"),
        (
            ("{bundle}", "{bundle}", "--extractor", "x"),
            "`--extractor` would do nothing without `--drift`",
        ),
        (("{report}", "{report}", "--pairs", "4"), "would do nothing for two reports"),
        (("{bundle}", "{report}"), "of kind"),
        (("{bundle}",), "compared with nothing"),
        (("{bundle}", "{bundle}", "--labels", "main"), "does not name both"),
        (("{bundle}", "{bundle}", "--out", "{report}"), "Choose another place"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_mend(
    style: Mapping[str, Path], environ: Mapping[str, str], tmp_path: Path,
    arguments: tuple[str, ...], told: str,
) -> None:  # fmt: skip
    report = tmp_path / "report.json"
    report.write_text("{}")
    known = {"bundle": style["bundle"], "report": report}
    done = command(environ, "compare", *(one.format(**known) for one in arguments))
    assert done.returncode == 2
    assert told in done.stderr.replace("\n", " ")


def test_drift_is_one_more_judge_of_the_same_verdict(
    style: Mapping[str, Path], new: Path, environ: Mapping[str, str]
) -> None:
    asked = ["--size", "128x128", "--photos", style["photos"], "--json", "--drift"]
    done = command(environ, "compare", style["bundle"], new, *TINY, *asked)
    found = {one["metric"]: one for one in json.loads(done.stdout)["checks"]}
    assert found["SSIM, mean"]["subject"] == "drift"
    assert "patch distance between the arms" in found


def test_the_action_runs_the_steps_and_pastes_no_input_into_them() -> None:
    action = yaml.safe_load((CI / "action.yml").read_text(encoding="utf-8"))
    (step,) = action["runs"]["steps"]
    assert action["runs"]["using"] == "composite"
    assert "compare.sh" in step["run"]
    assert "${{" not in step["run"]
    assert {"base", "new", "out", "options"} == set(action["inputs"])


def test_the_gitlab_job_runs_the_same_steps() -> None:
    job = yaml.safe_load((CI / "gitlab.yml").read_text(encoding="utf-8"))["stylepress-compare"]
    assert job["script"] == ['sh docs/ci/compare.sh "$BASE" "$NEW" "$OUT" $OPTIONS']
    assert job["allow_failure"]["exit_codes"] == [3]
    assert job["artifacts"]["reports"]["junit"] == f"{job['variables']['OUT']}/junit.xml"
