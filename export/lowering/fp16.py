"""A typed FP16 graph: half the bytes between the first and the last convolution.

Precision stands in the graph and nowhere else: TensorRT 11 knows no other way, and older ones
take it too. What FP16 cannot hold stays an island of FP32, with a Cast on each side.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import onnx
import onnx.defs

from stylepress.export.lowering.rewrite import Node, Rewrite, opset_of

LARGEST = 65504.0
CONVOLUTIONS = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})
FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


def to_fp16(model: onnx.ModelProto, *, islands: Collection[str] = ()) -> onnx.ModelProto:
    """Return a float graph with everything from its first to its last convolution in FP16.

    The ends stay FP32: levels of a picture are exact there. ``islands`` names nodes that stay FP32
    as well, and so does a node with a constant beyond 65504. A graph with Q/DQ is given back as it
    is: up to opset 18 QuantizeLinear takes FP32 only, and what is left there is INT8.
    """
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        return model
    types = _types(model)
    rewrite = Rewrite(model)
    inside = [node for node in _between(rewrite) if node.name not in islands]
    halves = _Halves(rewrite, types, opset_of(model))
    for node in inside:
        if halves.fits(node):
            halves.take(node)
    halves.bridge()
    return rewrite.done()


class _Halves:
    """The nodes that compute in FP16 by now, and the tensors they make."""

    def __init__(self, rewrite: Rewrite, types: dict[str, int], opset: int) -> None:
        self.rewrite, self.types, self.opset = rewrite, types, opset
        self.nodes: list[Node] = []
        self.tensors: set[str] = set()
        self._copies: dict[str, str] = {}

    def fits(self, node: Node) -> bool:
        """Say whether FP16 is a type of the node, and holds its constants."""
        if not any(self.types.get(name) == FLOAT for name in node.output):
            return False
        schema = onnx.defs.get_schema(node.op_type, self.opset)
        types = {c.type_param_str: set(c.allowed_type_strs) for c in schema.type_constraints}
        allowed = types.get(schema.outputs[0].type_str, {schema.outputs[0].type_str})
        values = (self.rewrite.constant(name) for name in self._data(node))
        small = all(value is None or np.abs(value).max(initial=0) <= LARGEST for value in values)
        return "tensor(float16)" in allowed and small

    def take(self, node: Node) -> None:
        self.nodes.append(node)
        self.tensors.update(name for name in node.output if self.types.get(name) == FLOAT)

    def bridge(self) -> None:
        """Cast at every border, and keep the constants of FP16 nodes in FP16."""
        taken = {id(node) for node in self.nodes}
        for node in list(self.rewrite.nodes):
            if id(node) in taken:
                for name in self._data(node):
                    if name not in self.tensors:
                        self.rewrite.lead([node], name, self._half(name))
            else:
                for name in [one for one in node.input if one in self.tensors]:
                    if node.op_type not in ("Shape", "Size"):
                        self.rewrite.lead([node], name, self._cast(name, FLOAT))

    def _data(self, node: Node) -> Iterator[str]:
        """Yield the inputs whose type is that of the first output."""
        schema = onnx.defs.get_schema(node.op_type, self.opset)
        formal = [port.type_str for port in schema.inputs]
        for index, name in enumerate(node.input):
            if name and formal[min(index, len(formal) - 1)] == schema.outputs[0].type_str:
                yield name

    def _half(self, name: str) -> str:
        value = self.rewrite.constant(name)
        if value is None:
            return self._cast(name, HALF)
        if name not in self._copies:
            self._copies[name] = self.rewrite.keep(value.astype(np.float16), f"{name}_fp16")
        return self._copies[name]

    def _cast(self, name: str, to: int) -> str:
        key = f"{name}:{to}"
        if key not in self._copies:
            self._copies[key] = self.rewrite.add("Cast", [name], to=to)
        return self._copies[key]


def _between(rewrite: Rewrite) -> list[Node]:
    """Return the nodes that some convolution reaches and that reach some convolution."""
    behind: set[str] = set()
    for node in rewrite.nodes:
        if node.op_type in CONVOLUTIONS or behind.intersection(node.input):
            behind.update(node.output)
    ahead: set[str] = set()
    for node in reversed(rewrite.nodes):
        if node.op_type in CONVOLUTIONS or ahead.intersection(node.output):
            ahead.update(node.input)
    return [
        node
        for node in rewrite.nodes
        if node.op_type in CONVOLUTIONS
        or (behind.intersection(node.output) and ahead.intersection(node.output))
    ]


def _types(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    ports = (*inferred.value_info, *inferred.input, *inferred.output)
    types = {port.name: port.type.tensor_type.elem_type for port in ports}
    types.update({tensor.name: tensor.data_type for tensor in inferred.initializer})
    return types
