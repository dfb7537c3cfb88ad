"""What a target cannot take, or takes and does slowly or wrongly: with the node and the mend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx

from stylepress.export.lowering.fp16 import LARGEST
from stylepress.export.lowering.rewrite import Node, Rewrite, attribute
from stylepress.export.macs import shapes_at
from stylepress.targets.jetpack import version
from stylepress.targets.target import Target

Rule = Literal["reflect-pad", "operators", "qdq", "fp16-range", "dla"]
TENSORRT = ("tensorrt", "tensorrt_rtx")
REFUSED: Mapping[str, str] = {
    "NonZero": "its output's size depends on the values",
    "DFT": "the parser does not know it",
    "STFT": "the parser does not know it",
    "Attention": "the parser crashed on it when this was tried",
}
"""Operators that the ONNX parser of TensorRT refuses, whatever its version."""
NEWER: Mapping[str, tuple[str, str]] = {
    "GroupNormalization": ("10.9", "lower it to InstanceNormalization"),
    "LayerNormalization": ("8.6", "write it as ReduceMean, Sub, Mul"),
    "GridSample": ("8.5", "take it out of the network"),
}
"""Operators that the parser knows since a version, and the mend before it."""
ON_DLA = frozenset(
    {
        *("Conv", "ConvTranspose", "Relu", "LeakyRelu", "PRelu", "Sigmoid", "Tanh", "Clip"),
        *("Add", "Sub", "Mul", "BatchNormalization", "Concat", "Resize", "Slice"),
        *("MaxPool", "AveragePool", "Cast", "Constant", "Identity"),
    }
)
"""Operators that run on NVDLA through TensorRT; anything else goes to the GPU and back."""
COSTLY = frozenset(
    {
        *("InstanceNormalization", "GroupNormalization", "LayerNormalization", "Pad", "Sqrt"),
        *("DepthToSpace", "SpaceToDepth", "ReduceMean", "QuantizeLinear", "DequantizeLinear"),
    }
)
"""Those of them that work on pictures; what works on sizes and numbers costs nothing there."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a graph for a target.

    ``fatal`` is what would not be built, or build a wrong engine; the rest costs time or accuracy.
    """

    rule: Rule
    node: str
    what: str
    mend: str
    fatal: bool

    def __str__(self) -> str:
        return f"{self.node}: {self.what}. {self.mend}"


def lint(model: onnx.ModelProto, target: Target, *, least: int = 1) -> list[Finding]:
    """Return what a target's engines would stumble over, the fatal things first.

    ``least`` is the smallest height and width that the graph promises to take.
    """
    findings = [*reflect_pads(model, least)]
    if any(engine in target.engines for engine in TENSORRT):
        branch = target.tensorrt_version
        findings += [*operators(model, branch), *qdq_rules(model), *fp16_range(model)]
    if target.dla_cores:
        findings += dla_table(model)
    return sorted(findings, key=lambda one: not one.fatal)


def reflect_pads(model: onnx.ModelProto, least: int) -> Iterator[Finding]:
    """Find mirrored borders as wide as the smallest picture: ONNX Runtime refuses, TensorRT not."""
    shapes = shapes_at(model, least, least)
    rewrite = Rewrite(model)
    for node in rewrite.kinds("Pad"):
        pads = rewrite.constant(node.input[1])
        dims = shapes.get(node.input[0], [])
        if attribute(node, "mode", b"constant") != b"reflect" or pads is None:
            continue
        axes = rewrite.constant(node.input[3]) if len(node.input) > 3 and node.input[3] else None
        where = range(len(dims)) if axes is None else axes.tolist()
        for axis, before, after in zip(where, *pads.reshape(2, -1), strict=False):
            side = dims[axis] if axis < len(dims) else None
            wide = max(int(before), int(after))
            if side is not None and wide >= side and wide > 0:
                yield Finding(
                    "reflect-pad",
                    node.name,
                    f"it mirrors {wide} pixels of a side of {side}, at frames of {least} x {least}",
                    f"Give the family a `least` above {least}, or pad less.",
                    fatal=True,
                )
                break


def operators(model: onnx.ModelProto, tensorrt: str | None) -> Iterator[Finding]:
    """Find operators that the ONNX parser of a TensorRT does not take; None: the newest."""
    for node in model.graph.node:
        kind = node.op_type
        if kind in REFUSED:
            yield _refused(node, REFUSED[kind], "Replace it in the network.")
        if tensorrt and kind in NEWER and version(tensorrt) < version(NEWER[kind][0]):
            since, mend = NEWER[kind]
            yield _refused(
                node, f"TensorRT {tensorrt} has it not, {since} has", f"{mend.capitalize()}."
            )
        if kind == "Resize" and attribute(node, "antialias", 0):
            yield _refused(node, "Resize with antialias is not supported", "Resize without it.")
        if kind == "ConvTranspose":
            strided = max(attribute(node, "strides", [1])) > 1
            if strided and max(attribute(node, "dilations", [1])) > 1:
                yield _refused(node, "strided and dilated at once", "Use Resize and Conv instead.")
    if tensorrt and version(tensorrt) < version("8.6"):
        rewrite = Rewrite(model)
        for node in rewrite.kinds("InstanceNormalization"):
            if any(rewrite.constant(name) is None for name in node.input[1:]):
                yield _refused(
                    node, "its scale or bias is computed", "Lower it: `constant_affine`."
                )


def _refused(node: Node, what: str, mend: str) -> Finding:
    return Finding(
        "operators", node.name or node.op_type, f"{node.op_type}: {what}", mend, fatal=True
    )


def qdq_rules(model: onnx.ModelProto) -> Iterator[Finding]:
    """Find Q/DQ that NVIDIA's parser refuses, or takes and runs in float."""
    rewrite = Rewrite(model)
    for node in rewrite.kinds("QuantizeLinear", "DequantizeLinear"):
        scale, zero = (rewrite.constant(name) for name in (*node.input[1:], "")[:2])
        data = rewrite.constant(node.input[0])
        if scale is None:
            yield _qdq(node, "its scale is computed", "Make it a constant.")
        elif not (scale > 0).all():
            yield _qdq(node, "a scale is not above 0", "Calibrate again.")
        if zero is not None and zero.any():
            yield _qdq(node, "its zero point is not 0", "Quantize symmetrically.")
        if zero is not None and zero.dtype == np.uint8:
            yield _qdq(node, "uint8 codes are taken as int8 and saturate", "Quantize to int8.")
        if data is not None and data.dtype == np.int32:
            yield _qdq(node, "a bias in int32 is refused", "Leave the bias in float.")
        if data is None and scale is not None and scale.size > 1:
            yield _slow(
                node, "one scale a channel for an activation runs in float", "Use one scale."
            )
    for node in rewrite.kinds("Conv", "ConvTranspose", "InstanceNormalization"):
        makers = [rewrite.maker(name) for name in node.input[:2]]
        rounded = [m for m in makers if m is not None and m.op_type == "DequantizeLinear"]
        if rounded and node.op_type != "Conv":
            yield _slow(node, f"{node.op_type} is never INT8: only rounded", "Quantize Conv only.")
        elif len(rounded) == 1:
            yield _slow(node, "only its input or its weight is quantized", "Quantize both.")
        elif (
            rounded and attribute(rounded[1], "axis", 1) != 0 and _channels(rewrite, rounded[1]) > 1
        ):
            yield _slow(node, "weights have a scale along the wrong axis", "Use axis 0.")


