"""Weights of 7 bits: the same pictures but for rounding, and no pair of products leaves 16 bits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from stylepress.export.lowering.sevenbit import PAIR, seven_bit
from stylepress.export.onnx_file import serialized
from stylepress.targets.target import load_target, names

RUN = """
import sys
import numpy as np, openvino as ov
core = ov.Core()
made = core.compile_model(core.read_model(sys.argv[1]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
x = np.full((1, 16, 12, 12), float(sys.argv[2]), np.float32)
print(float(made([x])[0][0, 0, 6, 6]))
"""


def loud(code: int, *, signed: bool = False) -> onnx.ModelProto:
    """One INT8 convolution, all of whose weights have this code, on bytes of either kind."""
    constants = {
        "step": np.float32(1),
        "zero": np.int8(0) if signed else np.uint8(0),
        "codes": np.full((16, 16, 3, 3), code, np.int8),
        "steps": np.full(16, 1 / 127, np.float32),
        "zeros": np.zeros(16, np.int8),
    }
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "step", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["codes", "steps", "zeros"], ["w"], axis=0),
        helper.make_node("Conv", ["d", "w"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    ]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 16, 12, 12]) for name in "xy"
    ]
    tensors = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "loud", ports[:1], ports[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def codes_of(model: onnx.ModelProto) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]]:
    return next(
        array
        for array in map(numpy_helper.to_array, model.graph.initializer)
        if array.dtype == np.int8 and array.ndim == 4
    )


def test_codes_shrink_steps_grow_and_what_is_small_stays() -> None:
    narrow = seven_bit(loud(127))
    codes, old = codes_of(narrow).astype(np.float32), codes_of(loud(127)).astype(np.float32)
    pairs = np.sort(np.abs(codes).reshape(16, -1), axis=1)[:, -2:].sum(1)
    assert pairs.max() <= PAIR
    assert 255 * PAIR < 2**15
    (step,) = {
        float(a[0])
        for a in map(numpy_helper.to_array, narrow.graph.initializer)
        if a.shape == (16,) and a.any()
    }
    assert np.allclose(codes * step, old / 127, atol=step / 2)
    assert serialized(seven_bit(narrow)) == serialized(narrow)


def test_only_processors_with_avx2_and_no_dot_products_ask_for_it() -> None:
    asking = {name for name in names() if load_target(name).saturates}
    assert asking == {"x86-avx2"}
    assert "7 bits" in " ".join(
        load_target("x86-avx2").changes(opset=18, quantized=True, fp16=False)
    )


@pytest.mark.skipif("avx2" not in Path("/proc/cpuinfo").read_text(), reason="no AVX2 here")
@pytest.mark.parametrize(("signed", "level"), [(False, 250), (True, 125)])
def test_with_7_bits_openvino_draws_on_avx2_what_is_meant(
    signed: bool, level: int, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    path = tmp_path / "model.onnx"
    path.write_bytes(serialized(seven_bit(loud(127, signed=signed))))
    ran = subprocess.run(
        [sys.executable, "-c", RUN, str(path), str(level)],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert float(ran.stdout.split()[-1]) == pytest.approx(level * 16 * 9, rel=1e-3)
