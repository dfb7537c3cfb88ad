"""An ONNX graph as calls of PyTorch, for ``torch_cuda``: read with the onnx package, run node by node.

PyTorch has no INT8 convolution on a GPU: of a Q/DQ pair only its range is left, in which values are
clamped, together with the ReLU before it. Shapes are computed on the processor: nothing waits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch.nn import functional

from stylepress.errors import BackendError

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class Call:
    """One node: its operator, the names it reads and writes, its attributes by name."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]
    in_place: bool
    """Nobody else reads what it reads, and that is its own memory."""


class TorchGraph:
    """A graph that runs on a device: float tensors in ``dtype``, whole numbers on the processor.

    Raises:
        BackendError: it has an operator that is not known here.
    """

    def __init__(self, data: bytes, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        graph = onnx.load_from_string(data).graph
        arrays = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        aliases: dict[str, str] = {}
        readers = Counter(name for node in graph.node for name in node.input)
        readers.update(output.name for output in graph.output)
        self._types = {o.name: _torch_type(o.type.tensor_type.elem_type) for o in graph.output}
        self._calls: list[Call] = []
        fresh: set[str] = set()
        for node in graph.node:
            inputs = tuple(aliases.get(name, name) for name in node.input)
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "DequantizeLinear":
                if inputs[0] in arrays:
                    arrays[node.output[0]] = _dequantized(arrays, inputs, attributes)
                else:
                    aliases[node.output[0]] = inputs[0]
                continue
            if node.op_type == "QuantizeLinear":
                low, high = _range(arrays, inputs)
                alone = (
                    self._calls and self._calls[-1].output == inputs[0] and readers[inputs[0]] == 1
                )
                if alone and self._clamps(low, high):
                    aliases[node.output[0]] = inputs[0]
                    continue
                attributes = {"low": low, "high": high}
            elif node.op_type == "Constant":
                arrays[node.output[0]] = _constant(attributes)
                continue
            elif node.op_type not in OPERATORS:
                raise BackendError(
                    f"The backend torch_cuda does not know the operator {node.op_type} "
                    f"(node {node.name or node.output[0]}).",
                    "Choose another backend.",
                )
            in_place = inputs[0] in fresh and readers[inputs[0]] == 1
            self._calls.append(Call(node.op_type, inputs, node.output[0], attributes, in_place))
            if node.op_type in NEW_MEMORY:
                fresh.add(node.output[0])
        used = {name for call in self._calls for name in call.inputs}
        # What is read while kernels are launched lies here: asking a GPU for it would wait for it.
        asked = {
            name
            for call in self._calls
            for name in call.inputs[1:]
            if call.operator in ("Clip", "Resize", "Pad")
        }
        self._weights = {
            name: torch.from_numpy(np.array(array)) if name in asked else self._placed(array)
            for name, array in arrays.items()
            if name in used
        }

    def __call__(self, fed: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """Run it on tensors by input name; return the outputs by name."""
        values: dict[str, Any] = {"": None, **self._weights}
        for name, tensor in fed.items():
            values[name] = tensor.to(self.dtype) if tensor.is_floating_point() else tensor
        for call in self._calls:
            values[call.output] = OPERATORS[call.operator](
                self, call, *(values[name] for name in call.inputs)
            )
        return {name: values[name].to(self._types[name]) for name in outputs}

    def _clamps(self, low: float, high: float) -> bool:
        """Let the last call, where it is a ReLU, stop at ``high`` as well; say whether it does."""
        last = self._calls[-1]
        if last.operator != "Relu":
            return False
        limits = {"low": max(low, 0.0), "high": high}
        self._calls[-1] = replace(last, operator="QuantizeLinear", attributes=limits)
        return True

    def cast(self, value: Tensor, to: int) -> Tensor:
        """Return a tensor of an ONNX type; every float is of this graph's own."""
        dtype = _torch_type(to)
        return value.to(self.dtype if dtype.is_floating_point else dtype)

    def _placed(self, array: np.ndarray[Any, Any]) -> Tensor:
        tensor = torch.from_numpy(np.array(array))
        if not tensor.is_floating_point() or not tensor.ndim:
            return tensor
        placed = tensor.to(self.device, self.dtype)
        return placed.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else placed


def _torch_type(number: int) -> torch.dtype:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(number)
    return torch.from_numpy(np.zeros(0, dtype)).dtype


def _dequantized(
    arrays: Mapping[str, np.ndarray[Any, Any]], inputs: Sequence[str], attributes: Mapping[str, Any]
) -> np.ndarray[Any, Any]:
    codes, step = arrays[inputs[0]].astype(np.float32), arrays[inputs[1]].astype(np.float32)
    zero = arrays[inputs[2]].astype(np.float32) if len(inputs) > 2 else np.zeros_like(step)
    if step.ndim:
        shape = [1] * codes.ndim
        shape[attributes.get("axis", 1)] = -1
        step, zero = step.reshape(shape), zero.reshape(shape)
    weights: np.ndarray[Any, Any] = (codes - zero) * step
    return weights


def _range(
    arrays: Mapping[str, np.ndarray[Any, Any]], inputs: Sequence[str]
) -> tuple[float, float]:
    """Return the smallest and the largest value that codes of a QuantizeLinear can stand for."""
    zero = arrays[inputs[2]] if len(inputs) > 2 else np.zeros((), np.uint8)
    ends, step = np.iinfo(zero.dtype), float(arrays[inputs[1]])
    return (ends.min - int(zero)) * step, (ends.max - int(zero)) * step


def _constant(attributes: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    (name, value), *_ = attributes.items()
    if name == "value":
        return numpy_helper.to_array(value)
    return np.array(value, np.float32 if "float" in name else np.int64)


def _whole(value: Tensor | None) -> list[int]:
    return [] if value is None else [int(number) for number in value.reshape(-1)]


def _pair(net: TorchGraph, one: Any, two: Any) -> tuple[Any, Any]:
    # Sizes and other whole numbers lie on the processor; in arithmetic with pictures they follow.
    if one.device != two.device and one.ndim and two.ndim:
        one, two = one.to(net.device), two.to(net.device)
    if one.is_floating_point() != two.is_floating_point():
        one, two = one.to(net.dtype), two.to(net.dtype)
    return one, two


def _binary(work: Callable[[Any, Any], Tensor]) -> Callable[..., Tensor]:
    return lambda net, call, one, two: work(*_pair(net, one, two))


def _divide(one: Tensor, two: Tensor) -> Tensor:
    return one / two if one.is_floating_point() else torch.div(one, two, rounding_mode="trunc")


def _convolve(net: TorchGraph, call: Call, x: Tensor, weight: Tensor, bias: Any = None) -> Tensor:
    at = call.attributes
    (top, left, bottom, right) = at.get("pads", (0, 0, 0, 0))
    if (top, left) != (bottom, right):
        x, (top, left) = functional.pad(x, (left, right, top, bottom)), (0, 0)
    stride, dilation = tuple(at.get("strides", (1, 1))), tuple(at.get("dilations", (1, 1)))
    return functional.conv2d(x, weight, bias, stride, (top, left), dilation, at.get("group", 1))


def _deconvolve(net: TorchGraph, call: Call, x: Tensor, weight: Tensor, bias: Any = None) -> Tensor:
    at = call.attributes
    more, pads = tuple(at.get("output_padding", (0, 0))), tuple(at.get("pads", (0, 0, 0, 0))[:2])
    stride, dilation = tuple(at.get("strides", (1, 1))), tuple(at.get("dilations", (1, 1)))
    groups = at.get("group", 1)
    return functional.conv_transpose2d(x, weight, bias, stride, pads, more, groups, dilation)


def _shuffle(net: TorchGraph, call: Call, x: Tensor) -> Tensor:
    """Move channels into pixels, with the result in channels last: (N, C, H, W)."""
    block, (count, channels, height, width) = call.attributes["blocksize"], x.shape
    deep, flat = channels // block**2, x.permute(0, 2, 3, 1)
    if call.attributes.get("mode", b"DCR") == b"DCR":
        parts = flat.reshape(count, height, width, block, block, deep).permute(0, 1, 3, 2, 4, 5)
    else:
        parts = flat.reshape(count, height, width, deep, block, block).permute(0, 1, 4, 2, 5, 3)
    return parts.reshape(count, height * block, width * block, deep).permute(0, 3, 1, 2)


def _unshuffle(net: TorchGraph, call: Call, x: Tensor) -> Tensor:
    """Move pixels into channels, depth slowest as ONNX says: (N, C, H, W)."""
    block, (count, channels, height, width) = call.attributes["blocksize"], x.shape
    flat = x.permute(0, 2, 3, 1)
    parts = flat.reshape(count, height // block, block, width // block, block, channels)
    moved = parts.permute(0, 1, 3, 2, 4, 5)
    deep = channels * block**2
    return moved.reshape(count, height // block, width // block, deep).permute(0, 3, 1, 2)


def _slice(
    net: TorchGraph, call: Call, x: Tensor, starts: Tensor, ends: Tensor, axes: Any = None,
    steps: Any = None,
) -> Tensor:  # fmt: skip
    where: list[slice] = [slice(None)] * x.ndim
    named = _whole(axes) or list(range(len(starts)))
    for axis, start, end, step in zip(
        named, _whole(starts), _whole(ends), _whole(steps) or [1] * len(named), strict=True
    ):
        where[axis] = slice(start, end, step)
    return x[tuple(where)]


def _pad(net: TorchGraph, call: Call, x: Tensor, pads: Tensor, value: Any = None, axes: Any = None) -> Tensor:  # fmt: skip
    sizes, named = _whole(pads), _whole(axes) or list(range(x.ndim))
    by_axis = {axis % x.ndim: (sizes[i], sizes[i + len(named)]) for i, axis in enumerate(named)}
    mode = {b"reflect": "reflect", b"edge": "replicate"}.get(
        call.attributes.get("mode", b"constant"), "constant"
    )
    last = [by_axis.get(axis, (0, 0)) for axis in reversed(range(x.ndim))]
    while len(last) > 2 and last[-1] == (0, 0):  # PyTorch mirrors the last axes only
        last.pop()
    flat = [size for pair in last for size in pair]
    number = float(value) if value is not None and mode == "constant" else None
    return functional.pad(x, flat, mode, number)


def _norm(net: TorchGraph, call: Call, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    # Squares of half precision overflow above 256: statistics are taken in float32.
    epsilon = call.attributes.get("epsilon", 1e-5)
    normed = functional.instance_norm(
        x.float(), weight=scale.float(), bias=shift.float(), eps=epsilon
    )
    return normed.to(x.dtype)


def _resize(net: TorchGraph, call: Call, x: Tensor, region: Any = None, scales: Any = None, sizes: Any = None) -> Tensor:  # fmt: skip
    if sizes is not None:
        wanted = _whole(sizes)[-2:]
    else:
        wanted = [int(n * float(s)) for n, s in zip(x.shape[-2:], scales[-2:], strict=True)]
    if call.attributes.get("mode", b"nearest") == b"nearest":
        return functional.interpolate(x, size=wanted, mode="nearest")
    return functional.interpolate(x, size=wanted, mode="bilinear", align_corners=False)


def _limit(net: TorchGraph, call: Call, x: Tensor, *codes: Tensor) -> Tensor:
    low, high = call.attributes["low"], call.attributes["high"]
    return x.clamp_(low, high) if call.in_place else x.clamp(low, high)


def _clip(net: TorchGraph, call: Call, x: Tensor, low: Any = None, high: Any = None) -> Tensor:
    return x.clamp(None if low is None else float(low), None if high is None else float(high))


def _reduce(net: TorchGraph, call: Call, x: Tensor, axes: Any = None) -> Tensor:
    named = _whole(axes) or list(call.attributes.get("axes", range(x.ndim)))
    return x.float().mean(named, keepdim=bool(call.attributes.get("keepdims", 1))).to(x.dtype)


def _squeeze(net: TorchGraph, call: Call, x: Tensor, axes: Any = None) -> Tensor:
    return x.squeeze(_whole(axes)) if axes is not None else x.squeeze()


def _unsqueeze(net: TorchGraph, call: Call, x: Tensor, axes: Tensor) -> Tensor:
    for axis in sorted(_whole(axes)):
        x = x.unsqueeze(axis)
    return x


def _reshape(net: TorchGraph, call: Call, x: Tensor, shape: Tensor) -> Tensor:
    sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(_whole(shape))]
    return x.reshape(sizes)


def _gather(net: TorchGraph, call: Call, x: Tensor, at: Tensor) -> Tensor:
    axis = call.attributes.get("axis", 0) % x.ndim
    taken = x.index_select(axis, at.reshape(-1).to(x.device))
    return taken.reshape(*x.shape[:axis], *at.shape, *x.shape[axis + 1 :])


def _shape(net: TorchGraph, call: Call, x: Tensor) -> Tensor:
    at = call.attributes
    return torch.tensor(list(x.shape)[at.get("start", 0) : at.get("end")], dtype=torch.int64)


OPERATORS: Mapping[str, Callable[..., Tensor]] = {
    "Add": _binary(torch.add),
    "Cast": lambda net, call, x: net.cast(x, call.attributes["to"]),
    "Clip": _clip,
    "Concat": lambda net, call, *x: torch.cat(x, call.attributes["axis"]),
    "Conv": _convolve,
    "ConvTranspose": _deconvolve,
    "DepthToSpace": _shuffle,
    "Div": _binary(_divide),
    "Floor": lambda net, call, x: torch.floor(x),
    "Gather": _gather,
    "Identity": lambda net, call, x: x,
    "InstanceNormalization": _norm,
    "LeakyRelu": lambda net, call, x: functional.leaky_relu(x, call.attributes.get("alpha", 0.01)),
    "Max": _binary(torch.maximum),
    "Min": _binary(torch.minimum),
    "Mod": _binary(torch.remainder),
    "Mul": _binary(torch.mul),
    "Neg": lambda net, call, x: -x,
    "Pad": _pad,
    "QuantizeLinear": _limit,
    "ReduceMean": _reduce,
    "Relu": lambda net, call, x: functional.relu(x, inplace=call.in_place),
    "Reshape": _reshape,
    "Resize": _resize,
    "Round": lambda net, call, x: torch.round(x),
    "Shape": _shape,
    "Sigmoid": lambda net, call, x: torch.sigmoid(x),
    "Slice": _slice,
    "SpaceToDepth": _unshuffle,
    "Sqrt": lambda net, call, x: torch.sqrt(x),
    "Squeeze": _squeeze,
    "Sub": _binary(torch.sub),
    "Tanh": lambda net, call, x: torch.tanh(x),
    "Transpose": lambda net, call, x: x.permute(tuple(call.attributes["perm"])),
    "Unsqueeze": _unsqueeze,
}  # fmt: skip
NEW_MEMORY = frozenset({"Conv", "ConvTranspose", "Add", "DepthToSpace", "InstanceNormalization"})
"""Operators whose result is memory of its own, never a view of what they read."""
