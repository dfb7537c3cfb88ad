"""NNCF's post-training quantization of a frame graph, with its defaults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nncf
import numpy as np
import onnx

from stylepress.picture import Pixels


def quantized(model: onnx.ModelProto, frames: Sequence[Pixels]) -> onnx.ModelProto:
    """Return the graph with Q/DQ where NNCF puts them; frames are (1, H, W, 3) uint8."""

    def inputs(frame: Pixels) -> dict[str, Any]:
        return {"frame": frame, "strength": np.ones(1, np.float32)}

    done: onnx.ModelProto = nncf.quantize(
        model, nncf.Dataset(list(frames), inputs), subset_size=len(frames)
    )
    return done
