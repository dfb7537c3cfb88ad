"""Small frame graphs that do one thing only: multiply as fast as a backend can, or move memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from stylepress import __version__
from stylepress.artifact import Artifact, TensorSpec
from stylepress.export.macs import cost

Precision = Literal["fp32", "int8"]
OPSET = 17
FRAME = ("batch", "height", "width", 3)


@dataclass(frozen=True, slots=True)
class Kernel:
    """``layers`` equal layers on ``channels`` channels between a stem and a head of 1x1.

    A ``kind`` of ``multiply`` is a 3x3 convolution with all channels and ReLU, one of ``move`` the
    maximum of two neighbours, which reads and writes the whole tensor once and hardly computes.
    Backends join layers that only look at one value; a 3x3 maximum took 1.5 times as long here.
    """

    kind: Literal["multiply", "move"]
    channels: int
    layers: int
    precision: Precision = "fp32"

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.kind} {self.precision} {self.channels} channels, {self.layers} layers"

    def macs(self, height: int, width: int) -> int:
        """Multiply-accumulates of a frame, of the layers alone."""
        one = height * width * self.channels**2 * 9
        return one * self.layers if self.kind == "multiply" else 0

    def moved_bytes(self, height: int, width: int) -> int:
        """Bytes that the layers read and write of a frame, each once."""
        return 2 * 4 * height * width * self.channels * self.layers


def kernel_bundle(kernel: Kernel, folder: Path) -> Artifact:
    """Write a kernel as a bundle, which any backend opens like one that ships."""
    model = _model(kernel)
    counted = cost(model, 512, 512)

    def fill(into: Path) -> None:
        (into / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))

    return Artifact.create(
        folder,
        fill,
        kind="bundle",
        name=kernel.name,
        inputs=(
            TensorSpec("frame", FRAME, "uint8", 0, 255),
            TensorSpec("strength", ("batch",), "float32", 0, 1, default=1.0),
        ),
        outputs=(TensorSpec("frame_out", FRAME, "uint8", 0, 255),),
        made_by={"step": "roof", "stylepress": __version__, "precision": kernel.precision},
        numbers={"macs_512": counted.macs, "params": counted.parameters},
    )


class _Graph:
    """Nodes and constants as they are added; each node's output is its name."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def quantized(self, x: str, scale: float, name: str) -> str:
        step = self.constant(f"{name}.scale", np.array(scale, np.float32))
        zero = self.constant(f"{name}.zero", np.array(0, np.int8))
        codes = self.add("QuantizeLinear", [x, step, zero], f"{name}.codes")
        return self.add("DequantizeLinear", [codes, step, zero], name)

    def weight(self, value: NDArray[np.float32], name: str, precision: Precision) -> str:
        if precision == "fp32":
            return self.constant(name, value)
        scale = np.abs(value).max(axis=(1, 2, 3)) / 127
        codes = np.rint(value / scale[:, None, None, None]).astype(np.int8)
        return self.add(
            "DequantizeLinear",
            [
                self.constant(f"{name}.codes", codes),
                self.constant(f"{name}.scale", scale.astype(np.float32)),
                self.constant(f"{name}.zero", np.zeros(len(scale), np.int8)),
            ],
            name,
            axis=0,
        )


def _model(kernel: Kernel) -> ModelProto:
    graph, random = _Graph(), np.random.default_rng(0)

    def weights(outputs: int, inputs: int, side: int) -> NDArray[np.float32]:
        # He's variance: values neither vanish nor grow, so none is a denormal, which is slow.
        spread = math.sqrt(2 / (inputs * side * side))
        return random.normal(0, spread, (outputs, inputs, side, side)).astype(np.float32)

    x = graph.add("Cast", ["frame"], "float", to=TensorProto.FLOAT)
    x = graph.add("Transpose", [x], "planes", perm=[0, 3, 1, 2])
    x = graph.add("Mul", [x, graph.constant("unit", np.array(1 / 255, np.float32))], "scaled")
    stem = graph.constant("stem.weight", weights(kernel.channels, 3, 1))
    x = graph.add("Relu", [graph.add("Conv", [x, stem], "stem")], "stem.relu")
    for number in range(kernel.layers):
        name = f"layer{number}"
        if kernel.kind == "move":
            x = graph.add("MaxPool", [x], name, kernel_shape=[1, 2], pads=[0, 0, 0, 1])
            continue
        value = weights(kernel.channels, kernel.channels, 3)
        weight = graph.weight(value, f"{name}.weight", kernel.precision)
        if kernel.precision == "int8":
            x = graph.quantized(x, 4 / 127, f"{name}.in")
        x = graph.add(
            "Relu", [graph.add("Conv", [x, weight], name, pads=[1, 1, 1, 1])], f"{name}.relu"
        )
    # About grey, with a deviation of a quarter of the range: what came out must depend on what went
    # in, or a compiler might find that it need not be computed.
    head = graph.constant("head.weight", 64 * weights(3, kernel.channels, 1))
    grey = graph.constant("head.bias", np.full(3, 127, np.float32))
    x = graph.add("Conv", [x, head, grey], "head")
    shape = graph.constant("shape", np.array([-1, 1, 1, 1], np.int64))
    x = graph.add("Mul", [x, graph.add("Reshape", ["strength", shape], "share")], "weighed")
    ends = [
        graph.constant(name, np.array(v, np.float32)) for name, v in (("low", 0), ("high", 255))
    ]
    x = graph.add("Clip", [x, *ends], "levels")
    graph.add(
        "Cast",
        [graph.add("Transpose", [x], "pixels", perm=[0, 2, 3, 1])],
        "frame_out",
        to=TensorProto.UINT8,
    )
    frame = (TensorProto.UINT8, FRAME)
    made = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "roof",
            [
                helper.make_tensor_value_info("frame", *frame),
                helper.make_tensor_value_info("strength", TensorProto.FLOAT, ("batch",)),
            ],
            [helper.make_tensor_value_info("frame_out", *frame)],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
    )
    checker.check_model(made)
    return made
