"""`stylepress compare` from the command line, and the steps that build servers run."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CI = ROOT / "docs" / "ci"
TINY = [
    "--size",
    "64x64",
    "--backend",
    "null",
    "--threads",
    "1",
    "--pairs",
    "6",
    "--no-extend",
    "--no-confirm",
    "--gate",
    "p50",
    "--min-time",
    "0",
    "--min-count",
    "5",
    "--warm-up",
    "0",
    "--rest",
    "0",
    "--delta",
    "400",
    "--foreign-load",
    "100",
    "--quiet",
]


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    return {**known, "STYLEPRESS": f"{shlex.quote(sys.executable)} -m stylepress"}


def command(environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [*shlex.split(environ["STYLEPRESS"]), *arguments]
    return subprocess.run(line, env=environ, capture_output=True, text=True, check=False)


def test_the_steps_compare_and_hand_everything_on(
    style: Mapping[str, Path], environ: Mapping[str, str], tmp_path: Path
) -> None:
    github = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
    }
    out, history = tmp_path / "out", tmp_path / "history.csv"
    pair = [str(style["bundle"]), str(style["student"]), str(out)]
    steps = ["sh", str(CI / "compare.sh"), *pair, *TINY, "--history", str(history)]
    done = subprocess.run(
        steps, env={**environ, **github}, capture_output=True, text=True, check=False
    )
    record: dict[str, Any] = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    assert done.returncode == record["exit_code"], done.stderr
    assert record["verdict"] in ("PASS", "FAIL", "INCONCLUSIVE")
    assert len(record["runs"]) == 12
    assert (tmp_path / "summary").read_text() == (out / "summary.md").read_text()
    told = (tmp_path / "output").read_text().splitlines()
    assert told == [f"verdict={record['verdict'].lower()}", f"code={done.returncode}"]
    assert (out / "annotations.txt").read_text() in done.stdout
    assert ElementTree.parse(out / "junit.xml").getroot().tag == "testsuites"
    assert len(history.read_text().splitlines()) == 2


def test_the_steps_pass_a_refusal_through(environ: Mapping[str, str], tmp_path: Path) -> None:
    steps = ["sh", str(CI / "compare.sh"), str(tmp_path), str(tmp_path), str(tmp_path / "out")]
    done = subprocess.run(steps, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "stylepress build" in done.stderr


def test_a_command_that_breaks_off_is_no_regression(
    environ: Mapping[str, str], tmp_path: Path
) -> None:
    told = {"STYLEPRESS": "false", "GITHUB_OUTPUT": str(tmp_path / "told")}
    steps = ["sh", str(CI / "compare.sh"), "a", "b", str(tmp_path / "out")]
    done = subprocess.run(steps, env={**environ, **told}, capture_output=True, check=False)
    assert done.returncode == 2
    assert (tmp_path / "told").read_text().splitlines() == ["verdict=error", "code=1"]


def test_the_steps_without_bundles_tell_their_usage() -> None:
    done = subprocess.run(["sh", str(CI / "compare.sh")], capture_output=True, check=False)
    assert done.returncode == 64


def test_a_bundle_and_a_file_are_not_compared(
    style: Mapping[str, Path], environ: Mapping[str, str]
) -> None:
    done = command(environ, "compare", str(style["bundle"]), str(style["bundle"] / "manifest.json"))
    assert done.returncode == 2
    assert "two bundles" in done.stderr


@pytest.mark.parametrize(("given", "code"), [("exit3", 3), ("pass", 0), ("fail", 1)])
def test_an_open_verdict_exits_as_it_is_told_to(
    style: Mapping[str, Path], environ: Mapping[str, str], given: str, code: int
) -> None:
    both = [str(style["bundle"])] * 2
    # Five calls a run have no p90, whatever the machine does.
    asked = [*TINY, "--gate", "p90", "--json", "--inconclusive", given]
    done = command(environ, "compare", *both, *asked)
    assert json.loads(done.stdout)["verdict"] == "INCONCLUSIVE", done.stderr
    assert done.returncode == code


@pytest.mark.parametrize("given", [["--pairs", "4"], ["--no-extend"], ["--drift"]])
def test_options_for_bundles_are_refused_for_reports(
    environ: Mapping[str, str], tmp_path: Path, given: list[str]
) -> None:
    report = tmp_path / "report.json"
    report.write_text("{}")
    done = command(environ, "compare", str(report), str(report), *given)
    assert done.returncode == 2
    assert "would do nothing for two reports" in done.stderr


@pytest.mark.parametrize("option", ["--references", "--extractor", "--lpips"])
def test_what_drift_is_measured_with_is_refused_without_it(
    style: Mapping[str, Path], environ: Mapping[str, str], option: str
) -> None:
    both = [str(style["bundle"])] * 2
    done = command(environ, "compare", *both, option, str(style["photos"]))
    assert done.returncode == 2
    assert f"`{option}` would do nothing without `--drift`" in done.stderr


def test_no_threads_are_wrong_usage(style: Mapping[str, Path], environ: Mapping[str, str]) -> None:
    done = command(environ, "compare", *[str(style["bundle"])] * 2, "--threads", "0")
    assert done.returncode == 64
    assert "--threads" in done.stderr


def test_an_option_for_reports_is_refused_for_bundles(
    style: Mapping[str, Path], environ: Mapping[str, str]
) -> None:
    both = [str(style["bundle"])] * 2
    done = command(environ, "compare", *both, "--vary", "cpu")
    assert done.returncode == 2
    assert "`--vary` would do nothing for two bundles" in done.stderr


def test_a_place_that_cannot_be_written_to_is_told_before_anything_runs(
    style: Mapping[str, Path], environ: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    both = [str(style["bundle"])] * 2
    done = command(environ, "compare", *both, "--out", str(tmp_path / "file"))
    assert done.returncode == 2
    assert "Choose another place" in done.stderr


def test_what_an_earlier_run_left_is_not_the_result_of_a_refused_one(
    environ: Mapping[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("junit.xml", "comparison.json", "bencher.json"):
        (out / name).write_text("old")
    steps = ["sh", str(CI / "compare.sh"), str(tmp_path), str(tmp_path), str(out)]
    assert subprocess.run(steps, env=environ, capture_output=True, check=False).returncode == 2
    assert not list(out.iterdir())


def test_drift_is_one_more_judge_of_the_same_verdict(
    style: Mapping[str, Path], environ: Mapping[str, str], tmp_path: Path
) -> None:
    made: dict[str, dict[str, Any]] = {}
    others = tmp_path / "others"
    others.mkdir()
    shutil.copyfile(style["picture"], others / "dots.png")
    for name, more in {"with": ["--drift"], "without": []}.items():
        bundles = [str(style["bundle"]), str(style["student"])]
        photos = ["--photos", str(style["photos"]), "--json", *more]
        if more:
            photos += ["--references", str(others)]
        done = command(environ, "compare", *bundles, *TINY, "--size", "128x128", *photos)
        record = json.loads(done.stdout)
        assert record["exit_code"] == done.returncode, done.stderr
        made[name] = {one["metric"]: one for one in record["judgements"]}
    told = {name: made["with"][name] for name in made["with"].keys() - made["without"].keys()}
    assert {"SSIM, mean", "patch distance between the arms"} <= told.keys()
    assert all(one["subject"] == "pictures" and one["kind"] == "quality" for one in told.values())
    assert any(one["gated"] for one in told.values())
    assert "no references" not in told["drift D"]["note"]


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
