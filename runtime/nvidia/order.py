"""What a plan is built from, as plain values that travel to the process that builds it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from stylepress.ports import Graph

Shape = tuple[int, ...]
Shapes = Mapping[str, tuple[Shape, Shape, Shape]]
"""The least, usual and largest shape of every input."""
Size = tuple[int, int]
Weights = Literal["fixed", "replaceable", "left out"]
Hardware = Literal["none", "ampere_plus", "same_compute_capability"]
MOST: Size = (1080, 1920)
"""The largest picture of a plan whose target asks for no larger one."""


@dataclass(frozen=True, slots=True)
class BuildOrder:
    """One plan to build, by names: the numbers behind them move between versions of TensorRT.

    Attributes:
        package: ``tensorrt`` or ``tensorrt_rtx``.
        onnx: the file, absolute.
        shapes: of the one optimisation profile.
        precisions: that occur in the graph. They are flags on TensorRT 8, which types no graph
            strongly; a newer one takes every type from the graph.
        compute_capability: such as "8.9"; RTX only, which builds for a GPU that is not there.
        workspace_bytes: most that one kernel may use; None for the compiler's own limit.
        tactic_bytes: most that choosing kernels may use, where it can be limited (from 8.6).
        level: optimisation level, 0 to 5 (from 8.6).
        aux_streams: 0 makes memory predictable on a Jetson (from 8.6).
        version_compatible: the plan runs on later versions too (from 8.6).
        hardware: the plan runs on other GPUs too, and loses speed.
        dla_core: NVDLA core; what it cannot do falls back to the GPU.
        weights: fixed in the plan; replaceable later by those of a network of the same shapes; or
            left out, to be filled from the same ONNX file when the plan is loaded (from 10.0).
        tf32: let FP32 convolutions round their inputs to 19 bits.
    """

    package: str
    onnx: str
    shapes: Shapes
    precisions: tuple[str, ...] = ("fp32",)
    compute_capability: str | None = None
    workspace_bytes: int | None = None
    tactic_bytes: int | None = None
    level: int | None = None
    aux_streams: int | None = None
    version_compatible: bool = False
    hardware: Hardware = "none"
    dla_core: int | None = None
    weights: Weights = "fixed"
    tf32: bool = True

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> BuildOrder:
        """Read what ``write`` wrote."""
        values = json.loads(path.read_text(encoding="utf-8"))
        values["precisions"] = tuple(values["precisions"])
        values["shapes"] = {
            name: tuple(tuple(shape) for shape in three) for name, three in values["shapes"].items()
        }
        return cls(**values)


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What came out besides the plan: an error or none, options by name, the compiler's log.

    ``skipped`` names the options that this version does not have: they are not in the plan.
    """

    version: str
    error: str = ""
    applied: Mapping[str, Any] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    log: tuple[tuple[str, str], ...] = ()

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> BuildReport:
        """Read what ``write`` wrote."""
        values = json.loads(path.read_text(encoding="utf-8"))
        values["log"] = tuple((kind, line) for kind, line in values["log"])
        values["skipped"] = tuple(values["skipped"])
        return cls(**values)


def shapes_of(graph: Graph, size: Size, *, batch: int = 1) -> Shapes:
    """Return the shapes of a profile: from a graph's least (height, width) to Full HD or ``size``.

    ``size`` is the one that kernels are chosen for, at ``batch`` pictures.
    """
    least = max((port.least for port in graph.inputs), default=1)
    usual = (max(size[0], least), max(size[1], least))
    largest = (max(usual[0], MOST[0]), max(usual[1], MOST[1]))

    def shape(dims: tuple[int | str, ...], sides: Size, count: int) -> Shape:
        sizes = {"batch": count, "height": sides[0], "width": sides[1]}
        return tuple(dim if isinstance(dim, int) else sizes.get(dim, 1) for dim in dims)

    return {
        port.name: (
            shape(port.shape, (least, least), 1),
            shape(port.shape, usual, batch),
            shape(port.shape, largest, batch),
        )
        for port in graph.inputs
    }
