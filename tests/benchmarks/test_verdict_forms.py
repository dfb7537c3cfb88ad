"""Each form says what the comparison says, within the limits of those who read it."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylepress.benchmarks.quality.result import TITLES
from stylepress.benchmarks.machine.record import record_machine
from stylepress.benchmarks.machine.timeline import Curves
from stylepress.benchmarks.report import Report, Shown
from stylepress.benchmarks.verdict.comparison import (
    Comparison,
    Judgement,
    Pictured,
    Run,
    Settings,
    Side,
)
from stylepress.benchmarks.verdict.forms.exports import (
    append_history,
    bencher,
    csv_rows,
    github_action_benchmark,
    json_lines,
)
from stylepress.benchmarks.verdict.forms.folder import forms, write_comparison
from stylepress.benchmarks.verdict.forms.glossary import meanings
from stylepress.benchmarks.verdict.forms.junit import junit
from stylepress.benchmarks.verdict.forms.markdown import cut, job_summary, workflow_commands
from stylepress.benchmarks.verdict.forms.page import comparison_page
from stylepress.benchmarks.verdict.forms.plots import beside
from stylepress.benchmarks.verdict.judgements import reasons_of
from stylepress.benchmarks.verdict.measures import MEASURES
from stylepress.errors import OutputError

BASE = Side(name="candy <1>", digest="a" * 64, precision="int8", size_bytes=474_000)
FIGURE: dict[str, Any] = {
    "kind": "paired", "worse": 1.1, "low": 1.05, "high": 1.2, "confidence": 0.95, "gated": True,
    "pairs": 6, "p_holm": 0.01, "delta": 0.05, "floor": 0.01,
}  # fmt: skip


def figure(metric: str, verdict: str | None, **changes: Any) -> Judgement:
    values: dict[str, Any] = {
        "subject": "openvino", "metric": metric, "unit": "ms", "base": 10.0, "new": 11.0,
        "verdict": verdict, "values": tuple((10.0, 11.0 + n / 10) for n in range(6)), **FIGURE,
    }  # fmt: skip
    return Judgement(**{**values, **changes})


def comparison(*judgements: Judgement, verdict: str = "FAIL", **changes: Any) -> Comparison:
    runs = tuple(
        Run(
            part="first", pair=n // 2, place=n, backend="openvino", arm=("base", "new")[n % 2],
            began_s=2.0 * n, ended_s=2.0 * n + 1,
            samples_ns=(10_000_000, 11_000_000, 30_000_000), load_ns=1, first_call_ns=1,
            warm_calls=1, stable=True, peak_rss_bytes=None, missing={"peak_rss_bytes": "none"},
        )
        for n in range(12)
    )  # fmt: skip
    settings = Settings(
        height=64, width=64, threads=1, backends=("openvino",), pairs=6, looks=((6, 0.05),),
        confirm=True, delta=0.05, gated=("p50",), floor_source="assumed", seed=0, min_s=0,
        min_count=3, warm_s=0, warm_count=1, rest_s=0,
    )  # fmt: skip
    values: dict[str, Any] = {
        "tool": "stylepress", "created": "2026-01-02T03:04:05+00:00", "mode": "fresh processes",
        "base": BASE, "new": BASE.model_copy(update={"name": "candy & co"}), "verdict": verdict,
        "reasons": ("it is slower",), "settings": settings, "machine": record_machine(os.environ),
        "judgements": judgements, "runs": runs, **changes,
    }  # fmt: skip
    return Comparison(**values)


@pytest.fixture
def mixed() -> Comparison:
    return comparison(
        figure("latency p50", "FAIL"),
        figure("peak memory", "PASS", unit="MB"),
        figure("load", "INCONCLUSIVE", needed=40),
        figure("throughput", None, unit="frames/s", gated=False, larger_is_worse=False),
        figure("drift", None, gated=False, new=-0.5, unit="", low=None, high=None),
        figure("latency p99", None, gated=False, base=None, new=None, note="n/a"),
    )


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        ({"name": "wood"}, ("candy <1>", "wood")),
        ({"precision": "fp32"}, ("candy <1> int8", "candy <1> fp32")),
        ({"digest": "b" * 64}, ("candy <1> aaaaaaaa", "candy <1> bbbbbbbb")),
        ({}, ("candy <1> aaaaaaaa", "candy <1> aaaaaaaa")),
    ],
)
def test_equal_names_are_told_apart_by_precision_and_else_by_digest(
    changes: dict[str, str], labels: tuple[str, str]
) -> None:
    one = comparison(new=BASE.model_copy(update=changes))
    assert one.labels == labels
    assert f"**FAIL**: {labels[1]} against {labels[0]}\n" in one.summary()


def test_engines_are_told_of_both_arms_where_they_differ() -> None:
    one = comparison(
        engines={"openvino": {"precision": "bf16"}, "onnxruntime": {"threads": 2}},
        new_engines={"openvino": {"precision": "f32"}},
    )
    assert dict(one.told_engines()) == {
        "openvino, base": "precision bf16",
        "openvino, new": "precision f32",
        "onnxruntime": "threads 2",
    }
    assert "- openvino, new: precision f32" in job_summary(one)


def test_junit_has_a_case_a_gated_figure(mixed: Comparison) -> None:
    root = ElementTree.fromstring(junit(mixed))
    counts = [root.get(name) for name in ("tests", "failures", "skipped", "errors")]
    assert counts == ["3", "1", "1", "0"]
    states = {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}
    assert states == {"latency p50": ["failure"], "peak memory": [], "load": ["skipped"]}
    skipped = next(root.iter("skipped")).get("message", "")
    assert skipped.startswith("inconclusive: ")
    told = {each.get("name"): each.get("value") for each in root.iter("property")}
    assert "machine.python" in told
    assert told["new.precision"] == "int8"


def test_junit_tells_what_is_not_comparable_as_an_error() -> None:
    other = comparison(verdict="NOT COMPARABLE", differing={"machine.cpu": ("a", "b\x00")})
    root = ElementTree.fromstring(junit(other))
    assert "machine.cpu" in next(root.iter("error")).get("message", "")


def test_the_two_files_of_github_action_benchmark_have_one_direction_each(
    mixed: Comparison,
) -> None:
    made = {tool: json.loads(text) for tool, text in github_action_benchmark(mixed).items()}
    names = {tool: [entry["name"] for entry in entries] for tool, entries in made.items()}
    assert names["customBiggerIsBetter"] == ["openvino · throughput"]
    assert "openvino · latency p50" in names["customSmallerIsBetter"]
    # It divides by the last value: what is negative or missing would break it.
    assert not {"openvino · drift", "openvino · latency p99"} & set(names["customSmallerIsBetter"])


def test_bencher_gets_nanoseconds_and_bytes_with_bounds(mixed: Comparison) -> None:
    made = json.loads(bencher(mixed))["openvino"]
    assert made["latency-p50"] == pytest.approx(
        {"value": 11e6, "lower_value": 10.5e6, "upper_value": 12e6}
    )
    assert made["peak-memory"]["value"] == 11e6
    assert made["throughput"]["lower_value"] < made["throughput"]["upper_value"] < 10
    assert made["drift"] == {"value": -0.5}


def test_a_report_is_exported_too(report: Report) -> None:
    made = json.loads(bencher(report))
    latency = report.best("dots int8")
    assert latency is not None
    assert made[latency.name]["latency-p50"]["value"] == pytest.approx(1e6 * latency.median_ms)
    bigger = json.loads(github_action_benchmark(report)["customBiggerIsBetter"])
    metrics = {entry["name"].rpartition(" · ")[2] for entry in bigger}
    assert {"psnr", "ssim"} <= metrics
    assert "style distance" not in metrics


def test_rows_are_the_same_as_csv_and_as_json_lines(mixed: Comparison) -> None:
    lines = [json.loads(line) for line in json_lines(mixed).splitlines()]
    table = list(csv.DictReader(io.StringIO(csv_rows(mixed))))
    assert [row["metric"] for row in table] == [line["metric"] for line in lines]
    assert (table[-1]["new"], lines[-1]["new"]) == ("", None)


def test_a_history_grows_by_a_line_and_keeps_its_columns(mixed: Comparison, tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    append_history(mixed, path)
    append_history(mixed, path)
    table = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    assert [row["openvino · latency p50 ratio"] for row in table] == ["1.1", "1.1"]
    with pytest.raises(OutputError, match="other columns"):
        append_history(comparison(figure("another", "PASS")), path)


def test_a_history_without_a_last_line_end_or_of_another_kind_is_not_broken(
    mixed: Comparison, tmp_path: Path
) -> None:
    path = tmp_path / "history.csv"
    assert append_history(mixed, path)
    path.write_text(path.read_text(encoding="utf-8").rstrip("\n"), encoding="utf-8")
    append_history(mixed, path)
    assert len(path.read_text(encoding="utf-8").splitlines()) == 3
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(OutputError, match="Name another"):
        append_history(mixed, path)


def test_a_trend_has_a_history_of_its_latencies_and_what_was_refused_has_none(
    tmp_path: Path,
) -> None:
    one = figure("latency p50", None, kind="trend", gated=False, values=())
    path = tmp_path / "history.csv"
    assert append_history(comparison(one, verdict="TREND", mode="trend"), path)
    assert "openvino · latency p50 ratio" in path.read_text(encoding="utf-8")
    refused = comparison(verdict="NOT COMPARABLE", mode="trend", differing={"machine.cpu": (1, 2)})
    assert not append_history(refused, tmp_path / "none.csv")
    assert not (tmp_path / "none.csv").exists()


def test_a_summary_stays_below_the_limit_and_says_what_was_left_out(mixed: Comparison) -> None:
    many = mixed.model_copy(update={"runs": mixed.runs * 2000})
    text = job_summary(many)
    assert len(text.encode()) <= 900_000
    assert "was left out" in text
    assert text.count("<details>") == text.count("</details>")
    assert "was left out" not in job_summary(mixed)


@pytest.mark.parametrize("limit", [200, 333, 1000])
def test_markdown_is_cut_at_a_line_and_never_inside_a_letter(limit: int) -> None:
    text = "\n".join(f"| ä {number} · |" for number in range(200))
    assert len(cut(text, limit).encode()) <= limit
    assert cut(text, limit).startswith("| ä 0 · |\n")


def test_annotations_are_escaped_and_at_most_ten_of_a_kind() -> None:
    bad = [figure(f"a:b,{number}", "FAIL") for number in range(14)]
    lines = workflow_commands(comparison(*bad, figure("load", "INCONCLUSIVE")))
    errors = [line for line in lines if line.startswith("::error")]
    assert len(errors) == 10
    assert errors[0].startswith("::error title=regression%3A openvino · a%3Ab%2C0::10 ms -> 11 ms")
    assert errors[0].count("%25") == 1
    assert errors[-1].endswith("5 more, see the job summary")
    assert sum(line.startswith("::warning") for line in lines) == 1


def test_the_page_needs_nothing_from_outside_and_escapes_names(mixed: Comparison) -> None:
    text = comparison_page(mixed)
    assert "candy &lt;1&gt;" in text
    assert "candy & co" not in text
    assert "default-src 'none'" in text
    assert not re.search(r"(?:\bsrc|href)=|url\(|@import|https?:", text)
    assert text.count("<circle") >= 2 * 6 + 12
    assert text.count("<polyline") == 2


def test_what_failed_and_what_is_open_is_said_first_and_leads_the_table(
    mixed: Comparison,
) -> None:
    reasons = reasons_of(mixed.judgements)
    text = comparison_page(mixed.model_copy(update={"reasons": (*reasons, "a doubt")}))
    asides = re.findall(r'<aside class="(\w+)"><b>([^<]*)</b><ul><li>([^<]*)', text)
    assert [(look, title.strip(), why[:24]) for look, title, why in asides[:3]] == [
        ("bad", "✗ What failed", "openvino · latency p50 i"),
        ("open", "? What is open", "openvino · load is open:"),
        ("doubt", "And", "a doubt"),
    ]
    assert re.findall(r'<td class="(?:bad|open|good)">([^<]*)', text) == [
        "✗ FAIL", "? INCONCLUSIVE", "✓ PASS",
    ]  # fmt: skip


def test_many_reasons_are_folded(mixed: Comparison) -> None:
    text = comparison_page(mixed.model_copy(update={"reasons": ("it is late",) * 20}))
    assert "<summary>12 more</summary>" in text
    assert text.count("<li>it is late</li>") == 20


def test_every_figure_on_the_page_is_explained(mixed: Comparison) -> None:
    assert [name for name, _ in meanings(mixed.judgements)] == [
        *("latency p50", "latency p99", "throughput", "peak memory", "load")
    ]
    every = {measure.title for measure in MEASURES.values()} | set(TITLES.values())
    spoken = {"score", "levels", "content_drift", "ms_ssim", "golden"}
    for title in every - {TITLES.get(name) for name in spoken}:
        assert list(meanings([figure(f"{title}, mean", None)])), title


@given(st.floats(4, 96), st.floats(4, 96), st.integers(310, 1080))
def test_the_names_of_equal_and_limit_never_meet_each_other_or_a_line(
    one: float, two: float, width: int
) -> None:
    """Letters of 11 pixels are taken as 6.2 wide, as they are in wide fonts."""
    places = sorted((one, two))
    marks = list(zip(beside(*places), places, ("equal", "limit +12.5 %"), strict=True))
    boxes = []
    for where, place, text in marks:
        begin = place / 100 * width + (-5 - 6.2 * len(text) if where.left else 5)
        boxes.append((begin, begin + 6.2 * len(text), where.row))
    assert all(low >= 0 and high <= width for low, high, _ in boxes)
    (low, high, row), (other_low, other_high, other_row) = boxes
    assert row != other_row or high < other_low or other_high < low
    for number, (begin, end, row) in enumerate(boxes):
        where, place, _ = marks[1 - number]
        assert where.row > row or not begin <= place / 100 * width <= end


def test_the_page_is_well_formed(mixed: Comparison) -> None:
    body = comparison_page(with_pictures(mixed)).partition("<body>")[2].partition("</body>")[0]
    closed = re.sub(r"(<img[^>]*)>", r"\1/>", body)
    ElementTree.fromstring(f"<body>{closed}</body>")


def with_pictures(one: Comparison) -> Comparison:
    pictured = tuple(
        Pictured(
            name,
            level,
            (
                Shown(name, "content", "photo", b"jpeg", 8, 8),
                Shown(name, "difference", "8 x |new - base|", b"jpeg", 8, 8),
            ),
        )
        for name, level in (("hill <1>", 21.25), ("lake", math.inf))
    )
    return one.model_copy(update={"gallery": pictured})


def test_pictures_are_shown_in_their_order_with_the_psnr_and_the_factor(mixed: Comparison) -> None:
    text = comparison_page(with_pictures(mixed))
    heads = re.findall(r"<h3>((?:hill|lake)[^<]*)</h3>", text)
    assert heads == ["hill &lt;1&gt;: PSNR 21.2 dB", "lake: equal"]
    assert text.count('src="data:image/jpeg;base64,') == 4
    assert text.count("<figcaption>8 x |new - base|</figcaption>") == 2


def test_runs_and_sensors_are_drawn_over_one_time_and_what_does_not_count_is_marked(
    mixed: Comparison,
) -> None:
    reason = "the clock was <throttled>"
    runs = tuple(
        run.model_copy(update={"invalid": (reason,)}) if run.pair == 1 else run
        for run in mixed.runs
    )
    curves = Curves(
        at_s=(0.0, 11.5, 23.0),
        values={"clock.0_mhz": (3000.0, None, 2900.0), "load.others": (None, 0.1, 0.2)},
    )
    text = comparison_page(mixed.model_copy(update={"runs": runs, "curves": curves}))
    marked = {
        look: [float(x) for x in re.findall(rf'<rect class="{look}" x="([\d.]+)%', text)]
        for look in ("base", "new", "void", "shade")
    }
    assert {look: len(places) for look, places in marked.items()} == {
        "base": 5, "new": 5, "void": 2, "shade": 2 * 3,
    }  # fmt: skip
    assert marked["base"][0] == 1
    assert marked["void"] == marked["shade"][:2]
    assert "2 runs: the clock was &lt;throttled&gt;" in text
    assert "2900 to 3000 MHz" in text


def test_a_page_of_runs_without_times_has_no_timeline(mixed: Comparison) -> None:
    bare = tuple(run.model_copy(update={"began_s": None}) for run in mixed.runs)
    text = comparison_page(mixed.model_copy(update={"runs": bare}))
    assert "The session over time" not in text


def test_what_is_not_comparable_has_a_page_that_names_the_fields() -> None:
    other = comparison(
        verdict="NOT COMPARABLE", differing={"machine.cpu": ("a", "b")}, runs=(), settings=None
    )
    assert "machine.cpu" in comparison_page(other)


def test_every_form_is_written_into_one_folder(mixed: Comparison, tmp_path: Path) -> None:
    made = write_comparison(mixed, tmp_path / "out")
    assert {path.name for path in made} == set(forms(mixed))
    assert all(path.is_file() for path in made)
