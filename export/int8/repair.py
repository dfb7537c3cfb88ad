"""INT8 that stays near float: where it does not, the cheapest convolutions that cure it go back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import onnx

from stylepress.export.int8.quantize import Int8Model, quantize_int8
from stylepress.export.macs import per_convolution
from stylepress.export.onnx_file import serialized
from stylepress.export.verify import Agreement, Size, compare, fitted
from stylepress.picture import Pixels
from stylepress.progress import Progress, Silent
from stylepress.steps import QuantizeStep

MOST_REPAIRS = 3
TRIAL: Size = (256, 256)


def repaired(
    model: onnx.ModelProto,
    first: tuple[Int8Model, Agreement],
    frames: Iterable[Pixels],
    *,
    watched: Sequence[Pixels],
    options: QuantizeStep,
    progress: Progress,
) -> tuple[Int8Model, Agreement]:
    """Give convolutions back to float, one at a time, until INT8 is near enough.

    ``first`` is the plain INT8 model and its agreement with float; ``options`` hold the PSNR in
    dB that is wanted. Each convolution is tried alone on the ``watched`` photos; of those
    that cure it the one with the fewest multiply-accumulates is kept float, else the one that
    helps most. At most three: beyond that the network, not a layer, is what does not quantize.
    """
    enough_db = options.min_psnr_db
    made, seen = first
    float_data = serialized(model)
    macs = per_convolution(model, 512, 512)

    def agreement(int8: Int8Model, at: Sequence[Size]) -> Agreement:
        pairs = (fitted(photo, size) for size in at for photo in watched)
        return compare(float_data, serialized(int8.model), pairs)

    for _ in range(MOST_REPAIRS):
        if seen.psnr_db >= enough_db or len(made.quantized) < 2:
            break
        progress.say(f"INT8 is {seen.psnr_db:.1f} dB from float; looking for the layer to blame.")
        trials: dict[str, float] = {}
        for name in made.quantized:
            kept = options.model_copy(update={"keep_float": (*made.kept_float, name)})
            trial = quantize_int8(model, watched, options=kept, progress=Silent())
            trials[name] = agreement(trial, [TRIAL]).psnr_db
        # Half a decibel of margin: the trial sees one size, the judgement all.
        cures = [name for name, level_db in trials.items() if level_db >= enough_db + 0.5]
        chosen = min(cures, key=lambda n: macs.get(n, 0)) if cures else max(trials, key=trials.get)  # type: ignore[arg-type]
        kept = options.model_copy(update={"keep_float": (*made.kept_float, chosen)})
        made = quantize_int8(model, frames, options=kept, progress=Silent())
        seen = agreement(made, options.verify_sizes)
        progress.say(f"{chosen} stays float: {seen.psnr_db:.1f} dB.")
    return made, seen
