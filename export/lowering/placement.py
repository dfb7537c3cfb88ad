"""Where Q/DQ stands for ONNX Runtime: outputs too, ReLU folded, bytes through every shuffle.

A bundle quantizes the inputs and weights of convolutions only, which is what OpenVINO and NVIDIA's
compilers want. ONNX Runtime runs a convolution in INT8 only where its output is quantized as well,
with unsigned activations and int32 biases; anything else it computes in float with two more passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx

from stylepress.export.lowering.picture import PictureOut, picture_codes
from stylepress.export.lowering.rewrite import Node, Rewrite, attribute

CODES, LEVELS, MIDDLE = 127, 255, 128
"""Steps of a symmetric int8 range on each side; of a uint8 range; the code of its zero."""
MOVERS = frozenset({"DepthToSpace", "Slice", "Transpose", "Pad", "Resize", "Unsqueeze", "Squeeze"})
"""Operators that move values and compute none, where ``_moves`` agrees: they may move codes."""


@dataclass(frozen=True, slots=True)
class Codes:
    """How uint8 codes stand for values: ``(code - zero) * step``."""

    step: float
    zero: int

    @classmethod
    def of(cls, limit: float, *, positive: bool) -> Codes:
        """Cover [0, limit], or [-limit, limit]."""
        return cls(limit / LEVELS, 0) if positive else cls(limit / CODES, MIDDLE)


@dataclass(frozen=True, slots=True)
class Open:
    """A tensor that is to be quantized and whose range nothing in the graph says.

    It is looked at as ``place``, behind the shuffles; only where ``gate``, the ReLU that follows
    the sum it goes into, lets something through: what is cut off there needs no codes.
    """

    tensor: str
    place: str
    gate: str | None


def unplaced(model: onnx.ModelProto) -> list[Open]:
    """Return the tensors whose range must be known before ``for_onnxruntime`` can quantize them.

    They are the outputs of quantized convolutions that no QuantizeLinear follows, but for shuffles
    and ReLU, and that are not the picture that comes out. The names are those of ``model``.
    """
    placement = _Placement(model, {})
    placement.prepare()
    results = (placement.result(node) for node in placement.convolutions())
    return [placement.watched(name) for name in results if placement.codes_of(name) is None]


def for_onnxruntime(model: onnx.ModelProto, limits: Mapping[str, float]) -> onnx.ModelProto:
    """Return a Q/DQ graph as ONNX Runtime runs it in INT8: the same function but for rounding.

    ``limits`` holds the largest |x| of each tensor that ``unplaced`` names; one that is missing
    leaves its convolution in float. A float graph is given back as it is.
    """
    if not any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        return model
    placement = _Placement(model, limits)
    placement.prepare()
    plan = [(node, placement.codes_of(placement.result(node))) for node in placement.convolutions()]
    placement.unsigned()
    for node, codes in plan:
        if codes is not None:
            placement.place(node, codes)
    placement.codes_through_movers()
    return placement.rewrite.done()


@dataclass
class _Placement:
    """One graph on its way: ``steps`` says how each quantized tensor is coded by now."""

    model: onnx.ModelProto
    limits: Mapping[str, float]
    rewrite: Rewrite = field(init=False)
    pictures: dict[str, PictureOut] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rewrite = Rewrite(self.model)

    def prepare(self) -> None:
        """Bring the graph into a form in which every range is where its convolution is."""
        self._relu_before_shuffle()
        picture_codes(self.rewrite)
        for node in self.convolutions():
            if end := PictureOut.behind(self.rewrite, node.output[0]):
                self.pictures[node.output[0]] = end

    def convolutions(self) -> list[Node]:
        """Return the convolutions whose input and weight are dequantized."""
        quantized = []
        for node in self.rewrite.kinds("Conv"):
            data, weight = (self.rewrite.maker(name) for name in node.input[:2])
            if data is not None and weight is not None:
                both = data.op_type == weight.op_type == "DequantizeLinear"
                if both and self.rewrite.constant(weight.input[0]) is not None:
                    quantized.append(node)
        return quantized

    def result(self, conv: Node) -> str:
        """Return the tensor to quantize: a convolution's output, or that of the ReLU behind it."""
        after = self.rewrite.only_user(conv.output[0])
        relu = after is not None and after.op_type == "Relu"
        return str(after.output[0]) if after is not None and relu else str(conv.output[0])

    def codes_of(self, tensor: str) -> Codes | None:
        """Return how a tensor is to be coded: as what reads it behind shuffles, or by its limit."""
        if tensor in self.pictures:
            return Codes(1.0, MIDDLE)
        positive = self._positive(tensor)
        waiting = [tensor]
        while waiting:
            for node in self.rewrite.users(waiting.pop()):
                if node.op_type == "QuantizeLinear":
                    return self._asked(node, positive=positive)
                if _moves(node, self.rewrite):
                    waiting += node.output
        if tensor in self.limits:
            return Codes.of(self.limits[tensor], positive=positive)
        return None

    def watched(self, tensor: str) -> Open:
        """Say where the range of a tensor shows, and which ReLU decides what counts."""
        place = tensor
        node = self.rewrite.only_user(place)
        while node is not None and _moves(node, self.rewrite):
            place = node.output[0]
            node = self.rewrite.only_user(place)
        if node is not None and node.op_type == "Add":
            relu = self.rewrite.only_user(node.output[0])
            if relu is not None and relu.op_type == "Relu":
                return Open(tensor, place, relu.output[0])
        return Open(tensor, tensor, None)

    def unsigned(self) -> None:
        """Give every int8 activation the uint8 codes of the same range."""
        for node in self.rewrite.kinds("QuantizeLinear"):
            codes = self._asked(node, positive=self._positive(node.input[0]))
            if codes is not None:
                coding = self._coding(codes, node.input[0])
                for each in (node, *self.rewrite.users(node.output[0])):
                    each.input[1:] = coding

    def place(self, conv: Node, codes: Codes) -> None:
        """Quantize what a convolution gives, and its bias."""
        tensor = self.result(conv)
        if tensor in self.pictures:
            self.pictures[tensor].fold(self.rewrite, conv)
        self._bias(conv)
        readers = self.rewrite.users(tensor)
        coding = self._coding(codes, tensor)
        quantized = self.rewrite.add("QuantizeLinear", [tensor, *coding])
        if tensor in self.pictures:
            self.pictures[tensor].read(self.rewrite, quantized)
            return
        back = self.rewrite.add("DequantizeLinear", [quantized, *coding])
        self.rewrite.lead(readers, tensor, back)

    def codes_through_movers(self) -> None:
        """Move codes instead of values wherever a mover stands behind a DequantizeLinear."""
        moved = True
        while moved:
            moved = False
            for node in list(self.rewrite.nodes):
                source = self.rewrite.maker(node.input[0]) if node.input else None
                if source is None or source.op_type != "DequantizeLinear":
                    continue
                if _moves(node, self.rewrite) and self.rewrite.constant(source.input[0]) is None:
                    self._swap(source, node)
                    moved = True
                elif node.op_type == "QuantizeLinear" and self._same_codes(source, node):
                    self.rewrite.lead(
                        self.rewrite.users(node.output[0]), node.output[0], source.input[0]
                    )
                    self.rewrite.remove(node)
                    moved = True

    def _relu_before_shuffle(self) -> None:
        moved = True
        while moved:
            moved = False
            for relu in self.rewrite.kinds("Relu"):
                mover = self.rewrite.maker(relu.input[0])
                alone = self.rewrite.only_user(relu.input[0]) is not None
                if mover is not None and alone and _moves(mover, self.rewrite):
                    before, between, after = mover.input[0], relu.input[0], relu.output[0]
                    mover.output[0], relu.input[0], relu.output[0] = after, before, between
                    mover.input[0] = between
                    moved = True

    def _positive(self, tensor: str) -> bool:
        maker = self.rewrite.maker(tensor)
        while maker is not None and _moves(maker, self.rewrite):
            maker = self.rewrite.maker(maker.input[0])
        return maker is not None and maker.op_type == "Relu"

    def _asked(self, node: Node, *, positive: bool) -> Codes | None:
        """Return the uint8 codes of the range of an int8 QuantizeLinear; None where it is another."""
        step = self.rewrite.number(node.input[1])
        zero = self.rewrite.constant(node.input[2])
        if step is None or zero is None or zero.dtype != np.int8 or zero.any():
            return None
        return Codes.of(step * CODES, positive=positive)

    def _coding(self, codes: Codes, name: str) -> list[str]:
        return [
            self.rewrite.keep(np.float32(codes.step), f"{name}_step_u8"),
            self.rewrite.keep(np.uint8(codes.zero), f"{name}_zero_u8"),
        ]

    def _bias(self, conv: Node) -> None:
        """Round the bias to the int32 that the accumulator holds."""
        data, weight = (self.rewrite.maker(name) for name in conv.input[:2])
        bias = self.rewrite.constant(conv.input[2]) if len(conv.input) > 2 else None
        step = self.rewrite.number(data.input[1]) if data is not None else None
        steps = self.rewrite.constant(weight.input[1]) if weight is not None else None
        if bias is None or step is None or steps is None:
            return
        scale = (np.float32(step) * steps).astype(np.float32)
        codes = np.rint(bias.astype(np.float64) / scale).clip(-(2**31), 2**31 - 1)
        inputs = [
            self.rewrite.keep(codes.astype(np.int32), f"{conv.name}_bias_int32"),
            self.rewrite.keep(scale, f"{conv.name}_bias_step"),
        ]
        conv.input[2] = self.rewrite.add("DequantizeLinear", inputs, axis=0)

    def _swap(self, back: Node, mover: Node) -> None:
        """``mover(back(codes))`` becomes ``back(mover(codes))``; others go on reading ``back``."""
        result = mover.output[0]
        mover.input[0] = back.input[0]
        mover.output[0] = self.rewrite.fresh(f"{result}_codes")
        self.rewrite.add("DequantizeLinear", [mover.output[0], *back.input[1:]], result)

    def _same_codes(self, back: Node, node: Node) -> bool:
        pairs = zip(back.input[1:], node.input[1:], strict=True)
        values = [tuple(self.rewrite.constant(name) for name in pair) for pair in pairs]
        return all(
            one is not None
            and two is not None
            and one.dtype == two.dtype
            and np.array_equal(one, two)
            for one, two in values
        )


def _moves(node: Node, rewrite: Rewrite) -> bool:
    if node.op_type == "Pad":
        return attribute(node, "mode", b"constant") in (b"reflect", b"edge")
    if node.op_type == "Resize":
        return bool(attribute(node, "mode", b"nearest") == b"nearest")
    return node.op_type in MOVERS
