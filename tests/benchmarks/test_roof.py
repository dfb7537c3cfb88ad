"""The roof is measured in the backends, and engines are told their share of it."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import onnx
import pytest

from stylepress.benchmarks.timing import roof
from stylepress.benchmarks.timing.roof import Peak, Roof, What, measure_roof, share_of_roof
from stylepress.benchmarks.timing.roof_graph import Kernel, Precision, kernel_bundle
from stylepress.export.macs import cost
from stylepress.runtime.backends import EngineOptions, missing, open_engine
from stylepress.runtime.bundle import load_bundle

BACKENDS = [name for name in ("onnxruntime", "openvino") if name not in missing()]
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
KERNELS = [
    *(Kernel("multiply", wide, roof.LAYERS, how) for wide, _ in roof.SHAPES for how in PRECISIONS),
    *(Kernel("move", roof.MOVED[0], layers) for layers in (roof.FEW, roof.MANY)),
]


@pytest.mark.parametrize("kernel", dict.fromkeys(KERNELS), ids=lambda kernel: kernel.name)
def test_every_kernel_of_the_roof_runs_as_a_bundle_and_draws_what_it_was_given(
    kernel: Kernel, tmp_path: Path
) -> None:
    bundle = load_bundle(kernel_bundle(kernel, tmp_path / "kernel").folder)
    frame = np.random.default_rng(1).integers(0, 256, (1, 16, 24, 3), np.uint8)
    for backend in BACKENDS:
        engine = open_engine(bundle, backend, options=EngineOptions(threads=1))
        made, other = engine.run(frame), engine.run(255 - frame)
        engine.close()
        assert made.shape == frame.shape
        assert np.ptp(made) > 64
        assert np.count_nonzero(made != other) > made.size / 2


def test_macs_of_a_kernel_are_those_that_the_graph_counts(tmp_path: Path) -> None:
    kernel = Kernel("multiply", 16, 3)
    model = onnx.load(str(kernel_bundle(kernel, tmp_path / "kernel").path("model.onnx")))
    stem_and_head = 2 * 3 * 16 * 32 * 40
    assert cost(model, 32, 40).macs == kernel.macs(32, 40) + stem_and_head


@pytest.mark.skipif("openvino" not in BACKENDS, reason="openvino is not installed")
def test_int8_kernels_really_run_in_8_bit(tmp_path: Path) -> None:
    kernel = Kernel("multiply", 16, 2, "int8")
    bundle = load_bundle(kernel_bundle(kernel, tmp_path / "kernel").folder)
    options = EngineOptions(size=(32, 32), threads=1)
    engine = open_engine(bundle, "openvino", options=options)
    assert engine.describe()["int8_convolutions"] == 2
    engine.close()


def test_the_peak_is_what_the_clock_and_the_count_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roof, "SHAPES", ((8, 16),))
    monkeypatch.setattr(roof, "MOVED", (4, 16))
    ticks = count()
    made = measure_roof(
        "onnxruntime", tmp_path, threads=1, rounds=2, clock=lambda: float(next(ticks))
    )
    assert made.rate("fp32") == made.rate("int8") == Kernel("multiply", 8, 6).macs(16, 16)
    assert made.rate("copy") is None  # every call took one tick: no layer costs anything
    assert made.engine["backend"] == "onnxruntime"
    assert Roof.model_validate_json(made.model_dump_json()) == made


def test_a_real_roof_has_three_peaks_above_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roof, "SHAPES", ((32, 32),))
    monkeypatch.setattr(roof, "MOVED", (16, 64))
    for backend in BACKENDS:
        made = measure_roof(backend, tmp_path, rounds=3)
        assert [peak.what for peak in made.peaks][:2] == ["fp32", "int8"]
        assert all(peak.rate > 0 for peak in made.peaks)
        assert all(len(peak.samples_ms) == 3 for peak in made.peaks)


def a_roof(backend: str, fp32: float, int8: float) -> Roof:
    rates: tuple[tuple[What, float], ...] = (("fp32", fp32), ("int8", int8))
    peaks = tuple(
        Peak(what=what, unit="MAC/s", rate=rate, kernel="k", samples_ms=(1.0,))
        for what, rate in rates
    )
    return Roof(backend=backend, threads=2, engine={}, peaks=peaks)


def test_an_engine_is_told_its_share_of_its_own_roof_and_of_the_best() -> None:
    roofs = [a_roof("slow", 1e9, 2e9), a_roof("fast", 4e9, 8e9)]
    share = share_of_roof(roofs, backend="slow", precision="int8", macs=1_000_000, latency_ms=1)
    assert (share.macs_s, share.own, share.best) == (1e9, 0.5, 0.125)
    share = share_of_roof(roofs, backend="slow", precision="fp32", macs=1_000_000, latency_ms=2)
    assert (share.own, share.best) == (0.5, 0.125)


def test_without_a_roof_there_is_no_share_of_it() -> None:
    share = share_of_roof([], backend="a", precision="fp32", macs=1, latency_ms=1)
    assert (share.own, share.best) == (None, None)
