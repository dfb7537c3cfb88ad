"""The variant for NVDLA: the same inside, zeros at the border, norms frozen where they were seen."""

from __future__ import annotations

import numpy as np
from onnx import helper

from stylepress.export.lowering.dla import Moments, folded_norms, zero_padded
from tests.export.lowering.graphs import graph_of, picture, run

WEIGHT = picture(4, 4, 3, 3)


def test_only_the_border_changes_with_zero_padding() -> None:
    pads = np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["p"], "pad", mode="reflect"),
        helper.make_node("Conv", ["p", "w"], ["y"], "conv", kernel_shape=[3, 3]),
    ]
    model, x = graph_of(nodes, {"pads": pads, "w": WEIGHT}), picture(1, 4, 9, 7)
    zeros = zero_padded(model)
    assert [node.op_type for node in zeros.graph.node] == ["Conv"]
    before, after = run(model, x=x)[0], run(zeros, x=x)[0]
    np.testing.assert_array_equal(before[:, :, 1:-1, 1:-1], after[:, :, 1:-1, 1:-1])
    assert not np.array_equal(before, after)


def test_a_norm_folded_with_the_moments_of_a_picture_gives_that_picture() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv", kernel_shape=[3, 3]),
        helper.make_node("InstanceNormalization", ["c", "a", "b"], ["n"], "norm"),
        helper.make_node("Relu", ["n"], ["y"]),
    ]
    constants = {"w": WEIGHT, "a": np.arange(1, 5, dtype=np.float32), "b": np.ones(4, np.float32)}
    model, x = graph_of(nodes, constants), picture(1, 4, 9, 7)
    bare = graph_of([helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3])], constants)
    inner = run(bare, x=x)[0].astype(np.float64)
    moments = Moments(inner.mean(axis=(0, 2, 3)), inner.var(axis=(0, 2, 3)))
    folded = folded_norms(model, {"c": moments})
    assert [node.op_type for node in folded.graph.node] == ["Conv", "Relu"]
    np.testing.assert_allclose(run(model, x=x)[0], run(folded, x=x)[0], atol=1e-4)


def test_a_norm_whose_moments_were_not_seen_stays() -> None:
    norm = helper.make_node("InstanceNormalization", ["x", "a", "a"], ["y"], "norm")
    model = graph_of([norm], {"a": np.ones(4, np.float32)})
    assert folded_norms(model, {}).graph.node[0].op_type == "InstanceNormalization"
