"""The engines there are: who offers each, how it is installed, and what opens it here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True, slots=True)
class EngineKind:
    """One way to run a bundle.

    ``package`` is the Python module it needs and ``distributions`` the names under which that is
    published; ``extra`` is the extra of stylepress that brings it, None where the base
    installation does. ``module`` is the file of the runtime that opens it. ``computes`` is false for
    the engine that copies frames, ``gpu`` true for one that needs an NVIDIA GPU.
    """

    package: str
    distributions: tuple[str, ...]
    extra: str | None
    module: str
    computes: bool = True
    gpu: bool = False

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"pip install 'stylepress[{self.extra}]'" if self.extra else "pip install stylepress"

    @property
    def installed(self) -> bool:
        """Say whether its package can be imported, without importing it."""
        return find_spec(self.package) is not None


ENGINES: Mapping[str, EngineKind] = {
    "null": EngineKind("stylepress", ("stylepress",), None, "stylepress.runtime.null", False),
    "onnxruntime": EngineKind(
        "onnxruntime",
        ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino"),
        None,
        "stylepress.runtime.ort",
    ),
    "openvino": EngineKind("openvino", ("openvino",), "openvino", "stylepress.runtime.ov"),
    "tensorrt": EngineKind(
        "tensorrt",
        ("tensorrt", "tensorrt_cu12", "tensorrt_cu13", "nvidia-tensorrt"),
        "tensorrt",
        "stylepress.runtime.nvidia.trt",
        gpu=True,
    ),
    "tensorrt_rtx": EngineKind(
        "tensorrt_rtx", ("tensorrt-rtx",), "rtx", "stylepress.runtime.nvidia.rtx", gpu=True
    ),
    "onnxruntime_cuda": EngineKind(
        "onnxruntime",
        ("onnxruntime-gpu", "onnxruntime"),
        "ort-gpu",
        "stylepress.runtime.ort_cuda",
        gpu=True,
    ),
    "onnxruntime_tensorrt": EngineKind(
        "onnxruntime",
        ("onnxruntime-gpu", "onnxruntime"),
        "ort-gpu",
        "stylepress.runtime.ort_tensorrt",
        gpu=True,
    ),
    "torch_cuda": EngineKind(
        "torch", ("torch",), "torch", "stylepress.runtime.torch_cuda", gpu=True
    ),
}
