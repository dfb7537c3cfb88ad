"""The roofline: how soon a frame could be ready on a device at best, by its data sheet alone.

Williams, Waterman and Patterson 2009, doi 10.1145/1498765.1498785. It is an estimate of a floor,
never a measurement, and is shown as that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx

from stylepress.export.macs import cost, shapes_at
from stylepress.targets.target import Precision, Target

BYTES = {"int8": 1, "fp16": 2, "fp32": 4}
PASSES = frozenset(
    {"Conv", "ConvTranspose", "InstanceNormalization", "GroupNormalization", "MatMul", "Gemm"}
)
"""Operators that read and write memory of their own; an engine fuses the rest into them."""


@dataclass(frozen=True, slots=True)
class Floor:
    """The least time of one frame: by moving its tensors, and by its multiply-accumulates.

    None where the profile holds no such figure. Both are estimates from data sheets.
    """

    memory_ms: float | None
    compute_ms: float | None

    @property
    def ms(self) -> float | None:
        """The larger of what is known: neither can be beaten."""
        known = [value for value in (self.memory_ms, self.compute_ms) if value is not None]
        return max(known, default=None)

    def __str__(self) -> str:
        parts = (("memory", self.memory_ms), ("arithmetic", self.compute_ms))
        shown = ", ".join(
            f"{name} {'unknown' if value is None else f'{value:.3g} ms'}" for name, value in parts
        )
        total = "unknown" if self.ms is None else f"{self.ms:.3g} ms"
        return f"estimated floor {total} ({shown})"


def floor(
    model: onnx.ModelProto, target: Target, *, size: tuple[int, int], precision: Precision
) -> Floor:
    """Return the floor of one frame of ``size`` (height, width) on a target, in its power mode.

    Every convolution and every norm reads its inputs and weights and writes its output once, in
    ``precision``; FP32 arithmetic is counted as half of FP16's peak.

    Raises:
        ExportError: a shape cannot be told from the size of the frame.
    """
    mode = target.mode
    peak = None
    if mode is not None:
        half = mode.fp16_tflops
        peak = {"int8": mode.int8_tops, "fp16": half, "fp32": half / 2 if half else None}[precision]
    bandwidth = mode.bandwidth_gb_s if mode else None
    operations = 2 * cost(model, *size).macs
    return Floor(
        memory_ms=moved_bytes(model, size, precision) / bandwidth / 1e6 if bandwidth else None,
        compute_ms=operations / peak / 1e9 if peak else None,
    )


def moved_bytes(model: onnx.ModelProto, size: tuple[int, int], precision: Precision) -> int:
    """Return the bytes that one frame of ``size`` moves at least, without fused layers' own."""
    shapes = shapes_at(model, *size)
    values = 0
    for node in model.graph.node:
        if node.op_type in PASSES:
            for name in (*node.input, *node.output):
                dims = [dim for dim in shapes.get(name, []) if dim is not None]
                values += math.prod(dims) if dims else 0
    height, width = size
    return values * BYTES[precision] + 2 * 3 * height * width
