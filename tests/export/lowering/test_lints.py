"""Lints: each rule on a graph that breaks it and on one that keeps it, with the node's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from stylepress.export.lowering.lints import Finding, lint
from stylepress.targets.target import load_target
from tests.export.lowering.graphs import Array, graph_of

ORIN, OLD, DLA = "jetson-orin-nano-8gb@6.2", "jetson-orin-nano-8gb@5.1", "jetson-orin-nx-16gb"
WEIGHT = np.ones((4, 4, 3, 3), np.float32)
node = helper.make_node


def conv(source: str = "x", weight: str = "w", **attributes: Any) -> onnx.NodeProto:
    return node("Conv", [source, weight], ["y"], "conv", kernel_shape=[3, 3], **attributes)


def padded(pixels: int) -> onnx.ModelProto:
    pads = np.array([0, 0, pixels, pixels, 0, 0, pixels, pixels], np.int64)
    nodes = [node("Pad", ["x", "pads"], ["p"], "pad", mode="reflect"), conv("p")]
    return graph_of(nodes, {"pads": pads, "w": WEIGHT}, shape=("batch", 4, "height", "width"))


def unary(kind: str, name: str = "odd", **attributes: Any) -> onnx.ModelProto:
    return graph_of([node(kind, ["x"], ["y"], name, **attributes)], {})


def resized(antialias: int) -> onnx.ModelProto:
    scales = {"s": np.array([1, 1, 2, 2], np.float32)}
    up = node("Resize", ["x", "", "s"], ["y"], "up", mode="linear", antialias=antialias)
    return graph_of([up], scales)


def transposed(strides: int, dilations: int) -> onnx.ModelProto:
    up = node(
        "ConvTranspose", ["x", "w"], ["y"], "up",
        strides=[strides] * 2, dilations=[dilations] * 2,
    )  # fmt: skip
    return graph_of([up], {"w": WEIGHT})


def grouped(opset: int = 21) -> onnx.ModelProto:
    group = node("GroupNormalization", ["x", "a", "a"], ["y"], "group", num_groups=2)
    return graph_of([group], {"a": np.ones(4, np.float32)}, opset=opset)


def norm(*, computed: bool) -> onnx.ModelProto:
    nodes = [node("Abs", ["a"], ["c"])] if computed else []
    nodes += [node("InstanceNormalization", ["x", "c" if computed else "a", "a"], ["y"], "norm")]
    return graph_of(nodes, {"a": np.ones(4, np.float32)})


def rounded(
    *,
    step: Array | float = 0.1,
    zero: Array | None = None,
    weight: Mapping[str, Array] | None = None,
    axis: int = 0,
) -> onnx.ModelProto:
    """A convolution as bundles have it, with what a test changes."""
    zero = np.zeros(np.shape(step), np.int8) if zero is None else zero
    steps = weight or {"ws": np.full(4, 0.1, np.float32), "wz": np.zeros(4, np.int8)}
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], "quantize", axis=1),
        node("DequantizeLinear", ["q", "s", "z"], ["d"], "back", axis=1),
        node("DequantizeLinear", ["codes", "ws", "wz"], ["w"], "weights", axis=axis),
        conv("d"),
    ]
    codes = WEIGHT.astype(np.int8)
    return graph_of(nodes, {"s": np.asarray(step, np.float32), "z": zero, "codes": codes, **steps})


def half_rounded() -> onnx.ModelProto:
    model = rounded()
    model.graph.node[3].input[0] = "x"
    return model


def int32_bias() -> onnx.ModelProto:
    nodes = [
        node("DequantizeLinear", ["b", "s"], ["bias"], "bias", axis=0),
        node("Conv", ["x", "w", "bias"], ["y"], "conv", kernel_shape=[3, 3]),
    ]
    values = {"b": np.ones(4, np.int32), "s": np.ones(4, np.float32), "w": WEIGHT}
    return graph_of(nodes, values)


def mixed(kind: type[Any], value: float = 1.0) -> onnx.ModelProto:
    to = onnx.TensorProto.FLOAT16 if kind is np.float16 else onnx.TensorProto.FLOAT
    weight = {"w": np.full((4, 4, 3, 3), value, np.float16)}
    return graph_of([node("Cast", ["x"], ["h"], to=to), conv("h")], weight)


def on_dla(*, kind: str, free: bool) -> onnx.ModelProto:
    between = {
        "norm": node("InstanceNormalization", ["u", "a", "a"], ["v"], "between"),
        "relu": node("Relu", ["u"], ["v"], "between"),
    }[kind]
    first = node("Conv", ["x", "w"], ["u"], "first", kernel_shape=[3, 3])
    shape = ("batch", 4, "height", "width") if free else (1, 4, 32, 32)
    values = {"w": WEIGHT, "a": np.ones(4, np.float32)}
    return graph_of([first, between, conv("v")], values, shape=shape)


Case = tuple[str, Callable[[], onnx.ModelProto], Callable[[], onnx.ModelProto], str, str]
CASES: Mapping[str, Case] = {
    "a mirrored border as wide as the least frame": (
        ORIN, lambda: padded(8), lambda: padded(7), "pad", "mirrors 8 pixels of a side of 8"),
    "an operator that the parser does not know": (
        ORIN, lambda: unary("NonZero"), lambda: unary("Relu"), "odd", "NonZero"),
    "a resize with antialias": (ORIN, lambda: resized(1), lambda: resized(0), "up", "antialias"),
    "a deconvolution that is strided and dilated": (
        ORIN, lambda: transposed(2, 2), lambda: transposed(2, 1), "up", "dilated"),
    "a group norm before its time": (
        ORIN, grouped, lambda: norm(computed=False), "group", "10.3 has it not"),
    "a norm with a computed scale on an old TensorRT": (
        OLD, lambda: norm(computed=True), lambda: norm(computed=False), "norm", "computed"),
    "a zero point": (
        ORIN, lambda: rounded(zero=np.array(3, np.int8)), rounded, "quantize", "zero point"),
    "codes without sign": (
        ORIN, lambda: rounded(zero=np.array(0, np.uint8)), rounded, "quantize", "uint8"),
    "a step that is not above 0": (
        ORIN, lambda: rounded(step=0.0), rounded, "quantize", "not above 0"),
    "a bias in int32": (ORIN, int32_bias, rounded, "bias", "int32"),
    "an activation with a step a channel": (
        ORIN, lambda: rounded(step=np.full(4, 0.1)), rounded, "quantize", "one scale a channel"),
    "weights rounded along the wrong axis": (
        ORIN, lambda: rounded(axis=1), rounded, "conv", "wrong axis"),
    "only the weight rounded": (ORIN, half_rounded, rounded, "conv", "only its input"),
    "a constant beyond FP16": (
        ORIN, lambda: mixed(np.float16, np.inf), lambda: mixed(np.float16), "conv", "65504"),
    "FP32 into FP16 weights": (
        ORIN, lambda: mixed(np.float32), lambda: mixed(np.float16), "conv", "FP32"),
    "a norm between convolutions on NVDLA": (
        DLA, lambda: on_dla(kind="norm", free=False), lambda: on_dla(kind="relu", free=False),
        "between", "does not run on NVDLA"),
    "free sizes on NVDLA": (
        DLA, lambda: on_dla(kind="relu", free=True), lambda: on_dla(kind="relu", free=False),
        "x", "are free"),
}  # fmt: skip


def found(model: onnx.ModelProto, target: str) -> list[Finding]:
    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    return lint(sized, load_target(target), least=8)


@pytest.mark.parametrize("case", CASES)
def test_what_breaks_a_rule_is_named_with_the_mend(case: str) -> None:
    target, broken, _, name, words = CASES[case]
    named = [one for one in found(broken(), target) if one.node == name and words in one.what]
    assert named
    assert named[0].mend.endswith(".")


@pytest.mark.parametrize("case", CASES)
def test_what_keeps_the_rule_is_not_mentioned(case: str) -> None:
    target, _, kept, name, words = CASES[case]
    assert not [one for one in found(kept(), target) if one.node == name and words in one.what]


def test_rules_of_tensorrt_do_not_count_where_it_is_not_used() -> None:
    assert found(rounded(zero=np.array(3, np.int8)), "x86-cpu") == []


def test_the_fatal_ones_come_first() -> None:
    fatal = [one.fatal for one in found(padded(8), DLA)]
    assert fatal == sorted(fatal, reverse=True)
    assert fatal[0]
