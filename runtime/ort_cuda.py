"""The onnxruntime backend with its CUDA provider: the graph as it is, kernel by kernel, on the GPU."""

from __future__ import annotations

from pathlib import Path

from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import Bundle
from stylepress.runtime.ort import OrtEngine, Provider, need_provider, open_session

CUDA = "CUDAExecutionProvider"
PROVIDERS: tuple[Provider, ...] = (
    (CUDA, {"cudnn_conv_algo_search": "HEURISTIC"}),  # the exhaustive search is done at every size
    "CPUExecutionProvider",
)


def check_device() -> None:
    """Check that this onnxruntime has the provider.

    Raises:
        BackendError: it has not.
    """
    need_provider(CUDA)


def open_engine(
    bundle: Bundle, graph: str, options: EngineOptions, prepared: Path | None = None
) -> OrtEngine:
    """Load the verified bytes of a graph into a session on the GPU; there is nothing to prepare.

    Raises:
        BackendError: this onnxruntime cannot load the graph, or not on the GPU.
    """
    session = open_session(bundle, graph, options, PROVIDERS)
    return OrtEngine(session, bundle.graph(graph), options, "onnxruntime_cuda")
