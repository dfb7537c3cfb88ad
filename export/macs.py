"""What an ONNX graph costs: parameters, and multiply-accumulates at a size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.reference

from stylepress.errors import ExportError

PARAMETRIC = frozenset(
    {
        *("Conv", "ConvTranspose", "Gemm", "MatMul", "PRelu"),
        *("InstanceNormalization", "BatchNormalization", "GroupNormalization"),
        "LayerNormalization",
    }
)
"""Operators whose constant inputs were learned; any other constant is part of the program."""
ARITHMETIC = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "Mod", "Neg", "Abs", "Min", "Max", "Floor", "Ceil"),
        *("Concat", "Gather", "Squeeze", "Unsqueeze", "Slice", "Reshape", "Cast", "Range"),
        *("Constant", "ConstantOfShape", "Where", "Equal", "Transpose", "Expand", "Size"),
    }
)
"""Operators by which sizes are computed."""
FOLDED_MOST = 64
"""Numbers of a tensor that may be sizes."""
SIZES = frozenset({onnx.TensorProto.INT64, onnx.TensorProto.INT32})
"""Types of numbers that may be sizes."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Learned numbers, and multiply-accumulates of all convolutions for one frame."""

    parameters: int
    macs: int


Transposed = Literal["inputs", "outputs"]


def cost(
    model: onnx.ModelProto, height: int, width: int, *, transposed: Transposed = "inputs"
) -> Cost:
    """Count what a frame graph has learned and what one H x W frame takes.

    A convolution costs outputs x kernel x input channels of its group; a transposed one
    inputs x kernel x output channels of its group, which is what it computes, not what its
    output size suggests. Papers that count it at its output (``transposed="outputs"``, as GAN
    Compression does) tell more. Everything else is not counted.

    Raises:
        ExportError: a convolution's size cannot be told from the size of the frame.
    """
    each = per_convolution(model, height, width, transposed=transposed)
    return Cost(parameters(model), sum(each.values()))


def per_convolution(
    model: onnx.ModelProto, height: int, width: int, *, transposed: Transposed = "inputs"
) -> dict[str, int]:
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
            at_output = node.op_type == "Conv" or transposed == "outputs"
            port = node.output[0] if at_output else node.input[0]
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
    for tensor in fixed.graph.initializer:  # weights: inference asks for their sizes alone
        if tensor.data_type not in SIZES and math.prod(tensor.dims) > FOLDED_MOST:
            sizes = onnx.TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
            tensor.CopyFrom(sizes)
    values = {"batch": 1, "height": height, "width": width}
    for port in (*fixed.graph.input, *fixed.graph.output):
        for dim in port.type.tensor_type.shape.dim:
            if dim.dim_param in values:
                dim.dim_value = values[dim.dim_param]
    shapes = _inferred(fixed)
    while not _all_known(fixed, shapes) and _folded(fixed, shapes):
        shapes = _inferred(fixed)
    return shapes


def _all_known(model: onnx.ModelProto, shapes: Mapping[str, list[int | None]]) -> bool:
    """Say whether the sizes are there that convolutions are priced by."""
    ends = (
        shapes.get(name, [None])[2:]
        for node in model.graph.node
        if node.op_type in ("Conv", "ConvTranspose")
        for name in (node.input[0], node.output[0])
    )
    return all(None not in end and end for end in ends)


def _inferred(model: onnx.ModelProto) -> dict[str, list[int | None]]:
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes: dict[str, list[int | None]] = {
        port.name: [
            dim.dim_value if dim.HasField("dim_value") else None
            for dim in port.type.tensor_type.shape.dim
        ]
        for port in (*graph.value_info, *graph.input, *graph.output)
        if port.type.tensor_type.HasField("shape")
    }
    shapes.update({tensor.name: list(tensor.dims) for tensor in graph.initializer})
    return shapes


def _folded(model: onnx.ModelProto, shapes: Mapping[str, list[int | None]]) -> bool:
    """Put numbers in place of what is computed of sizes that are known; say whether any were.

    Inference does not follow remainders, by which pictures are padded to a multiple.
    """
    values: dict[str, Any] = {
        one.name: onnx.numpy_helper.to_array(one)
        for one in model.graph.initializer
        if math.prod(one.dims) <= FOLDED_MOST
    }
    kept, made = [], []
    for node in model.graph.node:
        source = shapes.get(node.input[0], [None]) if node.input else [None]
        result: Any = None
        if node.op_type == "Shape":
            ends = {one.name: one.i for one in node.attribute}
            asked = source[ends.get("start", 0) : ends.get("end")]
            result = None if None in asked else np.array(asked, np.int64)
        elif node.op_type in ARITHMETIC and all(name in values for name in node.input if name):
            feeds = {name: values[name] for name in node.input if name}
            (result,) = onnx.reference.ReferenceEvaluator(node).run(None, feeds)
        if result is None:
            kept.append(node)
        else:
            values[node.output[0]] = np.asarray(result)
            made.append(onnx.numpy_helper.from_array(np.asarray(result), node.output[0]))
    if made:
        del model.graph.node[:]
        model.graph.node.extend(kept)
        model.graph.initializer.extend(made)
    return bool(made)


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
