"""An older opset: what newer operators say in another way, in the words that an old parser reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
import onnx.defs

from stylepress.errors import ExportError
from stylepress.export.lowering.rewrite import Node, Rewrite, attribute, opset_of

OPSET_LEAST = 13
"""Below this, Q/DQ has no axis, and most operators take attributes for inputs."""
AXES_BECAME_INPUT = frozenset(
    {
        *("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2"),
        *("ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"),
    }
)
"""Reductions whose axes are an input since opset 18. An old parser that ignored it would reduce all."""


def to_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Return the same function in an older opset, bit for bit; a model that is old enough as it is.

    Raises:
        ExportError: a node has no older form; it is named, with the mend.
    """
    now = opset_of(model)
    if now <= opset:
        return model
    if opset < OPSET_LEAST:
        raise ExportError(
            f"Opset {opset} was asked for, and graphs are lowered to {OPSET_LEAST} at most.",
            "Choose a target with a newer engine.",
        )
    rewrite = Rewrite(model)
    for node in list(rewrite.nodes):
        since = _since(node, now)
        if since > opset and (form := OLDER.get(node.op_type)) is not None:
            form(rewrite, node, opset)
    for node in rewrite.nodes:
        _same_meaning(node, now, opset)
    for entry in rewrite.model.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = opset
    rewrite.model.ir_version = min(
        rewrite.model.ir_version,
        onnx.helper.find_min_ir_version_for(list(rewrite.model.opset_import)),
    )
    return rewrite.done()


def _since(node: Node, opset: int) -> int:
    try:
        return int(onnx.defs.get_schema(node.op_type, opset).since_version)
    except onnx.defs.SchemaError:
        return 0


def _same_meaning(node: Node, now: int, opset: int) -> None:
    """Drop what the old operator does not know and what says nothing; refuse the rest."""
    try:
        old = onnx.defs.get_schema(node.op_type, opset)
    except onnx.defs.SchemaError as error:
        raise _no_form(node, opset, "it is a newer operator") from error
    new = onnx.defs.get_schema(node.op_type, now)
    for entry in list(node.attribute):
        if entry.name in old.attributes:
            continue
        known = new.attributes.get(entry.name)
        usual = onnx.helper.get_attribute_value(known.default_value) if known else None
        if onnx.helper.get_attribute_value(entry) != usual:
            raise _no_form(node, opset, f"its attribute {entry.name} is newer")
        node.attribute.remove(entry)
    if len(node.input) > old.max_input:
        raise _no_form(node, opset, f"it has {len(node.input)} inputs")


def _axes_to_attribute(rewrite: Rewrite, node: Node, opset: int) -> None:
    axes = rewrite.constant(node.input[1]) if len(node.input) > 1 and node.input[1] else None
    if axes is None and len(node.input) > 1 and node.input[1]:
        raise _no_form(node, opset, "its axes are computed")
    if axes is None and attribute(node, "noop_with_empty_axes", 0):
        raise _no_form(node, opset, "it reduces nothing when it has no axes")
    del node.input[1:]
    for entry in [one for one in node.attribute if one.name == "noop_with_empty_axes"]:
        node.attribute.remove(entry)
    if axes is not None:
        node.attribute.append(onnx.helper.make_attribute("axes", axes.ravel().tolist()))


def _pad(rewrite: Rewrite, node: Node, opset: int) -> None:
    """``axes`` is an input since opset 18; where it names all of them in order it says nothing."""
    if len(node.input) < 4 or not node.input[3]:
        del node.input[3:]
        return
    axes, pads = rewrite.constant(node.input[3]), rewrite.constant(node.input[1])
    if axes is None or pads is None or (axes < 0).any():
        raise _no_form(node, opset, "its axes are computed, or counted from the end")
    rank = _rank(rewrite, node.input[0])
    if rank is None:
        raise _no_form(node, opset, "the number of its dimensions is not known")
    whole = np.zeros((2, rank), np.int64)
    whole[:, axes] = pads.reshape(2, -1)
    node.input[1] = rewrite.keep(whole.ravel(), f"{node.name}_pads")
    del node.input[3:]


def _shape(rewrite: Rewrite, node: Node, opset: int) -> None:
    """``start`` and ``end`` are attributes since opset 15: the whole shape, and a slice of it."""
    start, end = attribute(node, "start", 0), attribute(node, "end")
    del node.attribute[:]
    if start == 0 and end is None:
        return
    result = node.output[0]
    node.output[0] = rewrite.fresh(f"{result}_whole")
    ends = np.iinfo(np.int64).max if end is None else end
    bounds = [
        rewrite.keep(np.array([value], np.int64), f"{node.name}_{name}")
        for name, value in (("start", start), ("end", ends))
    ]
    rewrite.add("Slice", [node.output[0], *bounds], result)


def _split(rewrite: Rewrite, node: Node, opset: int) -> None:
    """``num_outputs`` is new in opset 18; before, equal parts are what no sizes mean."""
    for entry in [one for one in node.attribute if one.name == "num_outputs"]:
        node.attribute.remove(entry)


def _mish(rewrite: Rewrite, node: Node, opset: int) -> None:
    inner = rewrite.add("Tanh", [rewrite.add("Softplus", [node.input[0]])])
    rewrite.add("Mul", [node.input[0], inner], node.output[0])
    rewrite.remove(node)


def _gelu(rewrite: Rewrite, node: Node, opset: int) -> None:
    if attribute(node, "approximate", b"none") != b"none":
        raise _no_form(node, opset, "it is the approximate GELU")
    x = node.input[0]
    scaled = rewrite.add(
        "Mul", [x, rewrite.keep(np.float32(np.sqrt(0.5)), f"{node.name}_sqrt_half")]
    )
    one = rewrite.add(
        "Add", [rewrite.add("Erf", [scaled]), rewrite.keep(np.float32(1), f"{node.name}_one")]
    )
    half = rewrite.add("Mul", [x, rewrite.keep(np.float32(0.5), f"{node.name}_half")])
    rewrite.add("Mul", [half, one], node.output[0])
    rewrite.remove(node)


OLDER: Mapping[str, Callable[[Rewrite, Node, int], None]] = {
    **dict.fromkeys(AXES_BECAME_INPUT, _axes_to_attribute),
    "Pad": _pad,
    "Shape": _shape,
    "Split": _split,
    "Mish": _mish,
    "Gelu": _gelu,
}
"""How an operator is said before the opset that brought its present form."""


def _rank(rewrite: Rewrite, tensor: str) -> int | None:
    inferred = onnx.shape_inference.infer_shapes(rewrite.model).graph
    for port in (*inferred.value_info, *inferred.input, *inferred.output):
        if port.name == tensor and port.type.tensor_type.HasField("shape"):
            return len(port.type.tensor_type.shape.dim)
    return None


def _no_form(node: Node, opset: int, why: str) -> ExportError:
    return ExportError(
        f"{node.op_type} {node.name!r} has no form in opset {opset}: {why}.",
        "Replace it in the network, or choose a target with a newer engine.",
    )
