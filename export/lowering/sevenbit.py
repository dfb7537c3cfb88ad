"""Weights of 7 bits, for processors with AVX2 and no INT8 dot products: no sum of a pair saturates.

Such a processor multiplies unsigned activations by signed weights and adds two products in 16 bits
(VPMADDUBSW). Two times 255 x 127 is 64 770, and 16 bits end at 32 767; two times 255 x 64 fit, as any
two weights that are 128 together do.
Measured in OpenVINO 2026.4 held to AVX2: a convolution that should give 36 000 gave 18 577, one on
signed activations 145 in place of 18 000; both are right with 7 bits.
"""

from __future__ import annotations

import numpy as np
import onnx

from stylepress.export.int8.quantize import quantize_per_channel
from stylepress.export.lowering.rewrite import Array, Rewrite

PAIR = 128
"""The most that the codes of two weights may be together: 255 x 128 = 32 640."""
SPARE = 2
"""Codes by which rounding, which keeps the sum of a kernel, may lift two weights."""


def seven_bit(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a Q/DQ graph in whose kernels no two weights have codes of more than 128 together.

    The same function but for rounding: steps grow as codes shrink, and the sum of each kernel stays.
    """
    work = Rewrite(model)
    done: set[str] = set()
    for node in work.kinds("Conv"):
        source = work.maker(node.input[1])
        if source is None or source.op_type != "DequantizeLinear" or source.input[0] in done:
            continue
        codes, step = work.constant(source.input[0]), work.constant(source.input[1])
        if codes is None or step is None or codes.dtype != np.int8 or step.ndim != 1:
            continue
        largest, second = _largest_two(codes)
        if (largest + second).max() <= PAIR:
            continue
        together = np.maximum(largest + second, PAIR - SPARE)
        most = np.maximum(np.floor(largest * (PAIR - SPARE) / together), 1)
        weight = codes.astype(np.float32) * step[:, None, None, None]
        smaller, larger = quantize_per_channel(weight, most=most)
        done.add(source.input[0])
        work.overwrite(source.input[0], smaller)
        work.overwrite(source.input[1], larger)
    return work.done() if done else model


def _largest_two(codes: Array) -> tuple[Array, Array]:
    """Return the two largest codes of each output channel, without their signs: (O,) float32."""
    sizes = np.sort(np.abs(codes.astype(np.float32)).reshape(len(codes), -1), axis=1)
    return sizes[:, -1], sizes[:, -2] if sizes.shape[1] > 1 else np.zeros(len(codes), np.float32)
