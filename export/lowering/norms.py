"""Normalizations in the form that an engine takes: groups, affine weights, small numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from stylepress.errors import ExportError
from stylepress.export.lowering.rewrite import Node, Rewrite, attribute, opset_of

GROUPS_WHOLE = 21
"""GroupNormalization has one scale a channel since this opset, one a group before."""
SAFE = 16.0
"""|x| up to which the squares of FP16 values, and sums of many of them, stay far from 65504."""
LEAST_EPSILON = 6e-8
"""The smallest number above 0 in FP16: epsilon must not become less, or a flat picture gives NaN."""


def without_groups(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with each GroupNormalization as InstanceNormalization over its groups.

    The same function but for the order of sums. Parsers before TensorRT 10.9 do not read it.
    """
    rewrite = Rewrite(model)
    for node in rewrite.kinds("GroupNormalization"):
        _one_group_norm(rewrite, node, opset_of(model))
    return rewrite.done()


def _one_group_norm(rewrite: Rewrite, node: Node, opset: int) -> None:
    groups = attribute(node, "num_groups")
    scale, bias = (rewrite.constant(name) for name in node.input[1:])
    if scale is None or bias is None:
        raise ExportError(
            f"GroupNormalization {node.name!r} computes its scale or bias, which no older form "
            f"takes.",
            "Make them weights of the network, or choose a target with a newer engine.",
        )
    name, x = node.name, node.input[0]
    rows = rewrite.keep(np.array([0, groups, -1], np.int64), f"{name}_groups")
    ones = rewrite.keep(np.ones(groups, np.float32), f"{name}_ones")
    zeros = rewrite.keep(np.zeros(groups, np.float32), f"{name}_zeros")
    flat = rewrite.add("Reshape", [x, rows])
    epsilon = attribute(node, "epsilon", 1e-5)
    normal = rewrite.add("InstanceNormalization", [flat, ones, zeros], epsilon=epsilon)
    back = rewrite.add("Reshape", [normal, rewrite.add("Shape", [x])])
    if opset < GROUPS_WHOLE:
        raise ExportError(
            f"GroupNormalization {node.name!r} has one scale a group, an early form that ONNX gave "
            f"up.",
            f"Export with opset {GROUPS_WHOLE}, or with 17 or less.",
        )
    across = [
        rewrite.keep(value[:, None, None], f"{name}_{what}")
        for what, value in (("scale", scale), ("bias", bias))
    ]
    rewrite.add("Add", [rewrite.add("Mul", [back, across[0]]), across[1]], node.output[0])
    rewrite.remove(node)


def constant_affine(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with a computed scale and bias outside of each InstanceNormalization.

    TensorRT up to 8.5 wants weights there. ``Norm(x; a, b) = Norm(x; 1, 0) * a + b``: bit for bit.
    """
    rewrite = Rewrite(model)
    shapes = _channels(model)
    for node in rewrite.kinds("InstanceNormalization"):
        if all(rewrite.constant(name) is not None for name in node.input[1:]):
            continue
        channels = shapes.get(node.input[0])
        if channels is None:
            raise ExportError(
                f"InstanceNormalization {node.name!r} has a computed scale and no known number of "
                f"channels.",
                "Give its input a fixed number of channels.",
            )
        scale, bias = list(node.input[1:])
        rest = rewrite.keep(np.array([1, 2], np.int64), f"{node.name}_axes")
        across = [rewrite.add("Unsqueeze", [name, rest]) for name in (scale, bias)]
        node.input[1] = rewrite.keep(np.ones(channels, np.float32), f"{node.name}_ones")
        node.input[2] = rewrite.keep(np.zeros(channels, np.float32), f"{node.name}_zeros")
        result, node.output[0] = node.output[0], rewrite.fresh(f"{node.output[0]}_plain")
        rewrite.add("Add", [rewrite.add("Mul", [node.output[0], across[0]]), across[1]], result)
    return rewrite.done()


def prescaled(model: onnx.ModelProto, sizes: Mapping[str, float]) -> onnx.ModelProto:
    """Return the model with the input of each loud InstanceNormalization made quiet before it.

    ``sizes`` holds the largest |x| seen of the norms' inputs. ``Norm(kx; eps k^2) = Norm(x; eps)``,
    and k is a power of two, so nothing is rounded; a norm that would need an epsilon too small for
    FP16 is left as it is (``needs_fp32`` names it).
    """
    rewrite = Rewrite(model)
    for node in rewrite.kinds("InstanceNormalization"):
        factor = _factor(sizes.get(node.input[0], 0.0))
        epsilon = attribute(node, "epsilon", 1e-5) * factor**2
        if factor == 1 or epsilon < LEAST_EPSILON:
            continue
        _set(node, "epsilon", epsilon)
        scale = rewrite.keep(np.float32(factor), f"{node.name}_quieter")
        node.input[0] = rewrite.add("Mul", [node.input[0], scale])
    return rewrite.done()


def needs_fp32(model: onnx.ModelProto, sizes: Mapping[str, float]) -> list[str]:
    """Return the InstanceNormalizations that FP16 cannot hold, not even with a smaller input."""
    risky = []
    for node in model.graph.node:
        if node.op_type == "InstanceNormalization":
            factor = _factor(sizes.get(node.input[0], 0.0))
            if attribute(node, "epsilon", 1e-5) * factor**2 < LEAST_EPSILON:
                risky.append(node.name)
    return risky


def _factor(size: float) -> float:
    return float(2.0 ** min(0.0, np.floor(np.log2(SAFE / size)))) if size > 0 else 1.0


def _set(node: Node, name: str, value: float) -> None:
    for entry in [one for one in node.attribute if one.name == name]:
        node.attribute.remove(entry)
    node.attribute.append(onnx.helper.make_attribute(name, value))


def _channels(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    ports = (*inferred.value_info, *inferred.input)
    shapes = {port.name: port.type.tensor_type.shape.dim for port in ports}
    return {
        name: dims[1].dim_value
        for name, dims in shapes.items()
        if len(dims) > 1 and dims[1].HasField("dim_value")
    }
