"""Weights of an ONNX file of old, by the structure of its graph: read, never run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from torch import Tensor

from stylepress.errors import CheckpointError
from stylepress.train.weights.family import some

LIMIT_BYTES = 1 << 30
PLAIN = frozenset({"Pad", "Relu", "Add", "Upsample", "Resize", "Constant", "Identity"})
"""What else a TransformerNet consists of, in the opsets it was exported in."""
SIZES = frozenset(
    {"Shape", "Gather", "Unsqueeze", "Concat", "Cast", "Floor", "Mul", "Slice", "Div"}
)
"""What newer exports compute sizes with."""
TAIL = frozenset({"Clip"})


def onnx_state(path: Path) -> dict[str, Tensor]:
    """Return the weights of an ONNX file by the keys of the network that it is.

    The style transfer networks of the ONNX model zoo (opset 8 and 9) call their tensors by numbers:
    convolutions and instance norms are named in the order of the graph, whatever its opset.

    Raises:
        CheckpointError: damaged, too large, or a graph of another network.
    """
    graph = _graph(path)
    tensors = {one.name: one for one in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    tensors[node.output[0]] = attribute.t
    pairs = list(_layers(graph, tensors))
    foreign = {n.op_type for n in graph.node} - PLAIN - SIZES - TAIL
    foreign -= {"Conv", "InstanceNormalization"}
    named = dict(zip(_names(len(pairs)), pairs, strict=False))
    blocks = (len(pairs) - 11) // 4
    if foreign or len(pairs) < 11 or len(named) != len(pairs) or blocks < 0:
        kinds = sorted({node.op_type for node in graph.node})
        raise CheckpointError(
            f"{path} is an ONNX graph of no known network: {len(pairs)} convolutions and norms "
            f"among {some(kinds, 8)}, where fast style transfer has 11 and 4 for each block, and "
            f"nothing but padding, ReLU and resizing between them.",
            "Name the PyTorch checkpoint that it was exported from.",
        )
    state = {}
    for name, (kind, weight, bias) in named.items():
        if ("in" in name.rsplit(".", 1)[-1]) != (kind == "InstanceNormalization"):
            raise CheckpointError(
                f"{path} is an ONNX graph of no known network: {name} of fast style transfer is "
                f"a {kind} here.",
                "Name the PyTorch checkpoint that it was exported from.",
            )
        place = name if kind == "InstanceNormalization" else f"{name}.conv2d"
        state[f"{place}.weight"], state[f"{place}.bias"] = weight, bias
    return state


def _graph(path: Path) -> onnx.GraphProto:
    if path.stat().st_size > LIMIT_BYTES:
        raise CheckpointError(f"{path} is larger than {LIMIT_BYTES >> 30} GiB.", "Name another.")
    try:
        graph: onnx.GraphProto = onnx.load_model_from_string(path.read_bytes()).graph
    except (DecodeError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is no whole ONNX file ({type(error).__name__}).", "Download it again."
        ) from error
    return graph


def _layers(
    graph: onnx.GraphProto, tensors: dict[str, onnx.TensorProto]
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield kind, weight and bias of the layers that learned something, in order."""
    for node in graph.node:
        if (
            node.op_type in ("Conv", "InstanceNormalization")
            and all(name in tensors for name in node.input[1:3])
            and len(node.input) == 3
        ):
            weight, bias = (_array(tensors[name]) for name in node.input[1:3])
            yield node.op_type, weight, bias


def _array(tensor: onnx.TensorProto) -> Tensor:
    try:
        values = np.array(onnx.numpy_helper.to_array(tensor), np.float32)
    except (ValueError, TypeError, OSError) as error:
        raise CheckpointError(
            f"The tensor {tensor.name!r} cannot be read ({error}).", "Download the file again."
        ) from error
    if not np.isfinite(values).all():
        raise CheckpointError(
            f"The tensor {tensor.name!r} holds values that are not finite.", "Download it again."
        )
    return torch.from_numpy(values)


def _names(count: int) -> list[str]:
    """Name the layers of a TransformerNet in the order of its forward pass.

    >>> _names(11)
    ['conv1', 'in1', 'conv2', 'in2', 'conv3', 'in3', 'deconv1', 'in4', 'deconv2', 'in5', 'deconv3']
    """
    names = ["conv1", "in1", "conv2", "in2", "conv3", "in3"]
    for block in range(1, (count - 11) // 4 + 1):
        names += [f"res{block}.{layer}" for layer in ("conv1", "in1", "conv2", "in2")]
    return [*names, "deconv1", "in4", "deconv2", "in5", "deconv3"]
