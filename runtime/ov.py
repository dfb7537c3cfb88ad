"""The OpenVINO backend, on the processor; by far the fastest on x86."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from queue import SimpleQueue
from threading import Lock
from typing import Any

import numpy as np
import openvino  # type: ignore[import-untyped]

from stylepress.errors import BackendError
from stylepress.runtime.backends import EngineOptions, check_frame, closed
from stylepress.runtime.bundle import Bundle, Pixels

PRECISION = "f32"
"""Of what is not INT8 in the graph; unset, OpenVINO computes in bf16 where the processor can."""
KEPT_SHAPES = 3
"""Compiled graphs kept for frames of other shapes than the one asked for."""

Shape = tuple[int, ...]
ANY: Shape = ()


def open_engine(bundle: Bundle, options: EngineOptions) -> OvEngine:
    """Compile the verified bytes of the frame graph, for ``options.size`` if that is given.

    Raises:
        BackendError: this OpenVINO cannot read or compile the graph.
    """
    return OvEngine(Compiler(bundle, options), bundle.least, options)


class Compiler:
    """Compile one frame graph, for one shape or for any."""

    def __init__(self, bundle: Bundle, options: EngineOptions) -> None:
        self.lanes = options.lanes
        self.place, self.opset = bundle.onnx_path, bundle.facts.opsets.get("")
        self._core = openvino.Core()
        self._settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": PRECISION,
            "PERFORMANCE_HINT": "LATENCY" if options.lanes == 1 else "THROUGHPUT",
            "NUM_STREAMS": options.lanes,
            "INFERENCE_NUM_THREADS": max(options.all_threads, options.lanes),
            # Pinned threads cannot step aside for the decoder and the encoder.
            "ENABLE_CPU_PINNING": False,
        }
        self._cache = {} if options.cache is None else {"CACHE_DIR": str(options.cache)}
        data = bundle.model()
        try:
            self._model = self._core.read_model(model=data)
        except RuntimeError as error:
            raise self._refused("read", error) from error

    def compile(self, shape: Shape, *, usual: bool) -> Lanes:
        """Compile for frames of one (N, H, W, 3) shape, or of ANY; only the usual one is cached."""
        model = self._model.clone()
        settings = {**self._settings, **(self._cache if usual else {})}
        try:
            if shape:
                model.reshape({"frame": list(shape), "strength": [shape[0]]})
            return Lanes(self._core.compile_model(model, "CPU", settings), self.lanes)
        except RuntimeError as error:
            raise self._refused("compile", error) from error

    def _refused(self, verb: str, error: Exception) -> BackendError:
        return BackendError(
            f"OpenVINO {version()} cannot {verb} {self.place} (opset {self.opset}): "
            f"{_reason(error)}. Update openvino, or choose the onnxruntime backend."
        )


class Lanes:
    """A compiled graph with one infer request for each frame that is worked on at once."""

    def __init__(self, compiled: Any, lanes: int) -> None:
        self.compiled = compiled
        self._free: SimpleQueue[Any] = SimpleQueue()
        for _ in range(lanes):
            self._free.put(compiled.create_infer_request())

    def run(self, frame: Pixels, strength: float) -> Pixels:
        """Stylize a contiguous, writable frame; waits for a free lane."""
        weight = np.full(len(frame), strength, np.float32)
        result = np.empty_like(frame)
        request = self._free.get()
        try:
            # OpenVINO reads and writes these three arrays in place and does not keep them alive:
            # all are set anew before each inference, and live in this call until it is over.
            request.set_tensor("frame", openvino.Tensor(frame, shared_memory=True))
            request.set_tensor("strength", openvino.Tensor(weight, shared_memory=True))
            request.set_tensor("frame_out", openvino.Tensor(result, shared_memory=True))
            request.infer(share_outputs=True)
        finally:
            self._free.put(request)
        return result

    def facts(self) -> dict[str, str | int]:
        """Ask OpenVINO what it made: precision, threads, and the convolutions that run in 8 bit."""
        kinds: Counter[str] = Counter()
        for node in self.compiled.get_runtime_model().get_ops():
            facts = node.get_rt_info()
            if "layerType" in facts and facts["layerType"].astype(str) == "Convolution":
                kinds[facts["runtimePrecision"].astype(str)] += 1
        return {
            "precision": self.compiled.get_property("INFERENCE_PRECISION_HINT").to_string(),
            "threads": self.compiled.get_property("INFERENCE_NUM_THREADS"),
            "convolutions": sum(kinds.values()),
            "int8_convolutions": kinds["i8"] + kinds["u8"],
        }


class OvEngine:
    """One compiled graph, for ``options.size`` or for any, and a few more for other shapes."""

    def __init__(self, compiler: Compiler, least: int, options: EngineOptions) -> None:
        self.least, self.lanes = least, options.lanes
        self._usual = ANY if options.size is None else (1, *options.size, 3)
        self._compiler, self._lock = compiler, Lock()
        self._made = OrderedDict({self._usual: compiler.compile(self._usual, usual=True)})
        self._facts = self._made[self._usual].facts()
        self._open = True

    def run(self, frame: Pixels, strength: float = 1.0) -> Pixels:
        """Stylize (N, H, W, 3) uint8."""
        check_frame(frame, strength, self.least)
        if not (frame.flags.c_contiguous and frame.flags.writeable):
            frame = frame.copy()  # OpenVINO shares no other memory
        try:
            return self._lanes_for(frame.shape).run(frame, strength)
        except RuntimeError as error:
            raise BackendError(
                f"OpenVINO failed on a frame of shape {frame.shape}: {_reason(error)}. "
                f"Try another backend, or a smaller frame."
            ) from error

    def describe(self) -> Mapping[str, str | int]:
        """Tell version, precision, threads, and how many convolutions really run in 8 bit."""
        return {"backend": "openvino", "version": version(), "lanes": self.lanes, **self._facts}

    def close(self) -> None:
        """Drop the compiled graphs; frames under way are finished first."""
        with self._lock:
            self._open = False
            self._made.clear()

    def _lanes_for(self, shape: Shape) -> Lanes:
        with self._lock:
            if not self._open:
                raise closed("openvino")
            if self._usual == ANY:
                return self._made[ANY]
            if shape not in self._made:
                self._made[shape] = self._compiler.compile(shape, usual=False)
            self._made.move_to_end(shape)
            self._made.move_to_end(self._usual)
            while len(self._made) > 1 + KEPT_SHAPES:
                self._made.popitem(last=False)
            return self._made[shape]


def version() -> str:
    """Return OpenVINO's version and build."""
    text: str = openvino.get_version()
    return text


def _reason(error: Exception) -> str:
    # The first lines name OpenVINO's own source files; the last says what happened.
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300].strip().rstrip(".")
