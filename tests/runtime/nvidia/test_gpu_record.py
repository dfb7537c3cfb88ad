"""The record of a real GPU that the documents quote was not altered, and they quote it as it is."""

import json
from pathlib import Path

import pytest

from tests.gpu_record import digest, keep

DOCS = Path(__file__).parents[3] / "docs"
RECORD = json.loads((DOCS / "gpu-h200.json").read_text(encoding="utf-8"))
ROWS = {
    "one by one, bytes in and out": "fps_batch_1",
    "eight at once, bytes in and out": "fps_batch_8",
    "one by one, without copies": "fps_batch_1_without_copies",
    "eight at once, without copies": "fps_batch_8_without_copies",
}


def test_no_value_of_the_record_was_altered() -> None:
    for entry in RECORD:
        values = {name: value for name, value in entry.items() if name != "sha256"}
        assert digest(values) == entry["sha256"]


def test_the_document_quotes_the_record() -> None:
    text = (DOCS / "gpu.md").read_text(encoding="utf-8")
    for title, name in ROWS.items():
        cells = " | ".join(f"{entry['speeds'][name]:.0f}" for entry in RECORD)
        assert f"| {title} | {cells} |" in text


def test_a_record_is_added_to_those_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYLEPRESS_GPU_RECORD", str(tmp_path / "gpu.json"))
    for number in range(2):
        keep({"test": "any", "value": number})
    kept = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert [entry["value"] for entry in kept] == [0, 1]
    assert kept[0]["sha256"] == digest({"test": "any", "value": 0})
