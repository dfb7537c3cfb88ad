"""What each convolution costs in INT8: how far it drives the picture, for the time it saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

from stylepress.export.int8.calibration import Observed
from stylepress.export.int8.quantize import Int8Model, quantize_observed
from stylepress.export.layer_times import TIMED, graph_times
from stylepress.export.macs import per_convolution
from stylepress.export.onnx_file import serialized
from stylepress.export.verify import Size, compare, fitted
from stylepress.picture import Pixels
from stylepress.ports import Graph
from stylepress.progress import Progress, Silent
from stylepress.steps import QuantizeStep

TRIAL: Size = (256, 256)


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """One convolution given back to float alone, all others INT8.

    ``drift`` is the mean squared distance to the float picture that this takes away, in squared
    levels of 255 (negative where INT8 of this layer makes up for another's); ``saved`` what its
    INT8 saves: ms where it was measured, multiply-accumulates where it was not.
    """

    layer: str
    drift: float
    saved: float
    psnr_db: float

    @property
    def price(self) -> float:
        """Drift that INT8 of this layer brings, for each unit that it saves."""
        return self.drift / max(self.saved, 1e-9)


def sensitivities(
    model: onnx.ModelProto,
    int8: Int8Model,
    observed: Observed,
    watched: Sequence[Pixels],
    *,
    options: QuantizeStep,
    saved: Mapping[str, float],
    progress: Progress,
) -> list[Sensitivity]:
    """Return what each INT8 convolution costs, the dearest first.

    Each is tried in float on the ``watched`` photos at 256 pixels; the photos of the calibration
    are not run again.
    """
    float_data = serialized(model)
    photos = [fitted(photo, TRIAL) for photo in watched]

    def squares(trial: Int8Model) -> tuple[float, float]:
        agreement = compare(float_data, serialized(trial.model), photos)
        return agreement.rms_levels**2, agreement.psnr_db

    whole, _ = squares(int8)
    layers = []
    progress.start("Trying layers in float", len(int8.quantized))
    for name in int8.quantized:
        kept = options.model_copy(update={"keep_float": (*int8.kept_float, name)})
        try:
            trial = quantize_observed(model, observed, options=kept, progress=Silent())
        finally:
            progress.advance()
        rest, psnr_db = squares(trial)
        layers.append(Sensitivity(name, whole - rest, saved.get(name, 0.0), psnr_db))
    progress.finish()
    return sorted(layers, key=lambda layer: -layer.price)


def saved_by_int8(
    model: onnx.ModelProto, int8: Int8Model, graph: Graph, engine: str | None
) -> Mapping[str, float]:
    """Return what INT8 saves of each convolution: ms on ``engine`` at 512x512, or its work.

    A layer that is slower in INT8, with what converts its input, saves nothing.

    Raises:
        BackendError: the engine is not installed, or tells no times of layers.
    """
    if engine is None:
        return {name: float(macs) for name, macs in per_convolution(model, *TIMED).items()}
    float_ms, int8_ms = (graph_times(own, graph, engine) for own in (model, int8.model))
    names = [name for name in int8.quantized if name in float_ms and name in int8_ms]
    return {name: max(0.0, float_ms[name] - int8_ms[name]) for name in names}
