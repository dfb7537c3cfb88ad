"""Reports and comparisons as pages, Markdown and files: what matters first, and the same everywhere."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator

from stylepress.benchmarks.check import Check, Verdict
from stylepress.benchmarks.gate import figure
from stylepress.benchmarks.report import Report
from stylepress.benchmarks.show.files import (
    dashboards,
    forms,
    junit,
    markdown,
    page,
    workflow_commands,
    write_forms,
)
from stylepress.benchmarks.verdict.comparison import Comparison
from stylepress.document import document_schema
from tests.benchmarks.duels import Machine, altered, compared, slower


@pytest.fixture(scope="module")
def slow(style: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    new = altered(style["bundle"], tmp_path_factory.mktemp("slow") / "slow")
    machine = Machine(times=slower(new.name, 1.2), spoils=lambda _, number: number == 4,
                      kind="throttled")  # fmt: skip
    return compared(style, new, machine, labels=("main", "my-branch"))


def check(verdict: Verdict | None, subject: str = "onnxruntime") -> Check:
    return figure(
        "p50_percent", subject, kind="paired", base=10.0, new=12.0, worse=1.2, low=1.1, high=1.3,
        confidence=0.95, limit=0.05, verdict=verdict, pairs=10,
    )  # fmt: skip


def heads(html: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", html)


def test_a_page_answers_what_people_ask_first(report: Report) -> None:
    html = page(report)
    found = heads(html)
    assert found[:3] == [
        "Does it look like the original?",
        "Is it steady?",
        "How fast, and how small?",
    ]
    assert found.index("How fast, and how small?") < found.index("Machine")
    assert "pictures" in re.findall(r"<h1>(.*?)</h1>", html)[0]
    first = html.index("dots int8 against dots teacher fp32: PSNR ")
    assert first < html.index("a frame in")
    assert html.index("Left the teacher, right dots int8.") < html.index("Is it steady?")


def test_a_page_needs_nothing_from_outside_and_runs_what_is_its_own(
    report: Report, slow: Comparison
) -> None:
    for html in (page(report), page(slow)):
        assert "default-src 'none'" in html
        assert not re.search(r'(src|href)="(?!data:)', html)
        assert html.count("<script>") == 1
    assert "<img" in page(report)


def test_what_names_bring_is_text_and_no_html(slow: Comparison) -> None:
    new = slow.new.model_copy(update={"label": "<script>alert(1)</script>"})
    assert "<script>alert" not in page(slow.model_copy(update={"new": new}))


def test_noise_is_left_out(report: Report) -> None:
    for text in (page(report), markdown(report)):
        assert "harness · null" not in text
        assert "precision f32" not in text
    assert "Measuring itself costs" in markdown(report)


def test_verdict_labels_and_what_is_not_judged_stand_before_the_tables(slow: Comparison) -> None:
    for text in (page(slow), markdown(slow)):
        assert "my-branch against main" in text
        assert text.index("worse: +20.0 %") < text.index("latency p50") or "latency p50" in text
        assert "how steady a video is" in text
    html = page(slow)
    assert html.index("What this verdict says nothing about") < html.index(
        "What the verdict rests on"
    )
    assert "do not count" in html
    table = re.findall(r"<th scope=\"col\">(.*?)</th>", html)
    assert table[:4] == ["figure", "verdict", "worse by", "new"]


def test_a_page_without_pictures_has_no_empty_sections(slow: Comparison) -> None:
    bare = slow.model_copy(update={"gallery": (), "runs": ()})
    assert "Pictures" not in heads(page(bare))


def test_junit_has_a_case_for_each_gated_figure(slow: Comparison) -> None:
    root = ElementTree.fromstring(junit(slow))
    assert int(root.get("tests", "0")) == len(slow.gated)
    assert int(root.get("failures", "0")) == sum(one.verdict == "FAIL" for one in slow.gated)
    assert root.findall(".//failure")


def test_a_gate_of_bench_gives_junit_and_annotations_too(report: Report, tmp_path: Path) -> None:
    names = {path.name for path in write_forms(report, tmp_path)}
    assert {"junit.xml", "annotations.txt", "report.html", "report.md", "report.json"} <= names
    root = ElementTree.parse(tmp_path / "junit.xml").getroot()
    judged = [one for drift in report.drifts for one in drift.checks if one.verdict]
    assert int(root.get("tests", "-1")) == len(judged)
    bad = [one for one in judged if one.verdict != "PASS"]
    assert len((tmp_path / "annotations.txt").read_text().splitlines()) == min(len(bad), 20)


def test_annotations_are_ten_of_a_kind_at_most() -> None:
    lines = list(
        workflow_commands([check("FAIL", f"b{n}") for n in range(14)] + [check("INCONCLUSIVE")])
    )
    assert sum(line.startswith("::error") for line in lines) == 10
    assert "5 more" in lines[9]
    assert lines[10].startswith("::warning title=open%3A onnxruntime")
    assert "+20.0 %25" in lines[0]


def test_what_a_dashboard_takes_is_plottable(report: Report, slow: Comparison) -> None:
    for document in (report, slow):
        made = {name: json.loads(text) for name, text in dashboards(document).items()}
        for name in ("github-smaller-is-better.json", "github-bigger-is-better.json"):
            assert all(one["value"] > 0 for one in made[name])


def test_throughput_is_what_a_throughput_scenario_measured(report: Report) -> None:
    assert not any(one.metric == "throughput" for one in report.figures())


def test_what_is_written_obeys_its_schema(slow: Comparison) -> None:
    record = json.loads(forms(slow)["comparison.json"])
    Draft202012Validator(document_schema(Comparison, written=True)).validate(record)
    assert [row["metric"] for row in csv.DictReader(forms(slow)["rows.csv"].splitlines())] == [
        one.metric for one in slow.checks
    ]


def test_a_refusal_is_an_error_of_junit_and_names_the_fields(slow: Comparison) -> None:
    refused = slow.model_copy(
        update={"verdict": "NOT COMPARABLE", "differing": {"machine.cpu": ("a", "b")}, "checks": ()}
    )
    root = ElementTree.fromstring(junit(refused))
    assert root.get("errors") == "1"
    assert "machine.cpu" in junit(refused)
    assert "<td>a</td>" in page(refused)
