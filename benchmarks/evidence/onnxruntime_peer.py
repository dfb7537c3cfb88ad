"""ONNX Runtime's own static quantization of a frame graph, as its documentation describes it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)

from stylepress.picture import Pixels


class PhotoReader(CalibrationDataReader):  # type: ignore[misc]
    """Hands the frames to the calibrator one after the other; ``get_next`` is ONNX Runtime's name."""

    def __init__(self, frames: Sequence[Pixels]) -> None:
        self._frames = iter(frames)

    def get_next(self) -> Mapping[str, Any] | None:
        """Return the inputs of one run, None behind the last."""
        frame = next(self._frames, None)
        return None if frame is None else {"frame": frame, "strength": np.ones(1, np.float32)}


def static_quantized(
    model: onnx.ModelProto, frames: Sequence[Pixels], *, method: str
) -> onnx.ModelProto:
    """Return the graph with Q/DQ around its convolutions: int8, per channel, symmetric.

    ``method`` is a name of CalibrationMethod. The frames, (1, H, W, 3) uint8, are cut to the size
    that all have: histograms of frames of several sizes fail.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain, ready, done = (Path(folder) / f"{name}.onnx" for name in ("plain", "ready", "done"))
        onnx.save(model, str(plain))
        quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
        quantize_static(
            str(ready), str(done), PhotoReader(list(_one_size(frames))),
            quant_format=QuantFormat.QDQ, activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["Conv"],
            calibrate_method=CalibrationMethod[method],
            extra_options={"ActivationSymmetric": True},
        )  # fmt: skip
        return onnx.load(str(done))


def _one_size(frames: Sequence[Pixels]) -> Iterator[Pixels]:
    height, width = (min(frame.shape[axis] for frame in frames) for axis in (1, 2))
    for frame in frames:
        yield np.ascontiguousarray(frame[:, :height, :width])
