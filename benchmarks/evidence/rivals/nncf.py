"""A float bundle quantized by NNCF (OpenVINO's own tool), run by OpenVINO as our INT8 is."""

from __future__ import annotations

import io
import logging
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

from stylepress.benchmarks.evidence.rivals.half import model_of, rival_of
from stylepress.benchmarks.evidence.rivals.rival import Entry, Rival

MIXING = frozenset({"Add", "Multiply", "Subtract"})
SMOOTHED: dict[str, Any] = {
    # SmoothQuant runs for this type of model only; the networks have no attention.
    "model_type": tool.ModelType.TRANSFORMER,
    "advanced_parameters": AdvancedQuantizationParameters(
        smooth_quant_alphas=AdvancedSmoothQuantParameters(convolution=0.5)
    ),
}
"""Half of a channel's range goes into the weights behind it."""


def nncf(name: str, entry: Entry, *, tuned: bool) -> Rival:
    """Quantize a float bundle's frame graph with NNCF, calibrated on the entry's frames.

    As it comes, that is `nncf.quantize(model, frames)` of the network; what our frame graph mixes
    behind it stays float, for there INT8 would wrap round at white. ``tuned`` adds SmoothQuant for
    convolutions, which NNCF does not do unless it is asked to. Options and the way frames go in
    and out are those of our OpenVINO backend.
    """
    model = model_of(openvino.Core(), entry)
    full = np.ones(1, np.float32)
    calibration = tool.Dataset(list(entry.frames), lambda frame: {"frame": frame, "strength": full})
    logging.getLogger("nncf").setLevel(logging.ERROR)
    with redirect_stdout(io.StringIO()):
        made = tool.quantize(
            model,
            calibration,
            subset_size=len(entry.frames),
            ignored_scope=tool.IgnoredScope(names=_mixing(model), validate=False),
            **(SMOOTHED if tuned else {}),
        )
    return rival_of(name, f"nncf {version('nncf')}", "int8", made, entry)


def _mixing(model: openvino.Model) -> list[str]:
    """Name what is computed behind the last convolution: crop, clamp, mix with the frame."""
    nodes = model.get_ordered_ops()
    last = max(n for n, node in enumerate(nodes) if node.get_type_name() == "Convolution")
    behind = [node for node in nodes[last:] if node.get_type_name() in MIXING]
    return [node.get_friendly_name() for node in behind]
