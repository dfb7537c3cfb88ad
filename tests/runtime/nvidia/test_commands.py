"""`install`, `inspect` and `doctor --deep` as users meet them: sentences, exit codes, records."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest

from stylepress.cli import run
from stylepress.errors import BackendError
from stylepress.runtime.nvidia.driver import probe


def probed() -> bool:
    try:
        probe()
    except BackendError:
        return False
    return True


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYLEPRESS_CACHE", str(tmp_path / "cache"))


def test_install_says_what_is_fastest_and_records_it(
    toy_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "record.json"
    options = ["--size", "48x32", "--backend", "onnxruntime", "--record", str(record)]
    assert run(["install", str(toy_bundle), *options]) == 0
    assert "onnxruntime" in capsys.readouterr().out
    values = json.loads(record.read_text())
    assert values["choice"]["backend"] == "onnxruntime"
    assert values["size"] == [32, 48]
    assert "plan" not in values


def test_a_plan_without_compiler_or_driver_is_bad_input_and_what_is_kept_stays(
    toy_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["install", str(toy_bundle), "--size", "48x32", "--backend", "onnxruntime"]
    assert run(command) == 0
    kept = {path: path.read_bytes() for path in (tmp_path / "cache").rglob("*.json")}
    if probed():
        pytest.skip("a machine with a GPU")
    for compiler in ("tensorrt", "tensorrt_rtx"):
        assert run([*command, "--plan", compiler]) == 2
        said = capsys.readouterr().err
        assert "not installed" in said or "no NVIDIA driver" in said
    assert kept
    assert kept == {path: path.read_bytes() for path in (tmp_path / "cache").rglob("*.json")}


def test_options_of_a_plan_without_one_are_refused(
    toy_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["install", str(toy_bundle), "--mode", "15W"]) == 2
    assert "Add `--plan tensorrt`" in capsys.readouterr().err


def test_inspect_says_who_built_a_plan_and_what_is_not_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tmp_path / "engine.plan"
    plan.write_bytes(b"ftrt" + bytes(20) + bytes((10, 3, 0, 30)) + bytes(36))
    monkeypatch.setattr(metadata, "version", lambda name: "10.16.1.11")
    assert run(["inspect", str(plan), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["built by"] == "10.3.0.30"
    assert "built by TensorRT 10.3.0.30, and this is TensorRT 10.16.1.11" in told["note"]
    assert "compute capability" in told["not known from its header"]

    plan.write_bytes(b"ftrt")
    assert run(["inspect", str(plan)]) == 2


def test_doctor_tries_a_bundle_and_asks_for_the_gpu(
    toy_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", "--deep", str(toy_bundle), "--json"]) == 0
    tried = json.loads(capsys.readouterr().out)["tried"]
    assert tried["onnxruntime"] == ""
    assert "gpu" in tried
