"""The layers that an engine really runs: named as in the network, in the precision they run in."""

from __future__ import annotations

from pathlib import Path

import pytest

from stylepress.errors import BackendError
from stylepress.export.fit.latency import random_bundle
from stylepress.export.frame_graph import FrameGraph, ImageRange
from stylepress.export.int8.quantize import quantize_int8
from stylepress.export.int8.sensitivity import saved_by_int8
from stylepress.export.layer_times import network_times
from stylepress.export.onnx_file import onnx_model
from stylepress.inspection import on_engine
from stylepress.progress import Silent
from stylepress.runtime.backends import EngineOptions, obstacle
from stylepress.runtime.bundle import read_bundle
from stylepress.runtime.layers import by_node, layers_of, summary
from stylepress.steps import QuantizeStep
from stylepress.train.patterns import draw
from stylepress.train.student import IMAGE, FoldedStudent, StudentSize

SIZE = StudentSize(width=16, blocks=0, half=16)
CONVOLUTIONS = ["stem.0", "stem.2", "decoder.0", "decoder.3"]


def test_openvino_says_that_each_convolution_runs_in_int8(tmp_path: Path) -> None:
    if reason := obstacle("openvino"):
        pytest.skip(reason)
    bundle = read_bundle(random_bundle(SIZE, "int8", tmp_path / "bundle").folder)
    layers = layers_of(bundle, "openvino", options=EngineOptions(size=(64, 64)))
    found = by_node(layers, CONVOLUTIONS)
    assert sorted(found) == sorted(CONVOLUTIONS)
    assert all(layer.int8 and layer.time_us > 0 for layer in found.values())
    assert summary(layers).startswith("4 of 4 convolutions run in INT8")


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_what_int8_saves_is_told_by_the_names_of_the_network(engine: str) -> None:
    if reason := obstacle(engine):
        pytest.skip(reason)
    graph = FrameGraph(FoldedStudent(SIZE).eval(), ImageRange.of(IMAGE))
    model = onnx_model(graph)
    picture = draw("glass", seed=1, size=128)[None]
    options = QuantizeStep(keep_float="none")
    int8 = quantize_int8(model, [picture], options=options, progress=Silent())
    saved = saved_by_int8(model, int8, graph.ports, engine)
    assert sorted(saved) == sorted(CONVOLUTIONS)
    assert all(ms >= 0 for ms in saved.values())
    assert min(network_times(graph.network, IMAGE, engine).values()) > 0


def test_inspecting_on_an_engine_lists_rows_and_sums_them_up(tmp_path: Path) -> None:
    folder = random_bundle(SIZE, "fp32", tmp_path / "bundle").folder
    facts, rows = on_engine(folder, "onnxruntime")
    assert facts["summary"].startswith("0 of 4 convolutions run in INT8")
    assert len(rows) >= 4
    with pytest.raises(BackendError, match="does not tell what each layer takes"):
        on_engine(folder, "null")
