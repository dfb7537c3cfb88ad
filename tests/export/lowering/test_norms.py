"""Normalizations: the same function in the form that an engine takes."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from stylepress.errors import ExportError
from stylepress.export.lowering.norms import constant_affine, needs_fp32, prescaled, without_groups
from tests.export.lowering.graphs import graph_of, picture, run

NORM = helper.make_node("InstanceNormalization", ["x", "a", "b"], ["y"], "norm", epsilon=1e-5)
AFFINE = {"a": np.arange(1, 5, dtype=np.float32), "b": np.ones(4, np.float32)}


def test_a_group_norm_becomes_an_instance_norm_over_its_groups() -> None:
    node = helper.make_node("GroupNormalization", ["x", "a", "b"], ["y"], "group", num_groups=2)
    model, x = graph_of([node], AFFINE, opset=21), picture(2, 4, 6, 5)
    lowered = without_groups(model)
    assert {n.op_type for n in lowered.graph.node}.isdisjoint({"GroupNormalization"})
    np.testing.assert_allclose(run(model, x=x)[0], run(lowered, x=x)[0], atol=1e-5)


def test_a_group_norm_of_the_early_form_is_refused() -> None:
    node = helper.make_node("GroupNormalization", ["x", "a", "b"], ["y"], "group", num_groups=2)
    with pytest.raises(ExportError, match=r"'group' has one scale a group"):
        without_groups(graph_of([node], {n: v[:2] for n, v in AFFINE.items()}, opset=18))


def test_a_computed_affine_moves_out_of_the_norm() -> None:
    scale = helper.make_node("Abs", ["a"], ["computed"])
    norm = helper.make_node("InstanceNormalization", ["x", "computed", "b"], ["y"], "norm")
    model, x = graph_of([scale, norm], AFFINE), picture(1, 4, 6, 5)
    lowered = constant_affine(model)
    (inner,) = (n for n in lowered.graph.node if n.op_type == "InstanceNormalization")
    assert set(inner.input[1:]) <= {tensor.name for tensor in lowered.graph.initializer}
    np.testing.assert_allclose(run(model, x=x)[0], run(lowered, x=x)[0], atol=1e-6)


def test_a_loud_norm_is_fed_less_and_gives_the_same() -> None:
    model, x = graph_of([NORM], AFFINE), 30 * picture(1, 4, 6, 5)
    quiet = prescaled(model, {"x": float(np.abs(x).max())})
    assert [n.op_type for n in quiet.graph.node] == ["Mul", "InstanceNormalization"]
    np.testing.assert_allclose(run(model, x=x)[0], run(quiet, x=x)[0], atol=1e-5)


@pytest.mark.parametrize(("size", "named"), [(4.0, []), (100.0, []), (5000.0, ["norm"])])
def test_a_norm_whose_epsilon_would_vanish_stays_in_fp32(size: float, named: list[str]) -> None:
    assert needs_fp32(graph_of([NORM], AFFINE), {"x": size}) == named
