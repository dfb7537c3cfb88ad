"""What is commonly claimed about fast stylization, and what came out here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from stylepress.benchmarks.evidence import optimised, pictures, speed
from stylepress.benchmarks.evidence.row import Row, Table, written

Tables = Mapping[str, Table]
NEEDED = ("speed", "loss", "together", "optimised")
MODELS, ENGINES = ("teacher", "student"), ("OpenVINO", "ONNX Runtime")


def claims_rows(tables: Tables) -> Iterator[tuple[str, str]]:
    """Yield each claim in our words, and what the tables say of it."""
    for claim, answer in CLAIMS.items():
        yield claim, answer if isinstance(answer, str) else answer(tables)


def _optimisation(tables: Tables) -> str:
    table = tables["optimised"]
    gain, steps, took = map(table.find, (optimised.GAIN, optimised.COUNT, optimised.SECONDS))
    more, until = "", "until their style distance was that of one pass of the INT8 student"
    if optimised.NOT_REACHED in gain.note:
        more = "More than "
        until = "and their style distance was still above that of the INT8 student"
    slow = _latency(tables, subject="teacher", engine=speed.EAGER)
    fast = _latency(tables, subject="student", engine="OpenVINO", precision="int8")
    return (
        f"{more}{gain.shown} as fast on a {gain.size} photo, on this processor: {steps.value:.0f} "
        f"steps of Adam on the pixels took {took.shown}, {until} ({gain.engine}). The loss is the "
        f"one our teachers are trained with; it has no VGG, which would cost more. A pass at "
        f"512x512 takes {fast.shown} (INT8 student in OpenVINO), the teacher in torch eager "
        f"{slow.shown}."
    )


def _frames(tables: Tables) -> str:
    plain = _latency(tables, subject="teacher", engine=speed.EAGER, size="256x256")
    rates = tables["together"].like(speed.RATE, size="256x256")
    ways = "; ".join(f"{one.engine} {one.shown}" for one in rates)
    return (
        f"No such GPU at hand. At 256x256 on {tables['together'].made.cores}, INT8 student in "
        f"OpenVINO: {ways}. Its teacher in torch eager: {written(1e3 / plain.value, 'fps')}."
    )


def _int8(tables: Tables) -> str:
    saved = min(tables["loss"].like(pictures.SAVED), key=lambda row: row.value)
    over_float = [
        f"{subject} in {engine} {_int8_gain(tables, 'fp32', subject=subject, engine=engine)}"
        for subject in MODELS
        for engine in ENGINES
    ]
    over_half = [
        f"{subject} {gain}"
        for subject in MODELS
        if (gain := _int8_gain(tables, "bf16", subject=subject, engine="OpenVINO"))
    ]
    half = f" Over BF16 in OpenVINO: {'; '.join(over_half)}." if over_half else ""
    lowest = min(tables["loss"].like(pictures.PSNR, engine="OpenVINO"), key=lambda row: row.value)
    return (
        f"The file of a student's weights is smaller by {saved.shown} or more. Speed over FP32 in "
        f"the same engine, 512x512: {'; '.join(over_float)}; below 1x, INT8 is the slower "
        f"one.{half} FP16, which GPUs are compared by, was not measured: no processor here has "
        f"it. Pictures of the students in OpenVINO: {lowest.shown} or more against float."
    )


def _batching(tables: Tables) -> str:
    gains = tables["together"].like(speed.MORE)
    said = "; ".join(f"{one.engine} at {one.size} {one.shown}" for one in gains)
    return (
        f"Against one frame at a time, INT8 student in OpenVINO: {said}; below 1x, together is "
        f"slower. Batches that grow with the load were not tried; what is 80 % utilised, nobody "
        f"says."
    )


def _int8_gain(tables: Tables, precision: str, **wanted: str) -> str:
    """How many times as long a precision takes as INT8 does; empty where it was not measured."""
    slow, fast = (
        next(tables["speed"].like(speed.LATENCY, precision=one, size="512x512", **wanted), None)
        for one in (precision, "int8")
    )
    return "" if slow is None or fast is None else written(slow.value / fast.value, "x")


def _latency(tables: Tables, size: str = "512x512", **wanted: str) -> Row:
    return tables["speed"].find(speed.LATENCY, size=size, **wanted)


CLAIMS: Mapping[str, str | Callable[[Tables], str]] = {
    "One pass of a network takes 15 ms at 512x512 on a V100, and is 300 times as fast as "
    "optimising the picture.": _optimisation,
    "An optimised network stylizes 400 frames a second on a V100.": _frames,
    "TensorRT takes a Jetson AGX Xavier from 120 to 45 ms.": (
        "Not measured: no Jetson was at hand, and the claim names neither network nor size."
    ),
    "INT8 saves 75 % of the size and is 2.3 (on an A100) to 4 times as fast.": _int8,
    "Pruning to 70 % of the channels loses less than 5 %.": (
        "Not measured: stylepress does not prune yet."
    ),
    "Distilling 1 B to 30 M parameters costs 0.8 of FID on CIFAR-10.": (
        "Not measured: we know of no publication with such a result."
    ),
    "Dynamic batching gains 40 % of throughput, at 80 % utilisation.": _batching,
    "Attention adapts 30 % better to regions of the picture.": (
        "Not measured: nobody says what would be counted."
    ),
}
