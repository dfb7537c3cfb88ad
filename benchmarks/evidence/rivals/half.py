"""A float bundle that OpenVINO computes in bfloat16, where the processor can."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import openvino  # type: ignore[import-untyped]

from stylepress.benchmarks.evidence.rivals.rival import Entry, Rival
from stylepress.benchmarks.timing.systems import Pixels
from stylepress.errors import BackendError
from stylepress.runtime.feeds import Array
from stylepress.runtime.ov import PRECISION, RequestPool

HALF, CAPABILITIES = "bf16", "OPTIMIZATION_CAPABILITIES"


def half(name: str, entry: Entry) -> Rival:
    """Compile the float bundle in bfloat16.

    It is what OpenVINO does of itself on such processors; our backend asks for float32, as an
    engine's precision shall not depend on the machine.

    Raises:
        BackendError: this processor has no bfloat16.
    """
    core = openvino.Core()
    if HALF.upper() not in core.get_property("CPU", CAPABILITIES):
        raise BackendError("This processor has no bfloat16.", "Measure on one that has.")
    return rival_of(name, f"openvino {version('openvino')}", HALF, model_of(core, entry), entry)


def model_of(core: Any, entry: Entry) -> Any:
    """Read the float bundle's frame graph, for frames of its size."""
    model = core.read_model(entry.bundle.onnx_path())
    model.reshape({"frame": [1, *entry.size, 3], "strength": [1]})
    return model


def rival_of(name: str, versioned: str, precision: str, model: Any, entry: Entry) -> Rival:
    """Compile a model as our backend does; all but bfloat16 in float32 between INT8."""
    hint = HALF if precision == HALF else PRECISION
    made = openvino.Core().compile_model(model, "CPU", settings(entry.threads, hint))
    pool, graph = RequestPool(made, 1), entry.bundle.graph()

    def run(frame: Pixels) -> Pixels:
        arrays: dict[str, Array] = {"frame": frame, "strength": np.ones(1, np.float32)}
        drawn: Pixels = pool.run(arrays, {"frame_out": np.empty_like(frame)}, graph)["frame_out"]
        return drawn

    return Rival(name, versioned, precision, run)


def settings(threads: int, precision: str = PRECISION) -> dict[str, Any]:
    """Return what our OpenVINO backend compiles one lane with."""
    return {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
    }
