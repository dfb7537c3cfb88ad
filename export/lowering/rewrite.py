"""A graph that is being rewritten: who makes a tensor, who reads it, and what is constant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[Any]
Node = onnx.NodeProto


class Rewrite:
    """A copy of a model that a pass changes in place; ``done`` sorts it, sweeps it and gives it back.

    Nodes are removed and added freely in between: order and leftovers do not matter until then.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.graph = self.model.graph
        self.nodes: list[Node] = list(self.graph.node)
        self._tensors = {tensor.name: tensor for tensor in self.graph.initializer}
        self._taken = {name for node in self.nodes for name in (*node.input, *node.output)}
        self._taken.update(node.name for node in self.nodes)
        self._taken.update(self._tensors)
        self._constants = {
            node.output[0]: node.attribute[0].t
            for node in self.nodes
            if node.op_type == "Constant" and node.attribute[0].name == "value"
        }

    @property
    def outputs(self) -> set[str]:
        """The names of the graph's outputs."""
        return {port.name for port in self.graph.output}

    def maker(self, tensor: str) -> Node | None:
        """Return the node that makes a tensor; None for an input, a constant, or no tensor."""
        return next((node for node in self.nodes if tensor in node.output), None)

    def users(self, tensor: str) -> list[Node]:
        """Return the nodes that read a tensor."""
        return [node for node in self.nodes if tensor in node.input]

    def only_user(self, tensor: str) -> Node | None:
        """Return the node that reads a tensor, if there is exactly one and it is no output."""
        users = self.users(tensor)
        return users[0] if len(users) == 1 and tensor not in self.outputs else None

    def kinds(self, *kinds: str) -> Iterator[Node]:
        """Go over the nodes of some operators, as they are now."""
        return (node for node in list(self.nodes) if node.op_type in kinds)

    def constant(self, tensor: str) -> Array | None:
        """Return the value of an initializer or a constant; None for anything else."""
        held = self._tensors.get(tensor)
        held = held if held is not None else self._constants.get(tensor)
        return None if held is None else numpy_helper.to_array(held)

    def number(self, tensor: str) -> float | None:
        """Return the value of a constant of one element."""
        value = self.constant(tensor)
        return float(value.reshape(())) if value is not None and value.size == 1 else None

    def keep(self, value: Array | np.generic, name: str) -> str:
        """Add a constant, under that name or one like it, and return its name."""
        name = self.fresh(name)
        self._tensors[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def overwrite(self, tensor: str, value: Array) -> None:
        """Give an initializer another value."""
        self._tensors[tensor] = numpy_helper.from_array(np.asarray(value), tensor)

    def fresh(self, name: str) -> str:
        """Return a name that no tensor and no node has yet."""
        candidate, number = name, 2
        while candidate in self._taken:
            candidate, number = f"{name}_{number}", number + 1
        self._taken.add(candidate)
        return candidate

    def add(self, kind: str, inputs: Iterable[str], output: str = "", **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        inputs = list(inputs)
        output = output or self.fresh(f"{inputs[0]}_{kind.lower()}")
        name = self.fresh(f"{kind}_{output}")
        self.nodes.append(helper.make_node(kind, inputs, [output], name, **attributes))
        return output

    def remove(self, *nodes: Node) -> None:
        """Take nodes out; whoever read them must have been led elsewhere."""
        self.nodes = [node for node in self.nodes if not any(node is other for other in nodes)]

    def lead(self, readers: Iterable[Node], old: str, new: str) -> None:
        """Let ``readers`` read ``new`` where they read ``old``."""
        for node in readers:
            node.input[:] = [new if name == old else name for name in node.input]

    def rename(self, old: str, new: str) -> None:
        """Let the maker of ``old`` write ``new`` instead."""
        maker = self.maker(old)
        if maker is not None:
            maker.output[:] = [new if name == old else name for name in maker.output]

    def done(self) -> onnx.ModelProto:
        """Return the model: what nobody reads is gone, every node stands behind what it reads."""
        self._sweep()
        ordered = self._ordered()
        used = {name for node in ordered for name in node.input} | self.outputs
        del self.graph.node[:], self.graph.initializer[:], self.graph.value_info[:]
        self.graph.node.extend(ordered)
        self.graph.initializer.extend(t for name, t in self._tensors.items() if name in used)
        return self.model

    def _sweep(self) -> None:
        while True:
            read = {name for node in self.nodes for name in node.input} | self.outputs
            kept = [node for node in self.nodes if read.intersection(node.output)]
            if len(kept) == len(self.nodes):
                return
            self.nodes = kept

    def _ordered(self) -> list[Node]:
        makers = {name: index for index, node in enumerate(self.nodes) for name in node.output}
        ordered: list[Node] = []
        placed: set[int] = set()
        for start in range(len(self.nodes)):
            stack = [start]
            while stack:
                index = stack[-1]
                node = self.nodes[index]
                waiting = [
                    makers[name]
                    for name in node.input
                    if name in makers and makers[name] not in placed
                ]
                if index not in placed and not waiting:
                    placed.add(index)
                    ordered.append(node)
                if waiting:
                    stack += waiting
                else:
                    stack.pop()
        return ordered


def attribute(node: Node, name: str, usual: Any = None) -> Any:
    """Return an attribute of a node, or ``usual`` where it is not set."""
    values = (helper.get_attribute_value(entry) for entry in node.attribute if entry.name == name)
    return next(values, usual)


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of ONNX's own operators that a model uses."""
    return max(
        (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")),
        default=1,
    )
