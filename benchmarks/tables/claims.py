"""What is commonly claimed about fast stylization, and what came out here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stylepress.benchmarks.figures.result import Result, Results, written
from stylepress.benchmarks.tables import loss, optimised, speed, together
from stylepress.benchmarks.tables.provenance import told

Tables = Mapping[str, Results]
NEEDED = ("speed", "loss", "together", "optimised")


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim in our words, and what the tables say of it."""

    text: str
    answer: Callable[[Tables], str]


def claims_table(tables: Tables) -> str:
    """Return the claims and the answers as a Markdown table."""
    lines = ["| claimed | what we measured |", "|---|---|"]
    lines += [f"| {claim.text} | {claim.answer(tables)} |" for claim in CLAIMS]
    return "\n".join([*lines, "", told(*(tables[name].made for name in NEEDED))])


def _optimisation(tables: Tables) -> str:
    table = tables["optimised"]
    gain, steps = table.find(optimised.GAIN), table.find(optimised.COUNT)
    seconds = table.find(optimised.SECONDS)
    reached = optimised.NOT_REACHED not in gain.note
    teacher, student = (
        _latency(tables, size="512x512", **one).shown
        for one in (
            {"subject": "teacher", "engine": "torch eager"},
            {"subject": "student", "engine": "OpenVINO", "precision": "int8"},
        )
    )
    until = (
        f"until their style distance was that of one pass of the INT8 student ({gain.engine})"
        if reached
        else f"and their style distance was still above that of the INT8 student ({gain.engine})"
    )
    return (
        f"{'' if reached else 'More than '}{gain.shown} as fast on a {gain.size} photo, on this "
        f"processor: {steps.value:.0f} steps of Adam on the pixels took {seconds.shown}, {until}. "
        f"The loss is the one our teachers are trained with; it has no VGG, which would cost more. "
        f"A pass at 512x512 takes {student} (INT8 student in OpenVINO), the teacher in torch eager "
        f"{teacher}."
    )


def _frames(tables: Tables) -> str:
    plain = _latency(tables, subject="teacher", engine="torch eager", size="256x256")
    rates = tables["together"].like(together.RATE, size="256x256")
    ways = "; ".join(f"{one.engine} {one.shown}" for one in rates)
    return (
        f"No such GPU at hand. At 256x256 on {tables['together'].made.cores}, INT8 student in "
        f"OpenVINO: {ways}. Its teacher in torch eager: {written(1e3 / plain.value, 'fps')}."
    )


def _int8(tables: Tables) -> str:
    saved = min(tables["loss"].like(loss.SAVED), key=lambda row: row.value)
    gains = []
    for subject in ("teacher", "student"):
        for engine in ("OpenVINO", "ONNX Runtime"):
            gain = _int8_gain(tables, "fp32", subject=subject, engine=engine)
            gains.append(f"{subject} in {engine} {gain}")
    half = [
        f"{subject} {gain}"
        for subject in ("teacher", "student")
        if (gain := _int8_gain(tables, "bf16", subject=subject, engine="OpenVINO"))
    ]
    over_half = f" Over BF16 in OpenVINO: {'; '.join(half)}." if half else ""
    lowest = min(tables["loss"].like(loss.PSNR, engine="OpenVINO"), key=lambda row: row.value)
    return (
        f"The file of a student's weights is smaller by {saved.shown} or more. Speed over FP32 in "
        f"the same engine, 512x512: {'; '.join(gains)}; below 1x, INT8 is the slower "
        f"one.{over_half} FP16, which GPUs are compared by, was not measured: no processor here has "
        f"it. Pictures of the students in OpenVINO: {lowest.shown} or more against float."
    )


def _batching(tables: Tables) -> str:
    said = [
        f"{one.engine} at {one.size} {one.shown}" for one in tables["together"].like(together.GAIN)
    ]
    return (
        f"Against one frame at a time, INT8 student in OpenVINO: {'; '.join(said)}; below 1x, "
        f"together is slower. Batches that grow with the load were not tried; what is 80 % "
        f"utilised, nobody says."
    )


def _int8_gain(tables: Tables, precision: str, **wanted: str) -> str:
    """How many times as long a precision takes as INT8 does; empty where it was not measured."""
    table = tables["speed"]
    slow, fast = (
        next(table.like(speed.LATENCY, precision=one, size="512x512", **wanted), None)
        for one in (precision, "int8")
    )
    return "" if slow is None or fast is None else written(slow.value / fast.value, "x")


def _latency(tables: Tables, **wanted: str) -> Result:
    return tables["speed"].find(speed.LATENCY, **wanted)


def _unmeasured(why: str) -> Callable[[Tables], str]:
    return lambda tables: f"Not measured: {why}"


CLAIMS = (
    Claim(
        "One pass of a network takes 15 ms at 512x512 on a V100, and is 300 times as fast as "
        "optimising the picture.",
        _optimisation,
    ),
    Claim(
        "An optimised network stylizes 400 frames a second on a V100.",
        _frames,
    ),
    Claim(
        "TensorRT takes a Jetson AGX Xavier from 120 to 45 ms.",
        _unmeasured("no Jetson was at hand, and the claim names neither network nor size."),
    ),
    Claim("INT8 saves 75 % of the size and is 2.3 (on an A100) to 4 times as fast.", _int8),
    Claim(
        "Pruning to 70 % of the channels loses less than 5 %.",
        _unmeasured("stylepress does not prune yet."),
    ),
    Claim(
        "Distilling 1 B to 30 M parameters costs 0.8 of FID on CIFAR-10.",
        _unmeasured("we know of no publication with such a result."),
    ),
    Claim("Dynamic batching gains 40 % of throughput, at 80 % utilisation.", _batching),
    Claim(
        "Attention adapts 30 % better to regions of the picture.",
        _unmeasured("nobody says what would be counted."),
    ),
)
