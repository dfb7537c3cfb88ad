"""INT8 that stays near float: where it does not, the cheapest convolutions that cure it go back."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from stylepress.export.int8.calibration import Observed
from stylepress.export.int8.quantize import Int8Model, quantize_observed
from stylepress.export.int8.sensitivity import saved_by_int8, sensitivities
from stylepress.export.onnx_file import serialized
from stylepress.export.verify import Agreement, compare, fitted
from stylepress.picture import Pixels
from stylepress.ports import Graph
from stylepress.progress import Progress, Silent
from stylepress.steps import QuantizeStep

MOST_REPAIRS = 3


def repaired(
    model: onnx.ModelProto,
    first: tuple[Int8Model, Agreement],
    observed: Observed,
    *,
    watched: Sequence[Pixels],
    options: QuantizeStep,
    graph: Graph,
    progress: Progress,
) -> tuple[Int8Model, Agreement]:
    """Give convolutions back to float, one at a time, until INT8 is near enough.

    ``first`` is the plain INT8 model and its agreement with float, ``observed`` what its ranges
    are from; ``options`` hold the PSNR in dB that is wanted. Each convolution is tried alone on
    the ``watched`` photos; of those that cure it the one goes that INT8 saves least of, in ms
    where ``options.engine`` is named, else the one that helps most. At most three: beyond that
    the network, not a layer, is what does not quantize.
    """
    enough_db = options.min_psnr_db
    int8, agreement = first
    saved = saved_by_int8(model, int8, graph, options.engine)
    float_data = serialized(model)
    for _ in range(MOST_REPAIRS):
        if agreement.psnr_db >= enough_db or len(int8.quantized) < 2:
            break
        progress.say(
            f"INT8 is {agreement.psnr_db:.1f} dB from float; looking for the layer to blame."
        )
        trials = sensitivities(
            model, int8, observed, watched, options=options, saved=saved, progress=Silent()
        )
        # Half a decibel of margin: the trial sees one size, the judgement all.
        cures = [trial for trial in trials if trial.psnr_db >= enough_db + 0.5]
        chosen = (
            min(cures, key=lambda trial: trial.saved)
            if cures
            else max(trials, key=lambda trial: trial.psnr_db)
        )
        kept = options.model_copy(update={"keep_float": (*int8.kept_float, chosen.layer)})
        int8 = quantize_observed(model, observed, options=kept, progress=Silent())
        pairs = (fitted(photo, size) for size in options.verify_sizes for photo in watched)
        agreement = compare(float_data, serialized(int8.model), pairs)
        unit = "ms" if options.engine else "multiply-accumulates"
        progress.say(
            f"{chosen.layer} stays float: {agreement.psnr_db:.1f} dB, for the "
            f"{chosen.saved:.3g} {unit} that its INT8 saved."
        )
    return int8, agreement
