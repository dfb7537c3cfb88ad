"""The two ends of a frame graph: where codes of the network are the levels of the picture itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from stylepress.export.lowering.rewrite import Array, Node, Rewrite

LEVELS, MIDDLE = 255, 128
AFFINE: Mapping[str, Callable[[float, float, float], tuple[float, float]]] = {
    "Add": lambda scale, shift, value: (scale, shift + value),
    "Sub": lambda scale, shift, value: (scale, shift - value),
    "Mul": lambda scale, shift, value: (scale * value, shift * value),
    "Div": lambda scale, shift, value: (scale / value, shift / value),
}
"""What each does to ``scale * x + shift``, where its second input is a number."""
STILL = frozenset({"DepthToSpace", "Slice", "Transpose"})
NEAR = 1e-4
"""Of a level: how far from a whole one the code of zero may be."""


def picture_codes(rewrite: Rewrite) -> None:
    """Let the first convolutions read the frame's own bytes, where these are codes of their input.

    ``Quantize(scale * frame + shift)`` becomes ``Dequantize(frame)`` with ``scale`` as its step and
    the level that stands for 0 as its zero point: nothing is rounded any more.
    """
    for node in rewrite.kinds("QuantizeLinear"):
        steps = _back_to_frame(rewrite, node.input[0])
        if steps is None:
            continue
        scale, shift = 1.0, 0.0
        cast, *chain = steps
        for each in chain:
            number = _operand(rewrite, each)
            if number is not None:
                scale, shift = AFFINE[each.op_type](scale, shift, number)
        zero = -shift / scale
        if scale <= 0 or abs(zero - round(zero)) > NEAR or not 0 <= round(zero) <= LEVELS:
            continue
        codes = cast.input[0]
        for each in chain:
            if each.op_type in STILL:
                codes = rewrite.add(
                    each.op_type,
                    [codes, *each.input[1:]],
                    **{a.name: onnx.helper.get_attribute_value(a) for a in each.attribute},
                )
        coding = [
            rewrite.keep(np.float32(scale), "frame_step"),
            rewrite.keep(np.uint8(round(zero)), "frame_zero"),
        ]
        for back in rewrite.users(node.output[0]):
            old = back.output[0]
            rewrite.lead(rewrite.users(old), old, rewrite.add("DequantizeLinear", [codes, *coding]))


def _back_to_frame(rewrite: Rewrite, tensor: str) -> list[Node] | None:
    """Return the Cast of a uint8 input and what follows it up to ``tensor``, in order."""
    frames = {
        port.name
        for port in rewrite.graph.input
        if port.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    }
    chain: list[Node] = []
    node = rewrite.maker(tensor)
    while node is not None:
        chain.insert(0, node)
        if node.op_type == "Cast" and node.input[0] in frames:
            return chain
        if node.op_type not in STILL and _operand(rewrite, node) is None:
            return None
        node = rewrite.maker(node.input[0])
    return None


def _operand(rewrite: Rewrite, node: Node) -> float | None:
    return rewrite.number(node.input[1]) if node.op_type in AFFINE else None


@dataclass(frozen=True)
class PictureOut:
    """What stands between the last convolution and its levels: ``scale * y + shift``, clipped."""

    scale: float
    shift: float
    movers: tuple[Node, ...]
    clip: Node

    @classmethod
    def behind(cls, rewrite: Rewrite, tensor: str) -> PictureOut | None:
        """Return it for a tensor that only reaches Clip(0, 255), by shuffles and numbers."""
        scale, shift, movers = 1.0, 0.0, list[Node]()
        node = rewrite.only_user(tensor)
        while node is not None:
            if node.op_type == "Clip":
                bounds = [rewrite.number(name) for name in node.input[1:]]
                return cls(scale, shift, tuple(movers), node) if bounds == [0, LEVELS] else None
            number = _operand(rewrite, node)
            if number is not None:
                scale, shift = AFFINE[node.op_type](scale, shift, number)
            elif node.op_type in STILL:
                movers.append(node)
            else:
                return None
            node = rewrite.only_user(node.output[0])
        return None

    def fold(self, rewrite: Rewrite, conv: Node) -> None:
        """Let the convolution give levels less 128 itself, so that its codes are levels."""
        weight = rewrite.maker(conv.input[1])
        old = rewrite.constant(conv.input[2]) if len(conv.input) > 2 else None
        steps = rewrite.constant(weight.input[1]) if weight is not None else None
        if weight is None or steps is None:
            return
        outputs = len(np.atleast_1d(steps))
        bias: Array = old if old is not None else np.zeros(outputs, np.float32)
        moved = bias.astype(np.float64) * self.scale + self.shift - MIDDLE
        weight.input[1] = rewrite.keep(
            (steps * np.float32(self.scale)).astype(np.float32), f"{conv.name}_levels_step"
        )
        name = rewrite.keep(moved.astype(np.float32), f"{conv.name}_levels_bias")
        conv.input[2:] = [name]

    def read(self, rewrite: Rewrite, codes: str) -> None:
        """Take the levels from ``codes`` instead of through Clip."""
        for node in self.movers:
            codes = rewrite.add(
                node.op_type,
                [codes, *node.input[1:]],
                **{a.name: onnx.helper.get_attribute_value(a) for a in node.attribute},
            )
        levels = rewrite.add("Cast", [codes], to=onnx.TensorProto.FLOAT)
        rewrite.lead(rewrite.users(self.clip.output[0]), self.clip.output[0], levels)
