"""Sizes that an engine wants to know before it is built: fixed, and all that follows computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from stylepress.export.lowering.rewrite import Array, Rewrite

SMALL = 4096
"""Elements of a constant that is computed here at most: shapes and indices, not pictures."""


def fixed(model: onnx.ModelProto, sizes: Mapping[str, int]) -> onnx.ModelProto:
    """Return the model with free dimensions of its ports fixed, such as ``{"batch": 1}``.

    Where all of a shape is known by then, what is computed from it becomes a constant: the same
    function, bit for bit, on frames of that size.
    """
    rewrite = Rewrite(model)
    for port in (*rewrite.graph.input, *rewrite.graph.output):
        for dim in port.type.tensor_type.shape.dim:
            if dim.dim_param in sizes:
                dim.dim_value = sizes[dim.dim_param]
    shapes = _known(rewrite.done())
    rewrite = Rewrite(rewrite.model)
    for node in rewrite.kinds("Shape"):
        if node.input[0] in shapes:
            start = next((a.i for a in node.attribute if a.name == "start"), 0)
            end = next((a.i for a in node.attribute if a.name == "end"), None)
            value = np.array(shapes[node.input[0]][start:end], np.int64)
            rewrite.remove(node)
            rewrite.lead(
                rewrite.users(node.output[0]), node.output[0], rewrite.keep(value, node.output[0])
            )
    _fold(rewrite)
    return rewrite.done()


def _known(model: onnx.ModelProto) -> dict[str, list[int]]:
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    known = {}
    for port in (*inferred.value_info, *inferred.input, *inferred.output):
        dims = port.type.tensor_type.shape.dim
        if port.type.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dims):
            known[port.name] = [dim.dim_value for dim in dims]
    return known


def _fold(rewrite: Rewrite) -> None:
    """Compute every small node all of whose inputs are constants."""
    again = True
    while again:
        again = False
        for node in list(rewrite.nodes):
            values = [rewrite.constant(name) for name in node.input if name]
            if not values or any(value is None or value.size > SMALL for value in values):
                continue
            if node.op_type in ("DequantizeLinear", "QuantizeLinear") or len(node.output) > 1:
                continue
            feeds = dict(zip((n for n in node.input if n), values, strict=True))
            result = _computed(rewrite, node, feeds)
            if node.output[0] not in rewrite.outputs and np.size(result) <= SMALL:
                rewrite.remove(node)
                rewrite.lead(
                    rewrite.users(node.output[0]),
                    node.output[0],
                    rewrite.keep(result, node.output[0]),
                )
                again = True


def _computed(
    rewrite: Rewrite,
    node: onnx.NodeProto,
    feeds: Mapping[str, Array],
) -> Array:
    ports = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
        )
        for name, value in feeds.items()
    ]
    out = onnx.helper.make_empty_tensor_value_info(node.output[0])
    graph = onnx.helper.make_graph([node], "one", ports, [out])
    single = onnx.helper.make_model(graph, opset_imports=list(rewrite.model.opset_import))
    results: Any = ReferenceEvaluator(single).run(None, dict(feeds))
    return np.asarray(results[0])
