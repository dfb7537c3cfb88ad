"""Small ONNX graphs for the lowering tests, one operator or two each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]


def graph_of(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, Array],
    *,
    opset: int = 18,
    shape: Sequence[int | str] = ("batch", 4, "height", "width"),
    out: Sequence[int | str] | None = None,
) -> onnx.ModelProto:
    """A graph from float ``x`` to float ``y``."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out or ["a", "b", "c", "d"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8 if opset < 21 else 10
    )


def run(model: onnx.ModelProto, **feeds: Array) -> list[Array]:
    """What ONNX Runtime makes of it."""
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    results: list[Array] = session.run(None, feeds)
    return results


def picture(*shape: int) -> Array:
    """Random float32 values."""
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)
