"""The backend that copies the frame: what the harness around an engine costs by itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from stylepress import __version__
from stylepress.errors import BackendError
from stylepress.ports import Graph
from stylepress.runtime.backends import EngineOptions, closed
from stylepress.runtime.bundle import Bundle
from stylepress.runtime.feeds import Array, Feeds, Results, complete, places


def open_engine(
    bundle: Bundle, graph: str, options: EngineOptions, prepared: Path | None = None
) -> NullEngine:
    """Return an engine that reads nothing of the bundle but its ports.

    Raises:
        BackendError: the graph does not map pictures to pictures.
    """
    ports = bundle.graph(graph)
    if ports.picture is None or ports.picture_out is None or len(ports.outputs) > 1:
        raise BackendError(
            f"The null backend copies pictures, and the graph {graph!r} of "
            f"{bundle.artifact.folder} does not map one to one.",
            "Name another backend.",
        )
    return NullEngine(ports, options)


class NullEngine:
    """Give every picture back as it came, in a new array."""

    def __init__(self, graph: Graph, options: EngineOptions) -> None:
        self.graph, self.lanes = graph, options.lanes
        self._source = graph.picture.name if graph.picture else ""
        self._sink = graph.outputs[0].name
        self._open = True

    def run(self, feeds: Feeds, out: Mapping[str, Array] | None = None) -> Results:
        """Copy (N, H, W, 3) uint8."""
        arrays = complete(self.graph, feeds)
        results = places(self.graph, out, arrays)
        if not self._open:
            raise closed("null")
        frame = arrays[self._source]
        np.copyto(results.setdefault(self._sink, np.empty_like(frame)), frame)
        return results

    def describe(self) -> Mapping[str, str | int]:
        """Tell that one thread of the caller does it all."""
        return {
            "backend": "null",
            "version": __version__,
            "precision": "uint8",
            "threads": 1,
            "lanes": self.lanes,
        }

    def close(self) -> None:
        """Refuse frames from now on."""
        self._open = False
