"""A float bundle that OpenVINO computes in bfloat16, where the processor can."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import openvino  # type: ignore[import-untyped]

from stylepress.benchmarks.rivals.rival import Rival
from stylepress.errors import BackendError
from stylepress.runtime.bundle import Bundle
from stylepress.runtime.ov import PRECISION, Lanes

HALF, CAPABILITIES = "bf16", "OPTIMIZATION_CAPABILITIES"


def half(name: str, bundle: Bundle, size: tuple[int, int], *, threads: int) -> Rival:
    """Compile a float bundle for frames of ``size`` (height, width) in bfloat16.

    It is what OpenVINO does of itself on such processors; our backend asks for float32, as an
    engine's precision shall not depend on the machine.

    Raises:
        BackendError: this processor has no bfloat16.
    """
    core = openvino.Core()
    if HALF.upper() not in core.get_property("CPU", CAPABILITIES):
        raise BackendError("This processor has no bfloat16. Measure on one that has.")
    model = core.read_model(bundle.onnx_path)
    model.reshape({"frame": [1, *size, 3], "strength": [1]})
    lanes = Lanes(core.compile_model(model, "CPU", settings(threads, HALF)), 1)
    told = f"openvino {version('openvino')}"
    return Rival(name, told, HALF, lambda frame: lanes.run(frame, 1.0))


def settings(threads: int, precision: str = PRECISION) -> dict[str, Any]:
    """Return what our OpenVINO backend compiles one lane with."""
    return {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
    }
