"""Weights of 7 bits, for processors with AVX2 and no INT8 dot products: no sum of a pair saturates.

Such a processor multiplies unsigned activations by signed weights and adds two products in 16 bits
(VPMADDUBSW). Two times 255 x 127 is 64 770, and 16 bits end at 32 767; two times 255 x 64 fit.
Measured in OpenVINO 2026.4 held to AVX2: a convolution that should give 36 000 gave 18 577, and
36 000 with 7 bits (tests/export/lowering/test_sevenbit.py).
"""

from __future__ import annotations

import numpy as np
import onnx

from stylepress.export.int8.quantize import quantize_per_channel
from stylepress.export.lowering.rewrite import Rewrite

LARGEST = 64
"""The largest code of a weight with which no pair leaves 16 bits: 2 x 255 x 64 = 32 640."""


def seven_bit(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a Q/DQ graph whose convolutions have weights of codes in [-64, 64].

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
        if np.abs(codes.astype(np.int16)).max() <= LARGEST:
            continue
        weight = codes.astype(np.float32) * step[:, None, None, None]
        smaller, larger = quantize_per_channel(weight, most=LARGEST)
        done.add(source.input[0])
        work.overwrite(source.input[0], smaller)
        work.overwrite(source.input[1], larger)
    return work.done() if done else model
