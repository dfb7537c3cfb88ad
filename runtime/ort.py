"""The onnxruntime backend, on the processor."""

from __future__ import annotations

from collections.abc import Mapping
from threading import BoundedSemaphore

import numpy as np
import onnxruntime  # type: ignore[import-untyped]

from stylepress.errors import BackendError
from stylepress.runtime.backends import EngineOptions, check_frame, closed
from stylepress.runtime.bundle import Bundle, Pixels

ERRORS_ONLY = 3


def open_engine(bundle: Bundle, options: EngineOptions) -> OrtEngine:
    """Load the verified bytes of the frame graph into a session.

    Raises:
        BackendError: this onnxruntime cannot load the graph.
    """
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = ERRORS_ONLY
    settings.intra_op_num_threads = options.lane_threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Waiting threads that spin take their core from the other lanes, the decoder and the encoder.
    spinning = "1" if options.lanes == 1 else "0"
    settings.add_session_config_entry("session.intra_op.allow_spinning", spinning)
    settings.add_session_config_entry("session.load_model_format", "ONNX")
    data = bundle.model()
    try:
        session = onnxruntime.InferenceSession(data, settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own errors share no base
        raise BackendError(
            f"onnxruntime {onnxruntime.__version__} cannot load {bundle.onnx_path}: {_line(error)}. "
            f"Update onnxruntime, or export with an older opset than {bundle.facts.opsets.get('')}."
        ) from error
    return OrtEngine(session, bundle.least, options)


class OrtEngine:
    """One session that ``lanes`` callers share; each call uses ``lane_threads`` threads."""

    def __init__(
        self, session: onnxruntime.InferenceSession, least: int, options: EngineOptions
    ) -> None:
        self.least, self.lanes, self.threads = least, options.lanes, options.lane_threads
        self._session: onnxruntime.InferenceSession | None = session
        self._turns = BoundedSemaphore(options.lanes)

    def run(self, frame: Pixels, strength: float = 1.0) -> Pixels:
        """Stylize (N, H, W, 3) uint8."""
        check_frame(frame, strength, self.least)
        session = self._session
        if session is None:
            raise closed("onnxruntime")
        weight = np.full(len(frame), strength, np.float32)
        with self._turns:
            try:
                result: Pixels = session.run(
                    ["frame_out"], {"frame": np.ascontiguousarray(frame), "strength": weight}
                )[0]
            except Exception as error:  # its own errors share no base
                raise BackendError(
                    f"onnxruntime failed on a frame of shape {frame.shape}: {_line(error)}. "
                    f"Try another backend, or a smaller frame."
                ) from error
        return result

    def describe(self) -> Mapping[str, str | int]:
        """Tell version, precision and threads."""
        return {
            "backend": "onnxruntime",
            "version": onnxruntime.__version__,
            "precision": "as written in the graph",
            "threads": self.threads * self.lanes,
            "lanes": self.lanes,
        }

    def close(self) -> None:
        """Drop the session; frames under way are finished first."""
        self._session = None


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300].rstrip(".")
