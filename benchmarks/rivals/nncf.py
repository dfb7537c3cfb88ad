"""A float bundle quantized by NNCF (OpenVINO's own tool), run by OpenVINO as our INT8 is."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.metadata import version
from typing import Any

import nncf as tool
import numpy as np
import openvino  # type: ignore[import-untyped]
from nncf.quantization.advanced_parameters import (
    AdvancedQuantizationParameters,
    AdvancedSmoothQuantParameters,
)

from stylepress.benchmarks.rivals.half import settings
from stylepress.benchmarks.rivals.rival import Rival
from stylepress.benchmarks.timing.systems import Pixels
from stylepress.runtime.bundle import Bundle
from stylepress.runtime.ov import Lanes

MIXING = frozenset({"Add", "Multiply", "Subtract"})
ALPHA = 0.5
"""How much of a channel's range SmoothQuant moves into the weights behind it."""


def nncf(
    name: str,
    bundle: Bundle,
    size: tuple[int, int],
    *,
    tuned: bool,
    threads: int,
    frames: Sequence[Pixels],
) -> Rival:
    """Quantize a float bundle's frame graph with NNCF for frames of ``size`` (height, width).

    As it comes, that is `nncf.quantize(model, frames)` of the network; what our frame graph mixes
    behind it stays float, for there INT8 would wrap round at white. ``tuned`` adds SmoothQuant for
    convolutions, which NNCF does not do unless it is asked to. ``frames`` are what it is
    calibrated on, (1, H, W, 3) uint8 of that size. Options and the way frames go in and out are
    those of our OpenVINO backend.
    """
    core = openvino.Core()
    model = core.read_model(bundle.onnx_path)
    model.reshape({"frame": [1, *size, 3], "strength": [1]})
    full = np.ones(1, np.float32)
    calibration = tool.Dataset(list(frames), lambda frame: {"frame": frame, "strength": full})
    logging.getLogger("nncf").setLevel(logging.ERROR)
    with redirect_stdout(io.StringIO()):
        made = tool.quantize(
            model,
            calibration,
            subset_size=len(frames),
            ignored_scope=tool.IgnoredScope(names=_mixing(model), validate=False),
            **(_smooth() if tuned else {}),
        )
    lanes = Lanes(core.compile_model(made, "CPU", settings(threads)), 1)
    return Rival(name, f"nncf {version('nncf')}", "int8", lambda frame: lanes.run(frame, 1.0))


def _mixing(model: openvino.Model) -> list[str]:
    """Name what is computed behind the last convolution: crop, clamp, mix with the frame."""
    nodes = model.get_ordered_ops()
    last = max(n for n, node in enumerate(nodes) if node.get_type_name() == "Convolution")
    behind = [node for node in nodes[last:] if node.get_type_name() in MIXING]
    return [node.get_friendly_name() for node in behind]


def _smooth() -> dict[str, Any]:
    return {
        # SmoothQuant runs for this type of model only; the networks have no attention.
        "model_type": tool.ModelType.TRANSFORMER,
        "advanced_parameters": AdvancedQuantizationParameters(
            smooth_quant_alphas=AdvancedSmoothQuantParameters(convolution=ALPHA)
        ),
    }
