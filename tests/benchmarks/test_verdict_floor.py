"""The floor is what equal arms differ by; it belongs to one machine, and is read back strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from stylepress.benchmarks.machine.record import record_machine
from stylepress.benchmarks.report import Report, read_report
from stylepress.benchmarks.report_files import write_json
from stylepress.benchmarks.verdict.comparison import (
    Comparison,
    comparison_schema,
    comparison_text,
)
from stylepress.benchmarks.verdict.floor import (
    Floor,
    FloorEntry,
    check_floor,
    entries_of,
    floor_schema,
    floor_text,
    read_floor,
)
from stylepress.benchmarks.verdict.selftest import selftest
from stylepress.errors import ArtifactError, RecipeError
from stylepress.progress import Silent
from tests.benchmarks.duels import ENVIRON, TINY, Heard, compared, options, run, told


@pytest.fixture(scope="module")
def same(style: Mapping[str, Path]) -> Comparison:
    return compared(style)


def test_documents_obey_their_published_schema(same: Comparison, floor: Floor) -> None:
    for schema, text in (
        (comparison_schema(), comparison_text(same)),
        (floor_schema(), floor_text(floor)),
    ):
        assert schema["$schema"].endswith("2020-12/schema")
        assert schema["properties"]["schema_version"]["const"] == 1
        obeys(json.loads(text), schema, schema["$defs"])
        with pytest.raises(AssertionError, match="surprise"):
            obeys({**json.loads(text), "surprise": 1}, schema, schema["$defs"])


def fits(value: Any, schema: Mapping[str, Any], parts: Mapping[str, Any]) -> bool:
    try:
        obeys(value, schema, parts)
    except AssertionError:
        return False
    return True


def obeys(value: Any, schema: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
    """Check a value against the part of JSON Schema that pydantic writes."""
    if "$ref" in schema:
        return obeys(value, parts[schema["$ref"].rpartition("/")[2]], parts)
    if "anyOf" in schema:
        assert any(fits(value, option, parts) for option in schema["anyOf"]), value
        return None
    if "const" in schema:
        assert value == schema["const"]
    if "enum" in schema:
        assert value in schema["enum"]
    kinds: Mapping[str, Any] = {
        "object": dict, "array": list, "string": str, "integer": int, "number": (int, float),
        "boolean": bool, "null": type(None),
    }  # fmt: skip
    if "type" in schema:
        assert isinstance(value, kinds[schema["type"]]), f"{value!r} is no {schema['type']}"
    if isinstance(value, dict):
        named = schema.get("properties", {})
        assert set(schema.get("required", ())) <= set(value)
        for name, item in value.items():
            extra = schema.get("additionalProperties", True)
            assert name in named or extra is not False, name
            known = named.get(name, extra if isinstance(extra, dict) else {})
            obeys(item, known, parts)
    if isinstance(value, list):
        heads = schema.get("prefixItems", [])
        for index, item in enumerate(value):
            obeys(item, heads[index] if index < len(heads) else schema.get("items", {}), parts)
    return None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 2}', '{"document": []}'])
def test_what_is_no_floor_is_refused_with_the_mend(tmp_path: Path, text: str) -> None:
    path = tmp_path / "some.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError, match="--selftest"):
        read_floor(path)


def test_another_document_is_named_for_what_it_is(
    same: Comparison, floor: Floor, report: Report, tmp_path: Path
) -> None:
    path = tmp_path / "some.json"
    path.write_text(comparison_text(same), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"is a comparison, not a floor\. .*--selftest"):
        read_floor(path)
    with pytest.raises(ArtifactError, match=r"is a comparison, not a report\. .*bench"):
        read_report(path)
    path.write_text(floor_text(floor), encoding="utf-8")
    with pytest.raises(ArtifactError, match="is a floor, not a report"):
        read_report(path)
    write_json(report, path)
    with pytest.raises(ArtifactError, match="is a report, not a floor"):
        read_floor(path)


@pytest.fixture(scope="module")
def floor(style: Mapping[str, Path]) -> Floor:
    return selftest([style["bundle"]], options=options(style), progress=Silent(), ask=told)


def test_the_self_test_measures_the_null_system_and_the_bundle(floor: Floor) -> None:
    assert {(one.model, one.backend) for one in floor.entries} == {
        ("harness", "null"), ("dots", "onnxruntime"),
    }  # fmt: skip
    assert floor.of("onnxruntime", "p50") == pytest.approx(0, abs=1e-6)
    assert len(floor.runs) == 2 * 2 * TINY.pairs
    kept = {run.backend: len(run.samples_ns) for run in floor.runs}
    assert kept == {"null": 0, "onnxruntime": 5}
    assert "| harness · null | latency p50 | 8 |" in floor.summary()


def test_a_self_test_tells_how_long_it_takes_of_all_that_is_measured(
    style: Mapping[str, Path],
) -> None:
    heard, both = Heard(), [style["bundle"], style["student"]]
    found = selftest(both, options=options(style), progress=heard, ask=told)
    assert heard.said[0].startswith("3 backends x 8 pairs x 2 runs: about ")
    assert "up to" not in heard.said[0]
    assert len(found.runs) == 3 * 8 * 2


def entry(ms: Sequence[float], model: str) -> FloorEntry:
    """The floor of p50 of one model whose new arm took these milliseconds, its base one each."""
    runs = [run(n, arm, [taken]) for n, new in enumerate(ms) for arm, taken in pair_of(new)]
    spoiled = run(0, "new", [100], ["it was hot"])
    found = entries_of([*runs, spoiled], model, "onnxruntime")
    return next(one for one in found if one.metric == "p50")


def pair_of(new: float) -> tuple[tuple[str, float], tuple[str, float]]:
    return ("base", 1.0), ("new", new)


def test_a_floor_is_what_arms_differ_by_or_what_cannot_be_told_and_the_worst_model_counts(
    floor: Floor,
) -> None:
    apart = entry([1.03] * 6, "one")
    wide = entry([0.9, 0.95, 0.99, 1.01, 1.05, 1.1], "two")
    assert apart.floor == pytest.approx(0.03)
    assert wide.floor == pytest.approx((wide.high - wide.low) / 2)
    assert wide.floor > abs(wide.ratio - 1)
    both = floor.model_copy(update={"entries": (apart, wide)})
    assert both.of("onnxruntime", "p50") == max(apart.floor, wide.floor)
    assert both.of("openvino", "p50") is None


def test_a_measured_floor_is_used_and_a_foreign_one_refused(
    style: Mapping[str, Path], floor: Floor
) -> None:
    found = compared(style, floor=floor)
    assert found.settings is not None
    assert found.settings.floor_source == "measured"
    moved = floor.model_copy(update={"width": 999})
    with pytest.raises(RecipeError, match=r"width \(999 then, 80 now\)"):
        compared(style, floor=moved)
    other = record_machine(ENVIRON).model_copy(update={"cpu": "another"})
    with pytest.raises(RecipeError, match="cpu"):
        check_floor(floor, other, {})


def test_a_floor_of_longer_runs_does_not_hold_for_shorter_ones(
    style: Mapping[str, Path], floor: Floor
) -> None:
    longer = floor.model_copy(update={"min_s": 5.0})
    with pytest.raises(RecipeError, match=r"min_s \(5.0 then"):
        compared(style, floor=longer)
    machine = record_machine(ENVIRON)
    check_floor(longer, machine, {"min_s": 5.0})
    check_floor(longer, machine, {"min_s": 20.0})


def test_a_limit_that_the_floor_swallows_is_refused_before_anything_runs(
    style: Mapping[str, Path], floor: Floor
) -> None:
    loud = floor.model_copy(
        update={"entries": tuple(x.model_copy(update={"floor": 0.04}) for x in floor.entries)}
    )
    with pytest.raises(RecipeError, match="--delta 8"):
        compared(style, floor=loud)
