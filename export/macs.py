"""What an ONNX graph costs: parameters, and multiply-accumulates at a size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from stylepress.errors import ExportError

PARAMETRIC = frozenset(
    {
        *("Conv", "ConvTranspose", "Gemm", "MatMul", "PRelu"),
        *("InstanceNormalization", "BatchNormalization", "GroupNormalization"),
        "LayerNormalization",
    }
)
"""Operators whose constant inputs were learned; any other constant is part of the program."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Learned numbers, and multiply-accumulates of all convolutions for one frame."""

    parameters: int
    macs: int


def cost(model: onnx.ModelProto, height: int, width: int) -> Cost:
    """Count what a frame graph has learned and what one H x W frame takes.

    A convolution costs outputs x kernel x input channels of its group; a transposed one
    inputs x kernel x output channels of its group, which is what it computes, not what its
    output size suggests. Everything else is not counted.

    Raises:
        ExportError: a convolution's size cannot be told from the size of the frame.
    """
    return Cost(parameters(model), sum(per_convolution(model, height, width).values()))


def per_convolution(model: onnx.ModelProto, height: int, width: int) -> dict[str, int]:
    """Return the multiply-accumulates of each convolution node, by its name.

    Raises:
        ExportError: a convolution's size cannot be told from the size of the frame.
    """
    shapes = shapes_at(model, height, width)
    macs: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            # Conv: (O, I/g, kH, kW) for each output position. ConvTranspose: (I, O/g, kH, kW)
            # for each input position. Both multiply the whole weight once a position.
            port = node.output[0] if node.op_type == "Conv" else node.input[0]
            # The batch is one frame, also where shape inference lost it behind a Slice.
            _, _, *sides = _known({**shapes, port: [1, *shapes.get(port, [])[1:]]}, port, node)
            weight = _known(shapes, node.input[1], node)
            macs[node.name] = math.prod(sides) * math.prod(weight)
    return macs


def parameters(model: onnx.ModelProto) -> int:
    """Count the learned numbers of a float or quantized graph."""
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in sizes:
            sizes[node.output[0]] = sizes[node.input[0]]
    return sum(
        sizes.get(name, 0)
        for node in model.graph.node
        if node.op_type in PARAMETRIC
        for name in node.input
    )


def shapes_at(model: onnx.ModelProto, height: int, width: int) -> Mapping[str, list[int | None]]:
    """Infer all shapes for one frame of a size; a dimension that stays unknown is None."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    del fixed.graph.value_info[:]
    values = {"batch": 1, "height": height, "width": width}
    for port in (*fixed.graph.input, *fixed.graph.output):
        for dim in port.type.tensor_type.shape.dim:
            if dim.dim_param in values:
                dim.dim_value = values[dim.dim_param]
    inferred = onnx.shape_inference.infer_shapes(fixed, data_prop=True).graph
    shapes: dict[str, list[int | None]] = {
        port.name: [
            dim.dim_value if dim.HasField("dim_value") else None
            for dim in port.type.tensor_type.shape.dim
        ]
        for port in (*inferred.value_info, *inferred.input, *inferred.output)
    }
    shapes.update({tensor.name: list(tensor.dims) for tensor in inferred.initializer})
    return shapes


def _known(
    shapes: Mapping[str, list[int | None]], name: str, node: onnx.NodeProto
) -> tuple[int, ...]:
    dims = shapes.get(name, [])
    known = tuple(dim for dim in dims if dim is not None)
    if not known or len(known) < len(dims):
        raise ExportError(
            f"The shape of {name!r} at {node.op_type} {node.name!r} is {dims or 'unknown'}, so its "
            f"cost cannot be told.",
            "Give every convolution a size that follows from the frame's.",
        )
    return known
