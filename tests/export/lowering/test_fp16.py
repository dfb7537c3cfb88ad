"""FP16: half the bytes between first and last convolution, islands where it cannot hold."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from stylepress.export.lowering.fp16 import to_fp16
from stylepress.export.onnx_file import serialized
from stylepress.export.verify import compare
from tests.export.lowering.graphs import Array


def types(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    known = {value.name: value.type.tensor_type.elem_type for value in inferred.value_info}
    return known | {tensor.name: tensor.data_type for tensor in inferred.initializer}


def test_every_weight_is_fp16_and_the_ends_are_not(
    model: onnx.ModelProto, photos: list[Array]
) -> None:
    half = to_fp16(model)
    kinds = types(half)
    for node in half.graph.node:
        if node.op_type == "Conv":
            assert {kinds[name] for name in node.input} == {TensorProto.FLOAT16}
        if node.op_type == "Round":
            assert kinds[node.output[0]] == TensorProto.FLOAT
    assert compare(serialized(model), serialized(half), photos).psnr_db > 55


def test_an_island_keeps_fp32_between_two_casts(
    small_teacher_model: onnx.ModelProto, photos: list[Array]
) -> None:
    model = small_teacher_model
    norms = [node.name for node in model.graph.node if node.op_type == "InstanceNormalization"]
    half = to_fp16(model, islands=norms)
    kinds = types(half)
    for node in half.graph.node:
        if node.name in norms:
            assert {kinds[name] for name in node.input} == {TensorProto.FLOAT}
    assert compare(serialized(model), serialized(half), photos[:1]).psnr_db > 45


def test_a_node_with_a_constant_beyond_fp16_stays_fp32(model: onnx.ModelProto) -> None:
    loud = onnx.ModelProto()
    loud.CopyFrom(model)
    conv = [node for node in loud.graph.node if node.op_type == "Conv"][2]
    (weight,) = (t for t in loud.graph.initializer if t.name == conv.input[1])
    value = numpy_helper.to_array(weight).copy()
    value.flat[0] = 1e6
    weight.CopyFrom(numpy_helper.from_array(value, weight.name))
    kinds = types(to_fp16(loud))
    assert kinds[conv.input[1]] == TensorProto.FLOAT


def test_a_graph_with_q_and_dq_is_left_as_it_is(int8: onnx.ModelProto) -> None:
    assert to_fp16(int8) is int8


def test_the_bytes_are_halved(model: onnx.ModelProto) -> None:
    assert len(serialized(to_fp16(model))) < 0.6 * len(serialized(model))
    assert np.float16(65504) < np.inf
