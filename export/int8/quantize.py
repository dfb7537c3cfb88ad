"""INT8 after training: Q/DQ on the inputs and weights of convolutions, as every engine takes it.

Symmetric, zero point 0, one step per activation tensor, one step per output channel of a weight,
float biases, float outputs. That form, and no other, runs INT8 on OpenVINO and in NVIDIA's
compilers alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from stylepress.errors import CheckpointError, RecipeError
from stylepress.export.int8.calibration import Observed, observe
from stylepress.export.int8.equalize import equal_factors, equalized
from stylepress.export.int8.histogram import CODES, Activations
from stylepress.picture import Pixels
from stylepress.progress import Progress
from stylepress.steps import QuantizeStep

KeepFloat: TypeAlias = Literal["ends", "first", "last", "none"] | tuple[str, ...]
ZERO = "int8_zero"


@dataclass(frozen=True, slots=True)
class Int8Model:
    """A quantized graph, the step of each quantized tensor, and which convolutions are which."""

    model: onnx.ModelProto
    steps: Mapping[str, float]
    quantized: tuple[str, ...]
    kept_float: tuple[str, ...]
    photos: int


def quantize_int8(
    model: onnx.ModelProto, frames: Iterable[Pixels], *, options: QuantizeStep, progress: Progress
) -> Int8Model:
    """Quantize the convolutions of a float frame graph, with ranges measured on ``frames``.

    ``keep_float`` is a rule or the names of nodes. "first" are the convolutions that no other
    comes before, "last" those that no other follows, "ends" both.

    ``frames`` are (1, H, W, 3) uint8 RGB, taken once and one at a time.

    Raises:
        RecipeError: nothing to quantize, or ``keep_float`` names a node that is not there.
        CheckpointError: NaN or infinity in a weight or an activation; the layer is named.
        FrameError: no frames, or not frames.
    """
    return quantize_observed(
        model,
        observe_inputs(model, frames, options=options, progress=progress),
        options=options,
        progress=progress,
    )


def observe_inputs(
    model: onnx.ModelProto, frames: Iterable[Pixels], *, options: QuantizeStep, progress: Progress
) -> Observed:
    """Run the photos through a float model, and count what its chosen convolutions read.

    Raises:
        RecipeError, CheckpointError, FrameError: as ``quantize_int8``.
    """
    chosen, _ = choose(model, options.keep_float)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in chosen:
        _check_weight(node, numpy_helper.to_array(weights[node.input[1]]))
    return observe(model, _inputs(chosen), frames, progress=progress)


def quantize_observed(
    model: onnx.ModelProto, observed: Observed, *, options: QuantizeStep, progress: Progress
) -> Int8Model:
    """Quantize a float model whose convolutions' inputs were observed: no photo is run.

    ``observed`` may hold more tensors than the options choose, so that one look at the photos
    serves many choices.

    Raises:
        RecipeError: nothing to quantize, or ``keep_float`` names a node that is not there.
    """
    chosen, kept = choose(model, options.keep_float)
    held = {name: observed.tensors[name] for name in _inputs(chosen)}
    factors: dict[str, NDArray[np.float64]] = {}
    if options.equalize:
        factors = equal_factors(model, {name: values.most for name, values in held.items()})
        model = equalized(model, factors)
    steps, means = {}, {}
    for name, values in held.items():
        scale = factors.get(name, np.ones(len(values.most)))
        steps[name] = _step(name, values, scale, options=options, progress=progress)
        means[name] = values.means * scale
    quantized = _Rewrite(model, steps, means if options.correct_bias else {}).run(
        {node.name for node in chosen}
    )
    names = tuple(node.name for node in chosen)
    return Int8Model(quantized, steps, names, tuple(node.name for node in kept), observed.photos)


def _inputs(convolutions: Iterable[onnx.NodeProto]) -> list[str]:
    return list(dict.fromkeys(node.input[0] for node in convolutions))


def _step(
    name: str,
    values: Activations,
    scale: NDArray[np.float64],
    *,
    options: QuantizeStep,
    progress: Progress,
) -> float:
    """Return the size of one int8 step of a tensor whose channels are multiplied by ``scale``."""
    if values.whole and values.most.any():
        return 1.0
    limit = values.pooled(scale).limit(options.calibration, percentile=options.percentile)
    if limit < np.finfo(np.float32).tiny * CODES:
        progress.warn(
            f"Tensor {name!r} was 0 on all calibration photos, so its INT8 range is a guess of 1."
        )
        limit = 1.0
    return float(np.float32(limit / CODES))


def choose(
    model: onnx.ModelProto, keep_float: KeepFloat
) -> tuple[list[onnx.NodeProto], list[onnx.NodeProto]]:
    """Return the convolutions to quantize and those to keep float, in graph order.

    A convolution whose weight is computed in the graph is always kept.

    Raises:
        RecipeError: no convolution is left to quantize, the graph holds Q/DQ already, or
            ``keep_float`` names a node that is no convolution.
    """
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise RecipeError(
            "The model holds QuantizeLinear nodes, so it is quantized already.",
            "Start from the float bundle it was made from.",
        )
    convs = [node for node in model.graph.node if node.op_type == "Conv"]
    names = [node.name for node in convs]
    if isinstance(keep_float, tuple):
        for name in keep_float:
            if name not in names:
                raise RecipeError(
                    f"keep_float names {name!r}, which is no convolution of the model.",
                    f"Name some of: {', '.join(names[:20])}.",
                )
        keep = set(keep_float)
    else:
        keep = set(_ends(model, keep_float))
    fixed = {tensor.name for tensor in model.graph.initializer}
    kept = [node for node in convs if node.name in keep or node.input[1] not in fixed]
    chosen = [node for node in convs if node not in kept]
    if not chosen:
        raise RecipeError(
            f"keep_float leaves none of the {len(convs)} convolutions to quantize.",
            "Keep fewer of them, or ask for precision fp32.",
        )
    return chosen, kept


def _ends(model: onnx.ModelProto, which: Literal["ends", "first", "last", "none"]) -> Iterator[str]:
    """Yield the names of the convolutions that no other comes before, or follows."""
    if which in ("ends", "first"):
        behind: set[str] = set()
        for node in model.graph.node:
            if behind.intersection(node.input):
                behind.update(node.output)
            elif node.op_type == "Conv":
                behind.update(node.output)
                yield node.name
    if which in ("ends", "last"):
        ahead: set[str] = set()
        for node in reversed(model.graph.node):
            if ahead.intersection(node.output):
                ahead.update(node.input)
            elif node.op_type == "Conv":
                ahead.update(node.input)
                yield node.name


def quantize_per_channel(
    weight: NDArray[np.float32], *, most: int | NDArray[np.float32] = CODES
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round each output channel to int8 on its own step, and keep the sum of each kernel.

    What a kernel does to an even picture is its sum; rounding each tap to the nearest code shifts
    the sum of nine by a whole step or more. The phases of an upscaling layer then disagree, which
    prints a grid. So the taps that were nearest to the other code go there, until no sum is off
    by more than half a step.

    Args:
        weight: (O, I, kH, kW), finite.
        most: largest code, at most 127; one, or one for each output channel.

    Returns:
        codes: (O, I, kH, kW) int8 in [-most, most]; -128 stays unused, the zero point is 0.
        step: (O,) float32, weight ~= codes * step[:, None, None, None].
            A channel of zeros gets step 1, not 0.
    """
    step = np.abs(weight).max(axis=(1, 2, 3)) / most
    step = np.where(step >= np.finfo(np.float32).tiny, step, 1).astype(np.float32)
    exact = (weight / step[:, None, None, None]).reshape(*weight.shape[:2], -1)
    codes = np.rint(exact)
    missing = np.rint((exact - codes).sum(-1, keepdims=True))
    way = np.sign(missing)
    # How willing each tap is to move that way; one at the end of the codes cannot.
    ends = np.broadcast_to(np.asarray(most, np.float32), len(weight)).reshape(-1, 1, 1)
    willing = np.where(np.abs(codes + way) <= ends, (exact - codes) * way, -np.inf)
    rank = np.argsort(np.argsort(-willing, axis=-1, kind="stable"), axis=-1, kind="stable")
    codes += way * ((rank < np.abs(missing)) & np.isfinite(willing))
    return codes.clip(-ends, ends).reshape(weight.shape).astype(np.int8), step


