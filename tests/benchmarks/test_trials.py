"""What cannot be measured is told with the reason, and loses nothing that can."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stylepress.benchmarks.machine.watch import Watch
from stylepress.benchmarks.timing import roof
from stylepress.benchmarks.timing.roof_graph import Kernel, kernel_bundle
from stylepress.benchmarks.timing.systems import Contender, bundle_model
from stylepress.benchmarks.trials import Entrant, Trials
from stylepress.progress import Silent
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import load_bundle

SIZE = (96, 128)


@pytest.fixture
def trials() -> Iterator[Trials]:
    with Watch() as watch:
        yield Trials(EngineOptions(threads=1, size=SIZE), watch=watch, progress=Silent())


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roof, "SHAPES", ((8, 16),))
    monkeypatch.setattr(roof, "MOVED", (4, 16))


@pytest.mark.usefixtures("small")
def test_a_backend_without_a_roof_does_not_lose_the_others_theirs(
    trials: Trials, tmp_path: Path
) -> None:
    made = trials.roofs(["onnxruntime", "no such", "null"], tmp_path)
    assert [one.backend for one in made] == ["onnxruntime", "null"]
    (skipped,) = trials.skipped
    assert skipped.what == "the roof of no such"
    assert "no backend 'no such'" in skipped.why


def test_a_roof_without_the_package_it_needs_names_the_extra(
    trials: Trials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "stylepress.benchmarks.timing.roof_graph")
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert trials.roofs(["onnxruntime"], tmp_path) == ()
    assert "pip install 'stylepress[export]'" in trials.skipped[0].why


def test_a_process_that_dies_is_skipped_with_what_it_said(trials: Trials, tmp_path: Path) -> None:
    bundle = load_bundle(kernel_bundle(Kernel("multiply", 8, 1), tmp_path / "kernel").folder)
    model = bundle_model(bundle, "bundle", SIZE, "kernel")
    entrant = Entrant(Contender(model, "null", lambda frame: frame, {}), bundle)
    nowhere = {"PYTHONHOME": str(tmp_path)}
    assert list(trials.footprints([entrant], rounds=1, environ=nowhere)) == []
    (skipped,) = trials.skipped
    assert skipped.what == "start and memory of kernel · null"
    assert "ended with 1" in skipped.why
