"""The torch_cuda backend: a bundle's graph in PyTorch on the GPU, half precision, channels last.

The only file of the runtime that imports torch. For every shape the whole graph is captured once as
a CUDA graph: at batch 1 these networks are bound by the launching of kernels.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch

from stylepress.errors import BackendError
from stylepress.ports import Graph
from stylepress.runtime.backends import EngineOptions, closed
from stylepress.runtime.bundle import Bundle
from stylepress.runtime.feeds import Array, Feeds, Results, complete, places
from stylepress.runtime.torch_graph import TorchGraph

KEPT_SHAPES = 4
"""Captured graphs kept, each with its memory."""
Shapes = tuple[tuple[int, ...], ...]


def check_device() -> None:
    """Check that PyTorch sees the GPU.

    Raises:
        BackendError: it does not.
    """
    if not torch.cuda.is_available():
        raise BackendError(
            f"PyTorch {torch.__version__} sees no NVIDIA GPU.",
            "Install a build of PyTorch for the CUDA of this driver.",
        )


def open_engine(
    bundle: Bundle, graph: str, options: EngineOptions, prepared: Path | None = None
) -> TorchEngine:
    """Load the verified bytes of a graph; there is nothing to prepare.

    Raises:
        BackendError: the graph has an operator that is not known here.
    """
    network = TorchGraph(bundle.model(graph), torch.device("cuda"), torch.float16)
    return TorchEngine(network, bundle.graph(graph), options)


class Captured:
    """One shape on one stream: pinned memory, its places on the GPU, and what runs between them."""

    def __init__(
        self, network: TorchGraph, arrays: Mapping[str, Array], outputs: list[str]
    ) -> None:
        self._network, self._outputs = network, outputs
        self._cuda = network.device.type == "cuda"
        self._host = {
            name: torch.from_numpy(np.zeros_like(array)) for name, array in arrays.items()
        }
        if self._cuda:
            self._host = {name: tensor.pin_memory() for name, tensor in self._host.items()}
        self._fed = {name: tensor.to(network.device) for name, tensor in self._host.items()}
        self._stream = torch.cuda.Stream() if self._cuda else None  # type: ignore[no-untyped-call]
        self._graph: Any = None
        self._results: dict[str, torch.Tensor] = {}
        self._out: dict[str, torch.Tensor] = {}

    @property
    def captured(self) -> bool:
        """Say whether calls replay a CUDA graph."""
        return self._graph is not None

    def run(self, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        """Copy in, run, copy out; the results are views of memory that the next call writes."""
        for name, array in arrays.items():
            np.copyto(self._host[name].numpy(), array)
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            for name, tensor in self._host.items():
                self._fed[name].copy_(tensor, non_blocking=True)
            if not self._results:
                self._first()
            elif self._graph is not None:
                self._graph.replay()
            else:
                self._results = self._work()
            for name, result in self._results.items():
                if name not in self._out:
                    place = torch.empty(result.shape, dtype=result.dtype, pin_memory=self._cuda)
                    self._out[name] = place
                self._out[name].copy_(result, non_blocking=True)
        if self._stream is not None:
            self._stream.synchronize()
        return {name: tensor.numpy() for name, tensor in self._out.items()}

    def _work(self) -> dict[str, torch.Tensor]:
        return self._network(self._fed, self._outputs)

    def _first(self) -> None:
        """Run twice, so that cuDNN has chosen its kernels, then capture; else stay plain."""
        with torch.backends.cudnn.flags(benchmark=True):
            self._results = self._work()
            if self._stream is None:
                return
            self._results = self._work()
            self._stream.synchronize()
            graph = torch.cuda.CUDAGraph()
            try:
                # Only this thread is watched: others may allocate meanwhile.
                with torch.cuda.graph(
                    graph, stream=self._stream, capture_error_mode="thread_local"
                ):
                    results = self._work()
            except RuntimeError:  # something in it cannot be captured: frames go the plain way
                return
        self._graph, self._results = graph, results
        self._graph.replay()


class TorchEngine:
    """A graph in PyTorch that ``lanes`` callers share: memory and captured graphs each."""

    def __init__(self, network: TorchGraph, graph: Graph, options: EngineOptions) -> None:
        self.graph, self.lanes = graph, options.lanes
        self._network = network
        self._outputs = [port.name for port in graph.outputs]
        self._free: SimpleQueue[OrderedDict[Shapes, Captured]] = SimpleQueue()
        self._all: list[OrderedDict[Shapes, Captured]] = [
            OrderedDict() for _ in range(options.lanes)
        ]
        for shapes in self._all:
            self._free.put(shapes)
        self._open = True

    def run(self, feeds: Feeds, out: Mapping[str, Array] | None = None) -> Results:
        """Run the graph once."""
        arrays = complete(self.graph, feeds)
        results = places(self.graph, out, arrays)
        key = tuple(arrays[port.name].shape for port in self.graph.inputs)
        kept = self._free.get()
        try:
            if not self._open:
                raise closed("torch_cuda")
            if key not in kept:
                kept[key] = Captured(self._network, arrays, self._outputs)
            kept.move_to_end(key)
            while len(kept) > KEPT_SHAPES:
                kept.popitem(last=False)
            for name, value in kept[key].run(arrays).items():
                if name in results:
                    np.copyto(results[name], value)
                else:
                    results[name] = value.copy()
            return results
        except RuntimeError as error:  # also when memory ran out
            kept.clear()
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise BackendError(
                f"PyTorch failed on {', '.join(map(str, key))}: {lines[0][:300]}.",
                "Use fewer lanes or smaller frames, or another backend.",
            ) from error
        finally:
            self._free.put(kept)

    def describe(self) -> Mapping[str, str | int]:
        """Tell version, precision, GPU, and whether calls are replayed as CUDA graphs."""
        device = self._network.device
        runs = [one for kept in self._all for one in kept.values()]
        return {
            "backend": "torch_cuda",
            "version": str(torch.__version__),
            "precision": str(self._network.dtype).removeprefix("torch."),
            "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else "none",
            "threads": self.lanes,
            "lanes": self.lanes,
            "cuda_graph": "yes" if runs and all(one.captured for one in runs) else "no",
        }

    def close(self) -> None:
        """Drop all captured graphs and their memory; calls under way are finished first."""
        if not self._open:
            return
        self._open = False
        for _ in self._all:
            self._free.get().clear()
        for kept in self._all:  # who still waits is told that it is closed
            self._free.put(kept)
