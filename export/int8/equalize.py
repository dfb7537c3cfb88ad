"""Equal channels: scale what a convolution gives, undo it where it is read, change nothing.

A trained network has loud and quiet channels, and folding a batch norm makes it worse. One INT8
step for a whole tensor then drowns the quiet ones. ReLU and the like let a positive factor pass,
so each channel may be scaled in the weights that make it and back in the weights that read it:
the same function in float, and channels that fill the same range (Nagel et al. 2019, arXiv
1906.04721, section 4.1, with ranges that were seen instead of the weights').
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Labels = NDArray[np.int64]
Factors = NDArray[np.float64]

TRANSPARENT = frozenset({"Relu", "LeakyRelu", "Slice", "Resize", "MaxPool", "AveragePool"})
"""One input, and f(s x) = s f(x) for every s > 0, channel by channel."""
BLIND = frozenset({"Shape", "Size"})
"""Readers that do not look at values."""
QUIETEST = 1e-3
"""A channel quieter than this share of the loudest is scaled as if it were this loud."""


@dataclass
class Channels:
    """Which channels of which tensors must share one factor, and where factors may be changed.

    Every channel that a convolution makes has a label; labels whose channels meet in an addition
    or a pixel shuffle are merged, and those that reach anything else are fixed.
    """

    labels: dict[str, Labels] = field(default_factory=dict)
    makers: list[onnx.NodeProto] = field(default_factory=list)
    readers: list[onnx.NodeProto] = field(default_factory=list)
    _parent: list[int] = field(default_factory=list)
    _fixed: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, model: onnx.ModelProto) -> Channels:
        """Follow the channels of a model whose nodes stand in order."""
        channels = cls()
        weights = {tensor.name: tensor for tensor in model.graph.initializer}
        uses = Counter(name for node in model.graph.node for name in node.input)
        for node in model.graph.node:
            own = all(name in weights and uses[name] == 1 for name in node.input[1:] if name)
            if node.op_type == "Conv" and own:
                channels._convolution(node, weights[node.input[1]].dims[0])
            elif node.op_type == "Add" and all(name in channels.labels for name in node.input):
                one, two = (channels.labels[name] for name in node.input)
                channels._meet(node, one, two) if len(one) == len(two) else channels._fix(node)
            elif node.op_type == "DepthToSpace" and node.input[0] in channels.labels:
                channels._shuffle(node)
            elif node.op_type in TRANSPARENT and _keeps_channels(node, weights):
                if node.input[0] in channels.labels:
                    channels.labels[node.output[0]] = channels.labels[node.input[0]]
            elif node.op_type not in BLIND:
                channels._fix(node)
        for port in model.graph.output:
            channels._fixed.update(channels.labels.get(port.name, np.zeros(0, np.int64)).tolist())
        return channels

    def roots(self, tensor: str) -> Labels:
        """Return the merged label of each channel of a tensor; -1 where the factor is fixed."""
        fixed = {self._root(label) for label in self._fixed}
        roots = [self._root(int(label)) for label in self.labels.get(tensor, ())]
        return np.array([-1 if root in fixed else root for root in roots], np.int64)

    def _convolution(self, node: onnx.NodeProto, channels: int) -> None:
        source = self.labels.get(node.input[0])
        if source is not None and _attribute(node, "group", 1) == 1:
            self.readers.append(node)
        elif source is not None:
            self._fixed.update(source.tolist())
        self.makers.append(node)
        start = len(self._parent)
        self._parent += range(start, start + channels)
        self.labels[node.output[0]] = np.arange(start, start + channels)

    def _meet(self, node: onnx.NodeProto, one: Labels, two: Labels) -> None:
        for a, b in zip(one.tolist(), two.tolist(), strict=True):
            self._parent[self._root(a)] = self._root(b)
        self.labels[node.output[0]] = two

    def _shuffle(self, node: onnx.NodeProto) -> None:
        size = _attribute(node, "blocksize", 1)
        phases = int(size) ** 2 if isinstance(size, int) else 1
        labels = self.labels[node.input[0]]
        columns = _attribute(node, "mode", b"DCR") == b"CRD"
        groups = labels.reshape(-1, phases) if columns else labels.reshape(phases, -1).T
        for first, *others in groups.tolist():
            for other in others:
                self._parent[self._root(other)] = self._root(first)
        self.labels[node.output[0]] = groups[:, 0]

    def _fix(self, node: onnx.NodeProto) -> None:
        for name in node.input:
            self._fixed.update(self.labels.get(name, np.zeros(0, np.int64)).tolist())

    def _root(self, label: int) -> int:
        while self._parent[label] != label:
            self._parent[label] = self._parent[self._parent[label]]
            label = self._parent[label]
        return label


def equal_factors(model: onnx.ModelProto, loudness: Mapping[str, Factors]) -> dict[str, Factors]:
    """Return the factor of each channel of each labelled tensor that makes all as loud as 1.

    ``loudness`` holds the range that each channel needs, for tensors that convolutions read; a
    tensor that is not in it has no say. Channels that may not be scaled get factor 1.
    """
    channels = Channels.of(model)
    wanted: dict[int, float] = {}
    for node in channels.readers:
        ranges = loudness.get(node.input[0])
        if ranges is None or not ranges.max():
            continue
        for root, size in zip(
            channels.roots(node.input[0]).tolist(),
            np.maximum(ranges, QUIETEST * ranges.max()).tolist(),
            strict=True,
        ):
            wanted[root] = max(wanted.get(root, 0.0), size)
    wanted[-1] = 1.0
    return {
        name: np.array([1 / wanted.get(root, 1.0) for root in channels.roots(name).tolist()])
        for name in channels.labels
    }


def equalized(model: onnx.ModelProto, factors: Mapping[str, Factors]) -> onnx.ModelProto:
    """Return the same function with the channels of each tensor multiplied by ``factors``."""
    channels = Channels.of(model)
    scaled_model = onnx.ModelProto()
    scaled_model.CopyFrom(model)
    held = {tensor.name: tensor for tensor in scaled_model.graph.initializer}
    scaled: dict[str, Factors] = {}

    def scale(name: str, factor: Factors) -> None:
        value = scaled.get(name, numpy_helper.to_array(held[name]).astype(np.float64))
        scaled[name] = value * factor

    for node in channels.makers:
        factor = factors[node.output[0]]
        scale(node.input[1], factor[:, None, None, None])
        if len(node.input) > 2 and node.input[2]:
            scale(node.input[2], factor)
    for node in channels.readers:
        scale(node.input[1], 1 / factors[node.input[0]][None, :, None, None])
    for name, value in scaled.items():
        held[name].CopyFrom(numpy_helper.from_array(value.astype(np.float32), name))
    return scaled_model


def _keeps_channels(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> bool:
    if node.op_type != "Slice":
        return True
    axes = weights.get(node.input[3]) if len(node.input) > 3 else None
    return axes is not None and set(numpy_helper.to_array(axes).tolist()) <= {2, 3, -1, -2}


def _attribute(node: onnx.NodeProto, name: str, usual: object) -> object:
    values = (helper.get_attribute_value(entry) for entry in node.attribute if entry.name == name)
    return next(values, usual)
