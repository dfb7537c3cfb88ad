"""Archives of PyTorch: the frame graph of a checkpoint, for programs that stay in PyTorch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from stylepress.errors import ExportError, VerificationError
from stylepress.export.frame_graph import FrameGraph

Archive = Literal["torchscript", "torch-export"]
NAMES: dict[Archive, str] = {"torchscript": "model.ts", "torch-export": "model.pt2"}


def write_archive(graph: FrameGraph, folder: Path, archive: Archive) -> Path:
    """Write the frame graph as one archive that takes any size, and compare it with the module.

    Raises:
        ExportError: PyTorch cannot trace the network.
        VerificationError: what was written draws other pictures.
    """
    place = folder / NAMES[archive]
    graph = graph.eval()
    side = max(graph.least, 32)
    example = _frames(2, side + 3, side + 17)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and still asked for
        try:
            again = _WRITERS[archive](graph, example, place)
        except Exception as error:  # PyTorch raises nearly anything here
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise ExportError(
                f"PyTorch cannot write {archive} of {type(graph.network).__name__}: {reason}.",
                "Use the ONNX bundle, or change what its forward decides by values.",
            ) from error
        for height, width in ((side + 3, side + 17), (side + 32, side + 1)):
            feeds = _frames(1, height, width)
            gap = (again(*feeds).int() - graph(*feeds).int()).abs().max()
            if int(gap) > 1:
                raise VerificationError(
                    f"{archive} draws pictures that differ by {int(gap)} levels at {width}x{height}.",
                    "Use the ONNX bundle: the trace fixed something that follows the size.",
                )
    return place


def _frames(count: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, height, width, 3), generator=generator)
    return pixels.to(torch.uint8), torch.ones(count)


def _script(graph: FrameGraph, example: tuple[Tensor, Tensor], place: Path) -> Any:
    # A trace keeps one branch, so that the sizes it follows are checked on two of them afterwards.
    traced = torch.jit.trace(graph, example, check_trace=False)  # type: ignore[no-untyped-call]
    traced.save(str(place))
    return torch.jit.load(str(place))  # type: ignore[no-untyped-call]


def _export(graph: FrameGraph, example: tuple[Tensor, Tensor], place: Path) -> Any:
    free = torch.export.Dim.DYNAMIC
    shapes = {"frame": {0: free, 1: free, 2: free}, "strength": {0: free}}
    program = torch.export.export(graph, example, dynamic_shapes=shapes)
    torch.export.save(program, place)
    # Its guards hold what the example happened to be, such as two strides that differ.
    return torch.export.load(place).module(check_guards=False)


_WRITERS: dict[Archive, Callable[[FrameGraph, tuple[Tensor, Tensor], Path], Any]] = {
    "torchscript": _script,
    "torch-export": _export,
}
