"""Which layers an engine really runs, in which precision, and what each takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stylepress.errors import BackendError
from stylepress.runtime.backends import EngineOptions, load_backend
from stylepress.runtime.bundle import Bundle

PROFILED = ("openvino", "onnxruntime")
"""The backends that tell the time of each layer."""
RUNS = 8
"""Runs that a layer's time is the least of: other work on the machine only ever adds to it."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a compiled graph: ``nodes`` are the ONNX nodes that were fused into it.

    ``moves`` says that it only changes the order or the type of what is in memory.
    """

    kind: str
    precision: str
    time_us: float
    nodes: tuple[str, ...]
    moves: bool = False

    @property
    def int8(self) -> bool:
        """Say whether it computes in 8 bit."""
        return self.precision in ("i8", "u8", "int8")


def layers_of(
    bundle: Bundle, backend: str, *, options: EngineOptions, graph: str | None = None
) -> tuple[Layer, ...]:
    """Compile a graph of a bundle with the profiler on, run it, and return its layers in order.

    Times are of one frame of ``options.size``; the profiler itself makes them a little longer.

    Raises:
        BackendError: a backend that tells no layers, is not installed, or cannot load the bundle.
    """
    if backend not in PROFILED:
        raise BackendError(
            f"The backend {backend} does not tell what each layer takes.",
            f"Name one of {', '.join(PROFILED)}.",
        )
    profiled = load_backend(backend).layers
    layers: tuple[Layer, ...] = profiled(bundle, bundle.placed_for(backend, graph), options, RUNS)
    return layers


def summary(layers: Sequence[Layer]) -> str:
    """Say in one line how many convolutions run in 8 bit, and what moving data takes."""
    convolutions = [layer for layer in layers if layer.kind == "Conv"]
    eight = sum(layer.int8 for layer in convolutions)
    whole = sum(layer.time_us for layer in layers)
    moved = sum(layer.time_us for layer in layers if layer.moves)
    share = f"{100 * moved / whole:.0f} %" if whole else "nothing"
    return (
        f"{eight} of {len(convolutions)} convolutions run in INT8; moving and converting data "
        f"takes {share} of {whole / 1e3:.2f} ms"
    )


def by_node(layers: Iterable[Layer], names: Iterable[str]) -> Mapping[str, Layer]:
    """Return the layer that each of some ONNX nodes became part of; those gone are left out."""
    wanted, layer_of = set(names), {}
    for layer in layers:
        for node in layer.nodes:
            if node in wanted and (layer.kind == "Conv" or node not in layer_of):
                layer_of[node] = layer
    return layer_of
