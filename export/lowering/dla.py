"""A variant for NVDLA, which knows no normalization at run time and no padding but zeros.

Neither change keeps the function: the network should be trained on with it. What it costs is
measured and told, never assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from stylepress.export.lowering.rewrite import Node, Rewrite, attribute


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and variance of each channel of a tensor: (C,) each."""

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]


def zero_padded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with every reflecting or repeating Pad before a convolution made its own.

    Inside the picture nothing changes; a border as wide as the network sees does.
    """
    rewrite = Rewrite(model)
    for pad in rewrite.kinds("Pad"):
        users = rewrite.users(pad.output[0])
        pads = rewrite.constant(pad.input[1])
        sides = None if pads is None else pads.reshape(2, -1)
        inner = sides is not None and not sides[:, :2].any() and bool((sides >= 0).all())
        if sides is None or not inner or any(user.op_type != "Conv" for user in users):
            continue
        for conv in users:
            rank = sides.shape[1] - 2
            own = attribute(conv, "pads", [0] * 2 * rank)
            _set(conv, "pads", (np.array(own) + sides[:, 2:].ravel()).tolist())
            _set(conv, "auto_pad", "NOTSET")
            conv.input[0] = pad.input[0]
    return rewrite.done()


def folded_norms(model: onnx.ModelProto, moments: Mapping[str, Moments]) -> onnx.ModelProto:
    """Return the model with frozen normalizations, folded into the convolutions before them.

    ``moments`` are those of each InstanceNormalization's input, seen on pictures. A norm that has
    no convolution of its own before it becomes a multiplication and an addition.
    """
    rewrite = Rewrite(model)
    for norm in rewrite.kinds("InstanceNormalization", "BatchNormalization"):
        factors = _factors(rewrite, norm, moments)
        if factors is None:
            continue
        scale, shift = factors
        conv = rewrite.maker(norm.input[0])
        alone = rewrite.only_user(norm.input[0]) is norm
        if (
            conv is None
            or conv.op_type != "Conv"
            or not alone
            or not _fold(rewrite, conv, scale, shift)
        ):
            name = norm.name
            times = rewrite.keep(scale[:, None, None].astype(np.float32), f"{name}_scale")
            plus = rewrite.keep(shift[:, None, None].astype(np.float32), f"{name}_shift")
            rewrite.add("Add", [rewrite.add("Mul", [norm.input[0], times]), plus], norm.output[0])
            rewrite.remove(norm)
            continue
        rewrite.remove(norm)
        rewrite.rename(norm.input[0], norm.output[0])
    return rewrite.done()


def _factors(
    rewrite: Rewrite, norm: Node, moments: Mapping[str, Moments]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return a and b of ``Norm(x) = a x + b``, a channel each."""
    learned = [rewrite.constant(name) for name in norm.input[1:]]
    if any(value is None for value in learned):
        return None
    weights = [np.asarray(value, np.float64) for value in learned]
    if norm.op_type == "BatchNormalization":
        statistics = Moments(weights[2], weights[3])
    elif norm.input[0] in moments:
        statistics = moments[norm.input[0]]
    else:
        return None
    scale = weights[0] / np.sqrt(statistics.variance + attribute(norm, "epsilon", 1e-5))
    return scale, weights[1] - statistics.mean * scale


def _fold(
    rewrite: Rewrite, conv: Node, scale: NDArray[np.float64], shift: NDArray[np.float64]
) -> bool:
    weight = rewrite.constant(conv.input[1])
    bias = rewrite.constant(conv.input[2]) if len(conv.input) > 2 else np.zeros(len(scale))
    if weight is None or bias is None:
        return False
    conv.input[1] = rewrite.keep(
        (weight * scale[:, None, None, None]).astype(np.float32), f"{conv.name}_folded_weight"
    )
    folded = rewrite.keep((bias * scale + shift).astype(np.float32), f"{conv.name}_folded_bias")
    conv.input[2:] = [folded]
    return True


def _set(node: Node, name: str, value: object) -> None:
    for entry in [one for one in node.attribute if one.name == name]:
        node.attribute.remove(entry)
    node.attribute.append(onnx.helper.make_attribute(name, value))