def _channels(rewrite: Rewrite, node: Node) -> int:
    scale = rewrite.constant(node.input[1])
    return 1 if scale is None else scale.size


def _qdq(node: Node, what: str, mend: str) -> Finding:
    return Finding("qdq", node.name or node.op_type, what, mend, fatal=True)


def _slow(node: Node, what: str, mend: str) -> Finding:
    return Finding("qdq", node.name or node.op_type, what, mend, fatal=False)


def fp16_range(model: onnx.ModelProto) -> Iterator[Finding]:
    """Find constants that FP16 does not hold, and convolutions of two types."""
    rewrite = Rewrite(model)
    for node in rewrite.nodes:
        values = [rewrite.constant(name) for name in node.input]
        halves = [v for v in values if v is not None and v.dtype == np.float16]
        if any(not np.isfinite(value).all() for value in halves):
            yield Finding(
                "fp16-range",
                node.name,
                f"a constant is beyond {LARGEST:g}",
                "Keep the node in FP32, as an island.",
                fatal=True,
            )
        if node.op_type in ("Conv", "ConvTranspose") and halves:
            source = rewrite.maker(node.input[0])
            widened = source is not None and source.op_type == "Cast"
            if widened and attribute(source, "to") == onnx.TensorProto.FLOAT:  # type: ignore[arg-type]
                yield Finding(
                    "fp16-range",
                    node.name,
                    "its input is FP32 and its weight FP16",
                    "Cast the input to FP16.",
                    fatal=True,
                )


def dla_table(model: onnx.ModelProto) -> Iterator[Finding]:
    """Find what leaves NVDLA for the GPU and comes back: each costs a copy of the picture."""
    places = [i for i, node in enumerate(model.graph.node) if node.op_type == "Conv"]
    inside = model.graph.node[places[0] : places[-1]] if places else []
    for node in inside:
        if node.op_type not in ON_DLA and node.op_type in COSTLY:
            yield Finding(
                "dla",
                node.name,
                f"{node.op_type} does not run on NVDLA",
                "Leave DLA off, or lower with `variant: dla` and train on.",
                fatal=False,
            )
    for port in model.graph.input:
        free = [d.dim_param for d in port.type.tensor_type.shape.dim if not d.HasField("dim_value")]
        if free:
            yield Finding(
                "dla",
                port.name,
                f"its dimensions {', '.join(free)} are free, and NVDLA has none",
                "Fix them: `size: [H, W]` and `batch: 1` of the step `lower`.",
                fatal=False,
            )
