"""The onnxruntime backend with its TensorRT provider, which keeps the engines that it builds."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from stylepress.errors import BackendError
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import Bundle
from stylepress.runtime.feeds import Array, Feeds, Results
from stylepress.runtime.nvidia.driver import probe
from stylepress.runtime.nvidia.order import Shape, shapes_of
from stylepress.runtime.ort import OrtEngine, Provider, need_provider, open_session

TENSORRT = "TensorrtExecutionProvider"
USUAL_SIZE = (512, 512)
REDUCED: Mapping[str, tuple[str, ...]] = {
    "int8": ("trt_fp16_enable", "trt_int8_enable"),
    "fp16": ("trt_fp16_enable",),
}
"""What the provider may compute in, by the precision of a bundle."""


def check_device() -> None:
    """Check that this onnxruntime has the provider.

    Raises:
        BackendError: it has not.
    """
    need_provider(TENSORRT)


def device() -> dict[str, str | int]:
    """Tell what a kept engine belongs to beside the machine: the GPU, of any driver."""
    return {f"gpu_{key}": value for key, value in asdict(probe()).items() if key != "driver"}


def prepare(bundle: Bundle, graph: str, options: EngineOptions, folder: Path) -> None:
    """Build the engines of a graph and leave them in ``folder``.

    Raises:
        BackendError: the provider cannot load the graph, or built nothing.
    """
    engine = _opened(bundle, graph, options, folder)
    try:
        engine.run(_blank(bundle, graph, options))
    finally:
        engine.close()
    if not any(folder.iterdir()):
        raise BackendError(
            f"onnxruntime's TensorRT provider kept no engine of {bundle.onnx_path(graph)}.",
            "Use `--backend tensorrt`, or update onnxruntime-gpu.",
        )


def open_engine(
    bundle: Bundle, graph: str, options: EngineOptions, prepared: Path | None = None
) -> KeptEngine:
    """Load a graph with the engines that ``prepare`` left; what is not there is built.

    Raises:
        BackendError: the provider cannot load the graph.
    """
    place = tempfile.TemporaryDirectory(prefix="stylepress-")
    if prepared is not None:  # a copy: the provider writes there, and what is kept is sealed
        shutil.copytree(prepared, place.name, dirs_exist_ok=True)
    try:
        return KeptEngine(_opened(bundle, graph, options, Path(place.name)), place)
    except BackendError:
        place.cleanup()
        raise


class KeptEngine:
    """A session whose engines lie in a folder of its own until it is closed."""

    def __init__(self, engine: OrtEngine, place: tempfile.TemporaryDirectory[str]) -> None:
        self.graph, self.lanes = engine.graph, engine.lanes
        self._engine, self._place = engine, place

    def run(self, feeds: Feeds, out: Mapping[str, Array] | None = None) -> Results:
        """Run the graph once."""
        return self._engine.run(feeds, out)

    def describe(self) -> Mapping[str, str | int]:
        """Tell version, precision and threads."""
        return self._engine.describe()

    def close(self) -> None:
        """Drop the session and its folder."""
        self._engine.close()
        self._place.cleanup()


def settings(bundle: Bundle, graph: str, options: EngineOptions, folder: Path) -> dict[str, str]:
    """Return the options of the provider, by its names."""
    shapes = shapes_of(bundle.graph(graph), options.size or USUAL_SIZE)
    profile = {
        f"trt_profile_{end}_shapes": ",".join(
            f"{name}:{_times(three[place])}" for name, three in shapes.items()
        )
        for place, end in enumerate(("min", "opt", "max"))
    }
    allowed = REDUCED.get(str(bundle.artifact.made_by.get("precision")), ())
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
        **dict.fromkeys(allowed, "1"),
        **profile,
    }


def _opened(bundle: Bundle, graph: str, options: EngineOptions, folder: Path) -> OrtEngine:
    first: Provider = (TENSORRT, settings(bundle, graph, options, folder))
    session = open_session(bundle, graph, options, [first, "CPUExecutionProvider"])
    return OrtEngine(session, bundle.graph(graph), options, "onnxruntime_tensorrt")


def _blank(bundle: Bundle, graph: str, options: EngineOptions) -> Feeds:
    """Return feeds of zeros in the usual shapes; the provider builds when it first runs."""
    shapes = shapes_of(bundle.graph(graph), options.size or USUAL_SIZE)
    return {
        port.name: np.full(shapes[port.name][1], port.low or 0, port.dtype)
        for port in bundle.graph(graph).inputs
    }


def _times(shape: Shape) -> str:
    return "x".join(map(str, shape))
