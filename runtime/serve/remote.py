"""An engine that is elsewhere: a v2 server (Triton, or another daemon) reached by tritonclient.

Cameras stay at the edge and the GPU is where it is; the bundle is the same on both sides, so its
ports say what goes over the line.
"""

from __future__ import annotations

from collections.abc import Mapping

import tritonclient.http as triton  # type: ignore[import-untyped]
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from stylepress.errors import BackendError
from stylepress.ports import Graph
from stylepress.runtime.backends import Engine
from stylepress.runtime.bundle import Bundle
from stylepress.runtime.feeds import Array, Feeds, Results, complete
from stylepress.runtime.serve.infer.tensors import NAMES

TIMEOUT_S = 5.0


def open_remote(bundle: Bundle, place: str) -> Engine:
    """Return an engine that asks the model at ``host:port/model``.

    Raises:
        BackendError: the place is malformed.
    """
    host, _, model = place.partition("/")
    if not host or not model or "/" in model:
        raise BackendError(f"{place!r} names no remote model.", "Write host:port/model.")
    return RemoteEngine(bundle.graph(), host, model)


class RemoteEngine:
    """One connection to a v2 server; a call that fails costs its frame, the next connects anew."""

    lanes = 1

    def __init__(self, graph: Graph, host: str, model: str) -> None:
        """Take the ports of the bundle that the server runs."""
        self.graph, self._host, self._model = graph, host, model
        self._offered: set[str] | None = None
        self._client = triton.InferenceServerClient(
            host, connection_timeout=TIMEOUT_S, network_timeout=TIMEOUT_S
        )

    def run(self, feeds: Feeds, out: Mapping[str, Array] | None = None) -> Results:
        """Send the feeds and wait for the results.

        Raises:
            BackendError: the server is away, or refuses.
        """
        arrays = complete(self.graph, feeds)
        try:
            if self._offered is None:
                metadata = self._client.get_model_metadata(self._model)
                self._offered = {port["name"] for port in metadata["inputs"]}
            inputs, parameters = [], {}
            for name, array in arrays.items():
                if name not in self._offered and array.size == array.shape[0]:
                    parameters[name] = float(array[0])  # a server that takes controls so
                    continue
                tensor = triton.InferInput(name, array.shape, NAMES[str(array.dtype)])
                tensor.set_data_from_numpy(array)
                inputs.append(tensor)
            answer = self._client.infer(self._model, inputs, parameters=parameters or None)
        except (InferenceServerException, OSError) as error:
            raise BackendError(
                f"The server {self._host} does not run {self._model} ({error}).",
                "Check that it is up and that the model's name is right.",
            ) from error
        results = {port.name: answer.as_numpy(port.name) for port in self.graph.outputs}
        for name, place in (out or {}).items():
            place[...] = results[name]
        return results

    def describe(self) -> Mapping[str, str | int]:
        """Tell where it runs."""
        return {"backend": "remote", "version": f"{self._host}/{self._model}", "lanes": 1}

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