def _check_weight(node: onnx.NodeProto, weight: NDArray[np.float32]) -> None:
    if not np.isfinite(weight).all():
        bad = int((~np.isfinite(weight)).any(axis=(1, 2, 3)).sum())
        raise CheckpointError(
            f"{bad} of {len(weight)} output channels of layer {node.name!r} hold NaN or infinity.",
            "Take an earlier checkpoint, or train again with a lower learning rate.",
        )


class _Rewrite:
    """One pass over the nodes of a float model that puts Q/DQ before the chosen convolutions."""

    def __init__(
        self,
        model: onnx.ModelProto,
        steps: Mapping[str, float],
        means: Mapping[str, NDArray[np.float64]],
    ) -> None:
        self.model, self.steps, self.means = model, steps, means
        self.float = {tensor.name: tensor for tensor in model.graph.initializer}
        self.fresh: dict[str, onnx.TensorProto] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.quantized: dict[str, str] = {}
        self.codes: dict[str, tuple[NDArray[np.int8], NDArray[np.float32]]] = {}

    def run(self, chosen: set[str]) -> onnx.ModelProto:
        for node in self.model.graph.node:
            self.nodes.append(self._conv(node) if node.name in chosen else node)
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        del model.graph.node[:], model.graph.initializer[:]
        model.graph.node.extend(self.nodes)
        used = {name for node in self.nodes for name in node.input}
        held = {**self.float, **self.fresh}
        model.graph.initializer.extend(held[name] for name in held if name in used)
        onnx.checker.check_model(model, full_check=True)
        return model

    def _conv(self, node: onnx.NodeProto) -> onnx.NodeProto:
        conv = onnx.NodeProto()
        conv.CopyFrom(node)
        source, weight = node.input[:2]
        bias = node.input[2] if len(node.input) > 2 else ""
        conv.input[:] = [self._activation(source), self._weight(weight), bias]
        if source in self.means and (not bias or bias in self.float):
            conv.input[2] = self._corrected(node, bias)
        elif not bias:
            del conv.input[2]
        return conv

    def _activation(self, name: str) -> str:
        if name not in self.quantized:
            step = self._constant(f"{name}_step", np.float32(self.steps[name]))
            zero = self._constant(ZERO, np.int8(0))
            codes, rounded = f"{name}_int8", f"{name}_rounded"
            self._node("QuantizeLinear", [name, step, zero], codes)
            self._node("DequantizeLinear", [codes, step, zero], rounded)
            self.quantized[name] = rounded
        return self.quantized[name]

    def _weight(self, name: str) -> str:
        if name not in self.quantized:
            codes, step = self._rounded(name)
            inputs = [
                self._constant(f"{name}_int8", codes),
                self._constant(f"{name}_step", step),
                self._constant(f"{name}_zero", np.zeros(len(step), np.int8)),
            ]
            self.quantized[name] = f"{name}_rounded"
            self._node("DequantizeLinear", inputs, f"{name}_rounded", axis=0)
        return self.quantized[name]

    def _rounded(self, name: str) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        if name not in self.codes:
            self.codes[name] = quantize_per_channel(numpy_helper.to_array(self.float[name]))
        return self.codes[name]

    def _corrected(self, node: onnx.NodeProto, bias: str) -> str:
        """Take the mean error that rounded weights make on the photos out of the bias.

        Nagel et al. 2019, arXiv 1906.04721, section 4.2, with means that were seen.
        """
        weight = numpy_helper.to_array(self.float[node.input[1]]).astype(np.float64)
        codes, step = self._rounded(node.input[1])
        error = (codes * step[:, None, None, None].astype(np.float64) - weight).sum(axis=(2, 3))
        means = self.means[node.input[0]]
        outputs, inputs = error.shape
        groups = len(means) // inputs
        shift = np.einsum(
            "goi,gi->go",
            error.reshape(groups, outputs // groups, inputs),
            means.reshape(groups, inputs),
        )
        old = numpy_helper.to_array(self.float[bias]) if bias else np.zeros(outputs)
        return self._constant(f"{node.name}_bias", (old - shift.ravel()).astype(np.float32))

    def _constant(self, name: str, value: NDArray[np.generic] | np.generic) -> str:
        self.fresh.setdefault(name, numpy_helper.from_array(np.asarray(value), name))
        return name

    def _node(self, kind: str, inputs: list[str], output: str, *, axis: int | None = None) -> None:
        node = helper.make_node(kind, inputs, [output], f"{kind}_{output.rpartition('_')[0]}")
        if axis is not None:
            node.attribute.append(helper.make_attribute("axis", axis))
        self.nodes.append(node)
