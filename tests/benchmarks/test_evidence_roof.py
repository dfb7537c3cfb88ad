"""The roof is measured in the backends, and the student is told its share of it."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import count
from pathlib import Path

import numpy as np
import onnx
import pytest

from stylepress.benchmarks.evidence import roof
from stylepress.benchmarks.evidence.roof import Kernel, kernel_bundle, peak_rows, roof_rows
from stylepress.benchmarks.evidence.setting import Setting, shipped
from stylepress.export.macs import cost
from stylepress.progress import Silent
from stylepress.runtime.backends import EngineOptions, missing, open_engine
from stylepress.runtime.bundle import read_bundle

BACKENDS = [name for name in ("onnxruntime", "openvino") if name not in missing()]


@pytest.fixture
def setting(recipes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    """One with kernels so small that they take no time."""
    monkeypatch.setattr(roof, "SHAPES", ((8, 16),))
    monkeypatch.setattr(roof, "MOVED", (4, 16))
    return Setting(shipped(recipes), recipes, tmp_path, Silent())


@pytest.mark.parametrize(
    "kernel",
    [Kernel("multiply", 8, 2), Kernel("multiply", 8, 2, "int8"), Kernel("move", 8, 2)],
    ids=lambda kernel: kernel.name,
)
def test_a_kernel_runs_as_a_bundle_and_draws_what_it_was_given(
    kernel: Kernel, setting: Setting
) -> None:
    bundle = read_bundle(kernel_bundle(kernel, setting.work / "kernel").folder)
    frame = np.random.default_rng(1).integers(0, 256, (1, 16, 24, 3), np.uint8)
    with ExitStack() as stack:
        for backend in BACKENDS:
            run = setting.engine(bundle, (16, 24), stack, backend=backend)
            made, other = run(frame), run(255 - frame)
            assert made.shape == frame.shape
            assert np.ptp(made) > 64
            assert np.count_nonzero(made != other) > made.size / 2


def test_macs_of_a_kernel_are_those_that_the_graph_counts(tmp_path: Path) -> None:
    kernel = Kernel("multiply", 16, 3)
    model = onnx.load(str(kernel_bundle(kernel, tmp_path / "kernel").path("model.onnx")))
    stem_and_head = 2 * 3 * 16 * 32 * 32
    assert cost(model, 32, 32).macs == kernel.macs(32) + stem_and_head


@pytest.mark.skipif("openvino" not in BACKENDS, reason="openvino is not installed")
def test_int8_kernels_really_run_in_8_bit(tmp_path: Path) -> None:
    kernel = Kernel("multiply", 16, 2, "int8")
    bundle = read_bundle(kernel_bundle(kernel, tmp_path / "kernel").folder)
    options = EngineOptions(size=(32, 32), threads=1)
    engine = open_engine(bundle, "openvino", options=options)
    assert engine.describe()["int8_convolutions"] == 2
    engine.close()


def test_the_peak_is_what_the_clock_and_the_count_say(setting: Setting) -> None:
    ticks = count()
    rows = list(peak_rows("onnxruntime", setting, clock=lambda: float(next(ticks))))
    # Every call took one tick: no layer that moves memory costs anything, so that has no row.
    assert [row.value for row in rows] == [Kernel("multiply", 8, 6).macs(16) / 1e9] * 2


def test_the_share_of_the_student_is_told_beside_the_peaks(setting: Setting) -> None:
    rows = [row for row in roof_rows(setting) if row.figure != roof.COPY]
    assert [row.figure for row in rows] == [roof.PEAK, roof.PEAK, roof.SHARE] * len(BACKENDS)
    assert all(row.value > 0 for row in rows)
