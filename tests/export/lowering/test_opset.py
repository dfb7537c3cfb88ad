"""Older opsets: the same numbers, bit for bit, or the node that has no older form."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from stylepress.errors import ExportError
from stylepress.export.lowering.opset import to_opset
from stylepress.export.onnx_file import serialized
from stylepress.export.verify import OnnxFrames
from tests.export.lowering.graphs import Array, graph_of, picture, run


@pytest.mark.parametrize("opset", [17, 13])
def test_a_frame_graph_draws_the_same_pixels_in_an_older_opset(
    model: onnx.ModelProto, photos: list[Array], opset: int
) -> None:
    older = to_opset(model, opset)
    onnx.checker.check_model(older, full_check=True)
    assert older.opset_import[0].version == opset
    before, after = OnnxFrames(serialized(model)), OnnxFrames(serialized(older))
    assert all(np.array_equal(before(photo), after(photo)) for photo in photos)


CASES: dict[str, tuple[list[onnx.NodeProto], dict[str, Array]]] = {
    "mean over axes that were an input": (
        [helper.make_node("ReduceMean", ["x", "axes"], ["y"], "mean", keepdims=1)],
        {"axes": np.array([2, 3], np.int64)},
    ),
    "pad of two axes only": (
        [helper.make_node("Pad", ["x", "pads", "", "axes"], ["y"], "pad", mode="reflect")],
        {"pads": np.array([1, 2, 3, 1], np.int64), "axes": np.array([2, 3], np.int64)},
    ),
    "resize with attributes that say nothing": (
        [
            helper.make_node(
                "Resize", ["x", "", "scales"], ["y"], "up", mode="nearest", antialias=0,
                coordinate_transformation_mode="asymmetric", nearest_mode="floor",
            )
        ],
        {"scales": np.array([1, 1, 2, 2], np.float32)},
    ),
    "split into equal parts": (
        [
            helper.make_node("Split", ["x"], ["p", "q"], "split", axis=1, num_outputs=2),
            helper.make_node("Sub", ["p", "q"], ["y"]),
        ],
        {},
    ),
    "a part of the shape": (
        [
            helper.make_node("Shape", ["x"], ["s"], "shape", start=2, end=4),
            helper.make_node("Cast", ["s"], ["f"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Reshape", ["f", "four"], ["y"]),
        ],
        {"four": np.array([1, 1, 1, 2], np.int64)},
    ),
    "mish": ([helper.make_node("Mish", ["x"], ["y"], "mish")], {}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_newer_form_is_said_in_the_old_words_bit_for_bit(case: str) -> None:
    nodes, constants = CASES[case]
    model, x = graph_of(nodes, constants), picture(1, 4, 8, 10)
    older = to_opset(model, 13)
    onnx.checker.check_model(older, full_check=True)
    np.testing.assert_array_equal(run(model, x=x)[0], run(older, x=x)[0])


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (
            helper.make_node("Resize", ["x", "", "s"], ["y"], "up", mode="linear", antialias=1),
            "antialias",
        ),
        (helper.make_node("ReduceMean", ["x", "computed"], ["y"], "mean"), "computed"),
        (helper.make_node("GridSample", ["x", "computed"], ["y"], "grid"), "newer operator"),
    ],
)
def test_what_has_no_older_form_is_refused_by_name(node: onnx.NodeProto, why: str) -> None:
    constants = {"s": np.array([1, 1, 2, 2], np.float32)}
    shape = helper.make_node("Shape", ["x"], ["computed"])
    with pytest.raises(ExportError, match=rf"{node.op_type} '{node.name}' has no form.*{why}"):
        to_opset(graph_of([shape, node], constants), 13)


def test_a_graph_that_is_old_enough_is_left_alone(model: onnx.ModelProto) -> None:
    assert to_opset(model, 21) is model
