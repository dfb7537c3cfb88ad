"""Reordered shuffles: bit for bit the same function, and left alone where they must be."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnxruntime  # type: ignore[import-untyped]
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from stylepress.export.shuffle import in_memory_order


def graph(body: str, outputs: str = "float[n,c,h,w] y") -> onnx.ModelProto:
    made = onnx.parser.parse_model(f"""
        <ir_version: 8, opset_import: ["": 18]>
        graph (float[1,4,5,7] x) => ({outputs}) <float[18,4,3,3] w, float[18] b> {{ {body} }}
    """)
    for port in made.graph.value_info:
        dims = [dim.dim_value for dim in port.type.tensor_type.shape.dim]
        value = np.random.default_rng(len(dims)).normal(size=dims).astype(np.float32)
        made.graph.initializer.append(numpy_helper.from_array(value, port.name))
    del made.graph.value_info[:]
    return made


def results(model: onnx.ModelProto) -> list[NDArray[np.float32]]:
    x = np.random.default_rng(0).normal(size=(1, 4, 5, 7)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found: list[NDArray[np.float32]] = session.run(None, {"x": x})
    return found


def mode(model: onnx.ModelProto) -> bytes:
    node = next(node for node in model.graph.node if node.op_type == "DepthToSpace")
    return next(bytes(entry.s) for entry in node.attribute if entry.name == "mode")


CONV = "a = Conv <pads=[1,1,1,1]> (x, w, b)"
SHUFFLE = 'DepthToSpace <blocksize=3, mode="CRD">'


@pytest.mark.parametrize(
    "body", [f"{CONV} y = {SHUFFLE} (a)", f"{CONV} r = Relu(a) y = {SHUFFLE} (r)"]
)
def test_the_reordered_graph_gives_the_same_bits(body: str) -> None:
    before = graph(body)
    after = in_memory_order(before)
    assert (mode(before), mode(after)) == (b"CRD", b"DCR")
    assert np.array_equal(results(before)[0], results(after)[0])


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        (f"{CONV} y = {SHUFFLE} (a)", "float[n,c,h,w] y, float[1,18,5,7] a"),
        (f"{CONV} s = {SHUFFLE} (a) p = AveragePool <kernel_shape=[3,3]> (a) y = Add(s, s)", ""),
        (f"{CONV} k = Concat <axis=1> (a, a) y = {SHUFFLE} (k)", ""),
    ],
    ids=["seen outside", "read twice", "no convolution"],
)
def test_a_shuffle_is_left_alone_where_others_read_its_source(body: str, outputs: str) -> None:
    before = graph(body, outputs or "float[n,c,h,w] y")
    after = in_memory_order(before)
    assert mode(after) == b"CRD"
    assert all(map(np.array_equal, results(before), results(after)))


def test_the_students_shuffles_are_in_memory_order(model: onnx.ModelProto) -> None:
    modes = [
        bytes(entry.s)
        for node in model.graph.node
        if node.op_type == "DepthToSpace"
        for entry in node.attribute
        if entry.name == "mode"
    ]
    assert modes == [b"DCR", b"DCR"]
