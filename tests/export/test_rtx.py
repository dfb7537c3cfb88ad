"""TensorRT for RTX compiles what is exported, and INT8 is INT8 there."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from stylepress.artifact import Artifact
from stylepress.errors import BackendError
from stylepress.export.int8.quantize import quantize_int8
from stylepress.export.rtx import compile_plan
from stylepress.progress import Silent
from stylepress.runtime.nvidia.order import MOST, shapes_of
from stylepress.steps import QuantizeStep
from stylepress.train.transformer import LEAST_SIDE
from tests.frames import frame_ports

GRAPH = frame_ports()
SHIPPED = sorted((Path(__file__).parents[2] / "recipes").glob("*/bundle"))


def test_without_the_package_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r'pip install "stylepress\[rtx\]"'):
        compile_plan(tmp_path / "model.onnx", GRAPH)


@pytest.fixture
def compiler() -> None:
    pytest.importorskip("tensorrt_rtx", reason="the compiler is not installed: stylepress[rtx]")


@pytest.mark.usefixtures("compiler")
def test_a_float_teacher_compiles_in_float(
    small_teacher_model: onnx.ModelProto, tmp_path: Path
) -> None:
    onnx.save(small_teacher_model, tmp_path / "model.onnx")
    proof = compile_plan(
        tmp_path / "model.onnx",
        frame_ports(least=LEAST_SIDE),
        compute_capability="8.6",
        size=(257, 383),
    )
    assert proof.plan[:4] == b"vtrt"
    assert len(proof.convolutions) == 8
    assert not proof.int8_convolutions
    assert proof.activation_bytes > MOST[0] * MOST[1]
    assert {"UInt8"} == set(proof.layers[-1].outputs)


@pytest.mark.usefixtures("compiler")
def test_every_quantized_convolution_reads_int8_where_the_card_can(
    model: onnx.ModelProto, photos: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    quantized = quantize_int8(model, photos, options=QuantizeStep(), progress=Silent())
    onnx.save(quantized.model, tmp_path / "model.onnx")
    proof = compile_plan(tmp_path / "model.onnx", GRAPH)
    assert len(proof.convolutions) == 6
    assert len(proof.int8_convolutions) == len(quantized.quantized) == 4
    turing = compile_plan(tmp_path / "model.onnx", GRAPH, compute_capability="7.5")
    assert len(turing.convolutions) >= 6
    assert not turing.int8_convolutions


@pytest.mark.usefixtures("compiler")
def test_what_cannot_be_parsed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model at all")
    with pytest.raises(BackendError, match=r"TensorRT for RTX refuses model\.onnx: .+"):
        compile_plan(tmp_path / "model.onnx", GRAPH)


@pytest.mark.usefixtures("compiler")
def test_an_unknown_gpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"capability 8\.7. It knows 7\.5, 8\.0"):
        compile_plan(tmp_path / "model.onnx", GRAPH, compute_capability="8.7")


@pytest.mark.usefixtures("compiler")
def test_a_crash_of_the_compiler_is_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(BackendError, match=r"broke on model\.onnx \(code 1\)"):
        compile_plan(tmp_path / "model.onnx", GRAPH)


@pytest.mark.usefixtures("compiler")
def test_every_shipped_network_compiles_alike_twice_and_its_int8_convolutions_are_int8() -> None:
    networks = {
        tuple(bundle.made_by["int8_layers"]): bundle for bundle in map(Artifact.load, SHIPPED)
    }
    for layers, bundle in networks.items():
        first, second = (
            compile_plan(
                bundle.path("model.onnx"), bundle.graphs["frame"], compute_capability="12.0"
            )
            for _ in range(2)
        )
        assert first.layers == second.layers
        assert first.memory_bytes == second.memory_bytes
        assert first.activation_bytes > first.weight_bytes > 0
        assert len(first.int8_convolutions) >= len(layers)
        assert 0 < len(first.reformats) < len(first.layers)


def test_a_target_of_larger_pictures_than_full_hd_gets_a_plan_for_them() -> None:
    for size in [(512, 512), (2160, 3840), (4000, 500)]:
        least, usual, largest = shapes_of(frame_ports(least=16), size)["frame"]
        assert (least, usual) == ((1, 16, 16, 3), (1, *size, 3))
        assert largest == (1, max(size[0], MOST[0]), max(size[1], MOST[1]), 3)


def test_a_style_ships_at_all() -> None:
    assert SHIPPED
