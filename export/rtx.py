"""TensorRT for RTX: compiles a bundle's ONNX file for a GPU on a machine that has none.

It is a target of its own (desktop RTX), and a real compiler to hold files against; it is not
TensorRT, and what it accepts proves nothing for Jetson. How it is driven, and in which process,
says ``runtime/nvidia``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stylepress.errors import BackendError
from stylepress.ports import Graph
from stylepress.progress import Progress
from stylepress.runtime.nvidia.build import build_plan
from stylepress.runtime.nvidia.layers import CONVOLUTIONS, PlanLayer, read_layers, read_memory
from stylepress.runtime.nvidia.order import BuildOrder, Shapes, Size, shapes_of
from stylepress.runtime.nvidia.package import require

PACKAGE = "tensorrt_rtx"
CAPABILITIES = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True)
class PlanProof:
    """A compiled plan, and what the compiler made of every layer.

    ``applied`` are the options by name, ``shapes`` those of its profile. ``activation_bytes`` and ``weight_bytes`` are what the compiler says the plan will need.
    """

    plan: bytes
    capability: str
    version: str
    layers: tuple[PlanLayer, ...]
    activation_bytes: int
    weight_bytes: int
    applied: Mapping[str, Any]
    shapes: Shapes
    log: tuple[str, ...]

    @property
    def memory_bytes(self) -> int:
        """What the plan needs on the card for the largest frame of its profile."""
        return self.activation_bytes + self.weight_bytes

    @property
    def convolutions(self) -> tuple[PlanLayer, ...]:
        """The kernels that convolve."""
        return tuple(layer for layer in self.layers if layer.kind in CONVOLUTIONS)

    @property
    def int8_convolutions(self) -> tuple[PlanLayer, ...]:
        """Those that read int8."""
        return tuple(layer for layer in self.convolutions if "Int8" in layer.inputs)

    @property
    def reformats(self) -> tuple[PlanLayer, ...]:
        """The kernels that move or transpose, alone or fused with arithmetic."""
        return tuple(layer for layer in self.layers if layer.reformats)


def compile_plan(
    onnx_path: Path,
    graph: Graph,
    *,
    compute_capability: str = "8.9",
    size: Size = (512, 512),
    progress: Progress | None = None,
) -> PlanProof:
    """Compile a graph for one picture of any (height, width) from its least to Full HD or ``size``.

    ``size`` is the one the kernels are chosen for. No GPU and no driver is needed.

    Raises:
        BackendError: the compiler is not installed, knows no such GPU, refuses the file, crashes on
            it, or takes longer than 15 minutes.
    """
    require(PACKAGE)
    if compute_capability not in CAPABILITIES:
        raise BackendError(
            f"TensorRT for RTX makes no plans for compute capability {compute_capability}.",
            f"It knows {', '.join(CAPABILITIES)}.",
        )
    order = BuildOrder(
        package=PACKAGE,
        onnx=str(onnx_path.absolute()),
        shapes=shapes_of(graph, size),
        compute_capability=compute_capability,
    )
    built = build_plan(order, timeout_s=TIMEOUT_S, progress=progress)
    memory = read_memory(built.report.log)
    return PlanProof(
        plan=built.data,
        capability=compute_capability,
        version=built.report.version,
        layers=read_layers(built.report.log),
        activation_bytes=memory.get("activation", 0),
        weight_bytes=memory.get("weights", 0),
        applied=built.report.applied,
        shapes=order.shapes,
        log=tuple(line for _, line in built.report.log),
    )
