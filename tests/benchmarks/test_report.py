"""A report has a versioned schema, and says itself when it should be doubted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, validate
from pydantic import ValidationError

from stylepress.benchmarks.machine.watch import Event, Validity
from stylepress.benchmarks.part import json_text, read_json, write_text
from stylepress.benchmarks.report import Report
from stylepress.benchmarks.show.files import markdown as summary
from stylepress.benchmarks.show.files import page
from stylepress.document import document_schema
from stylepress.errors import ArtifactError

NEW = ("validity", "scenes", "starts", "drifts")


@pytest.fixture
def written(report: Report, tmp_path: Path) -> Path:
    write_text(tmp_path / "report.json", json_text(report))
    return tmp_path / "report.json"


def edited(path: Path, **values: object) -> Path:
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**record, **values}), encoding="utf-8")
    return path


def test_the_schema_is_draft_2020_12_and_names_every_part_that_is_written(
    written: Path,
) -> None:
    schema = document_schema(Report, written=True)
    assert schema["$schema"].endswith("2020-12/schema")
    keys = set(json.loads(written.read_text(encoding="utf-8")))
    assert keys == set(schema["properties"]) - {"gallery"}
    assert schema["properties"]["schema_version"]["const"] == 6


def test_what_is_written_obeys_its_schema(written: Path) -> None:
    schema = document_schema(Report, written=True)
    Draft202012Validator.check_schema(schema)
    record = json.loads(written.read_text(encoding="utf-8"))
    validate(record, schema, Draft202012Validator)
    for broken in ({**record, "surprise": 1}, {**record, "models": "none"}):
        assert not Draft202012Validator(schema).is_valid(broken)


def test_pictures_are_not_in_the_file(report: Report, written: Path) -> None:
    assert report.gallery
    assert "gallery" not in json.loads(written.read_text(encoding="utf-8"))
    assert read_json(written, Report).gallery == ()


def test_another_schema_version_is_refused_with_the_mend(written: Path) -> None:
    with pytest.raises(
        ArtifactError, match=r"schema_version.*Write it again with `stylepress bench"
    ):
        read_json(edited(written, schema_version=2), Report)


def test_what_nobody_measured_is_not_shown(written: Path) -> None:
    record = json.loads(written.read_text(encoding="utf-8"))
    for name in NEW:
        del record[name]
    written.write_text(json.dumps(record), encoding="utf-8")
    bare = read_json(written, Report)
    assert (bare.validity, bare.scenes, bare.starts) == (None, (), ())
    for text in (page(bare), summary(bare)):
        assert "What compression lost" not in text
        assert "How fast, and how small?" in text


def test_an_unknown_key_is_refused_and_named(written: Path) -> None:
    with pytest.raises(ArtifactError, match="surprise"):
        read_json(edited(written, surprise=1), Report)


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense", '{"schema_version": 1}'])
def test_what_is_no_report_is_refused_with_the_mend(tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError, match="stylepress bench"):
        read_json(path, Report)


def test_a_missing_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_json(tmp_path / "none.json", Report)


def test_nothing_in_a_report_can_be_changed(report: Report) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        report.tool = "another"


def test_a_busy_machine_and_unsteady_rounds_are_doubted(report: Report) -> None:
    calm = report.machine.model_copy(update={"load_average": 0.0, "cores": 2})
    busy = report.machine.model_copy(update={"load_average": 3.0, "cores": 2})
    steady = report.latencies[0].model_copy(
        update={"rounds_ms": ((1.0,), (1.0,), (1.1,), (1.0,)), "median_ms": 1.0}
    )
    wild = steady.model_copy(update={"rounds_ms": ((1.0,), (2.0,), (1.0,), (2.0,))})

    unwatched = report.model_copy(update={"validity": None, "scenes": ()})

    def doubts(machine: object, latency: object) -> list[str]:
        return unwatched.model_copy(update={"machine": machine, "latencies": (latency,)}).doubts()

    assert doubts(calm, steady) == []
    assert "load average 3.0" in doubts(busy, steady)[0]
    assert "unstable" in doubts(calm, wild)[0]


def test_what_the_machine_did_meanwhile_is_doubted_and_only_that_which_spoils(
    report: Report,
) -> None:
    events = (
        Event(kind="throttled", what="heat slowed the processor down 3 times"),
        Event(kind="power capped", what="gpu0 met its limit", invalidates=False),
    )
    spoiled = Validity(ok=False, events=events, samples=9)
    scene = report.scenes[0].model_copy(update={"doubts": spoiled.reasons})
    found = report.model_copy(update={"validity": spoiled, "scenes": (scene,)}).doubts()
    assert "heat slowed the processor down 3 times" in found
    assert any(each.startswith(f"{scene.title} does not count: ") for each in found)
    assert not any("met its limit" in doubt for doubt in found)


def test_a_percentile_that_is_missing_says_what_it_needs(report: Report) -> None:
    one = report.latencies[0].model_copy(update={"rounds_ms": ((1.0,) * 63,)})
    assert (one.at(0.9).new, one.at(0.9).note) == (None, "none: 63 of 64 samples")
