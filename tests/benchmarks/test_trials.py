"""What cannot be measured is told with the reason, and loses nothing that can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from stylepress.benchmarks.machine.watch import Watch
from stylepress.benchmarks.timing.systems import Contender, bundle_model
from stylepress.benchmarks.trials import Trials
from stylepress.progress import Silent
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import read_bundle

SIZE = (96, 128)


@pytest.fixture
def trials() -> Iterator[Trials]:
    with Watch() as watch:
        yield Trials(EngineOptions(threads=1, size=SIZE), watch=watch, progress=Silent())


def test_a_process_that_dies_is_skipped_with_what_it_said(
    trials: Trials, style: Mapping[str, Path], tmp_path: Path
) -> None:
    bundle = read_bundle(style["bundle"])
    model = bundle_model(bundle, "bundle", SIZE, "kernel")
    entrant = Contender(model, "null", lambda frame: frame, {}, bundle=bundle)
    nowhere = {"PYTHONHOME": str(tmp_path)}
    assert list(trials.footprints([entrant], rounds=1, environ=nowhere)) == []
    (skipped,) = trials.skipped
    assert skipped.what == "start and memory of kernel · null"
    assert "ended with 1" in skipped.why
