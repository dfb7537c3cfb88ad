"""`stylepress compare` from the command line, and the steps that build servers run."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from stylepress.__main__ import main
from tests.benchmarks.duels import altered

ROOT = Path(__file__).parents[2]
CI = ROOT / "docs" / "ci"
TINY = [
    *("--size", "64x64", "--backend", "null", "--threads", "1", "--pairs", "8", "--no-extend"),
    *("--no-confirm", "--min-time", "0", "--min-count", "5", "--delta", "400"),
    *("--foreign-load", "100", "--quiet"),
]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    return {**known, "STYLEPRESS": f"{shlex.quote(sys.executable)} -m stylepress"}


def steps(environ: Mapping[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    line = ["sh", str(CI / "compare.sh"), *map(str, arguments)]
    return subprocess.run(line, env=environ, capture_output=True, text=True, check=False)


def command(*arguments: object) -> int:
    return main(list(map(str, arguments)))


def github(folder: Path) -> dict[str, str]:
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_BASE_REF": "main",
        "GITHUB_HEAD_REF": "my-branch",
    }


@dataclass(frozen=True)
class Ran:
    """One run of the steps with all that they take: its folder, and how it ended."""

    folder: Path
    done: subprocess.CompletedProcess[str]

    @property
    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.folder / "out/comparison.json").read_text())
        return record


@pytest.fixture(scope="module")
def ran(
    style: Mapping[str, Path], environ: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Ran:
    """Two versions that draw alike; five calls a run have no p90, whatever the machine does."""
    folder = tmp_path_factory.mktemp("steps")
    new, gate = altered(style["bundle"], folder / "new"), folder / "gate.yaml"
    gate.write_text("p90_percent: 400\n")
    told = {**environ, **github(folder)}
    asked = ["--photos", style["photos"], "--drift", "--gate-file", gate]
    asked += ["--size", "128x128"]
    return Ran(folder, steps(told, style["bundle"], new, folder / "out", *TINY, *asked))


def test_the_steps_compare_and_hand_everything_on(ran: Ran) -> None:
    out, record, done = ran.folder / "out", ran.record, ran.done
    assert (done.returncode, record["verdict"]) == (3, "INCONCLUSIVE"), done.stderr
    assert len(record["runs"]) == 16
    assert (record["base"]["label"], record["new"]["label"]) == ("main", "my-branch")
    assert (ran.folder / "summary").read_text() == (out / "summary.md").read_text()
    lines = (ran.folder / "output").read_text().splitlines()
    assert lines == ["verdict=inconclusive", "code=3"]
    assert (out / "annotations.txt").read_text() in done.stdout
    assert ElementTree.parse(out / "junit.xml").getroot().tag == "testsuites"


def test_drift_is_one_more_judge_of_the_same_verdict(ran: Ran) -> None:
    found = {one["metric"]: one for one in ran.record["checks"]}
    assert found["SSIM, mean"]["subject"] == "drift"
    assert "direct P over benign" in found


@pytest.mark.parametrize(("asked", "code"), [("exit3", 3), ("pass", 3), ("fail", 1)])
def test_what_could_not_be_measured_exits_as_it_is_told_to_and_never_with_a_pass(
    ran: Ran, capsys: Capture, asked: str, code: int
) -> None:
    gate = ["--gate-file", ran.folder / "gate.yaml", "--delta", "400"]
    assert command("compare", ran.folder / "out", *gate, "--inconclusive", asked, "--json") == code
    assert json.loads(capsys.readouterr().out)["verdict"] == "INCONCLUSIVE"


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
    assert command("compare", tmp_path / "none", style["bundle"], *TINY) == 2


def test_the_steps_pass_a_refusal_through_and_leave_nothing_of_an_earlier_run(
    environ: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    out = tmp_path / "out"
    out.mkdir()
    for name in ("junit.xml", "comparison.json", "rows.csv"):
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
    style: Mapping[str, Path], tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "stored"
    assert command("compare", style["bundle"], style["bundle"], *TINY, "--out", out) == 0
    assert command("compare", out, "--quiet") == 0
    measured = ["--backend", "null", "--size", "64x64", "--rounds", "1", "--starts", "0", "--quiet"]
    report = tmp_path / "report"
    assert command("bench", style["bundle"], *measured, "--out", report) == 0
    capsys.readouterr()
    assert command("compare", report, report, "--json") == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "TREND"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("{bundle}", "{bundle}", "--vary", "cpu"), "`--vary` would do nothing for two bundles"),
        (
            ("{bundle}", "{bundle}", "--extractor", "x"),
            "`--extractor` would do nothing without `--drift`",
        ),
        (("{report}", "{report}", "--pairs", "4"), "would do nothing for two reports"),
        (("{report}", "{report}", "--delta", "4"), "for two reports, which judge nothing"),
        (("{bundle}", "{report}"), "of kind"),
        (("{bundle}",), "compared with nothing"),
        (("{bundle}", "{bundle}", "--labels", "main"), "does not name both"),
        (("{bundle}", "{bundle}", "--out", "{report}"), "Choose another place"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_mend(
    style: Mapping[str, Path], tmp_path: Path, capsys: Capture,
    arguments: tuple[str, ...], told: str,
) -> None:  # fmt: skip
    report = tmp_path / "report.json"
    report.write_text("{}")
    known = {"bundle": style["bundle"], "report": report}
    assert command("compare", *(one.format(**known) for one in arguments)) == 2
    assert told in capsys.readouterr().err.replace("\n", " ")


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
