"""How long a student will take, as the sum of parts that were measured on the target's engine."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn

from stylepress.artifact import Artifact
from stylepress.errors import ArtifactError
from stylepress.export.bundle import GRAPH, sealed
from stylepress.export.fit.candidate import MEASURED_AT_ONCE, Candidate, Precision, parts
from stylepress.export.frame_graph import MODEL, FrameGraph, ImageRange
from stylepress.export.int8.quantize import KeepFloat, quantize_int8
from stylepress.export.onnx_file import onnx_model, serialized
from stylepress.progress import Progress, Silent
from stylepress.replace import replacing_file
from stylepress.runtime.backends import Engine, EngineOptions, open_engine
from stylepress.runtime.bundle import read_bundle
from stylepress.steps import QuantizeStep
from stylepress.train.patterns import draw
from stylepress.train.student import IMAGE, FoldedStudent, StudentSize

OPSET = 18
WARM_UP, ROUNDS = 3, 24
QUIET_SHARE = 0.25
"""Of the rounds, those that count: other work on the machine only ever makes a round longer."""
FORMAT = 1

Timer = Callable[[StudentSize, Precision], float]
"""From a student with any weights to the time of one frame, in ms."""


@dataclass
class LatencyTable:
    """Times of parts of students, on one backend and one frame size, filled as they are asked for.

    ``timer`` measures what is not there yet; None where a table is only read.
    """

    backend: str
    size: tuple[int, int]
    timer: Timer | None = None
    parts_ms: dict[str, float] = field(default_factory=dict)
    students_ms: dict[str, float] = field(default_factory=dict)

    def predict(self, candidate: Candidate) -> float:
        """Return the time of one frame in ms: a part counts as often as it stands in the student.

        Raises:
            ArtifactError: a part was not measured, and there is nobody to measure it.
        """
        total = 0.0
        for name, (count, whole, rest) in parts(candidate.size).items():
            key = f"{name} {candidate.precision}"
            if key not in self.parts_ms:
                self.parts_ms[key] = self._measured(whole, rest, candidate.precision)
            total += count * self.parts_ms[key]
        return total

    def _measured(
        self, whole: StudentSize, rest: StudentSize | None, precision: Precision
    ) -> float:
        taken = self._student(whole, precision)
        if rest is None:
            return taken
        several = whole.blocks == MEASURED_AT_ONCE or whole.deep_blocks == MEASURED_AT_ONCE
        more = max(0.0, taken - self._student(rest, precision))
        return more / (MEASURED_AT_ONCE if several else 1)

    def _student(self, size: StudentSize, precision: Precision) -> float:
        key = Candidate(size, precision).key
        if key not in self.students_ms:
            if self.timer is None:
                raise ArtifactError(
                    f"The latency table of {self.backend} holds no time of {key}.",
                    "Run `stylepress fit` on the device itself, which measures what is lacking.",
                )
            self.students_ms[key] = self.timer(size, precision)
        return self.students_ms[key]

    def save(self, path: Path) -> None:
        """Write the table as JSON."""
        values = {
            "format": FORMAT,
            "backend": self.backend,
            "size": list(self.size),
            "parts_ms": self.parts_ms,
            "students_ms": self.students_ms,
        }
        with replacing_file(path) as beside:
            beside.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_table(path: Path) -> LatencyTable:
    """Read a table that was saved.

    Raises:
        ArtifactError: damaged, or no table.
    """
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']!r}")
        height, width = values["size"]
        table = LatencyTable(
            str(values["backend"]),
            (int(height), int(width)),
            parts_ms={str(key): float(ms) for key, ms in values["parts_ms"].items()},
            students_ms={str(key): float(ms) for key, ms in values["students_ms"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{path} is no latency table ({type(error).__name__}: {error}).",
            "Remove it; `stylepress fit` measures a new one.",
        ) from error
    return table


def timer_on(
    backend: str, size: tuple[int, int], keep_float: KeepFloat, progress: Progress
) -> Timer:
    """Return what times students with random weights on a backend, at (height, width).

    ``keep_float`` are the convolutions that an INT8 student keeps in float.
    """

    def timed(student: StudentSize, precision: Precision) -> float:
        with tempfile.TemporaryDirectory() as folder:
            bundle = random_bundle(student, precision, Path(folder) / "bundle", keep_float)
            taken = bundle_ms(bundle.folder, backend, size)
        progress.say(f"measured {Candidate(student, precision).key}: {taken:.2f} ms on {backend}")
        return taken

    return timed


def random_bundle(
    student: StudentSize, precision: Precision, out: Path, keep_float: KeepFloat = "none"
) -> Artifact:
    """Write the bundle of a student with random weights: what it costs does not depend on them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = FoldedStudent(student).eval()
    return student_bundle(net, precision, out, keep_float)


def student_bundle(
    net: nn.Module, precision: Precision, out: Path, keep_float: KeepFloat = "none"
) -> Artifact:
    """Write the bundle of a folded student, whole or pruned, to be timed and not to be shipped."""
    graph = FrameGraph(net, ImageRange.of(IMAGE), least=IMAGE.least)
    model = onnx_model(graph, opset=OPSET)
    stored = "fp32" if precision == "fp32" else "int8"
    picture = draw("glass", seed=1, size=256)[None]
    if precision != "fp32":
        kept: KeepFloat = "ends" if precision == "mixed" else keep_float
        options = QuantizeStep(keep_float=kept, calibration="minmax")
        model = quantize_int8(model, [picture], options=options, progress=Silent()).model
    return sealed(
        out,
        {MODEL: serialized(model)},
        name="random",
        graphs={GRAPH: graph.ports},
        made_by={"step": "export", "opset": OPSET, "precision": stored},
        parent="",
        numbers={},
    )


def bundle_ms(folder: Path, backend: str, size: tuple[int, int]) -> float:
    """Return the time of one frame of a bundle in ms, at (height, width)."""
    engine = open_engine(read_bundle(folder), backend, options=EngineOptions(size=size))
    try:
        return quiet_ms(engine, size)
    finally:
        engine.close()


def quiet_ms(engine: Engine, size: tuple[int, int]) -> float:
    """Return the time of one frame in ms: the mean of the quickest quarter of the rounds."""
    port = engine.graph.picture
    if port is None:
        raise ArtifactError("The graph takes no picture.", "Time a bundle with a frame graph.")
    frame = np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)
    return quickest(_rounds(engine, port.name, frame))


def _rounds(engine: Engine, name: str, frame: np.ndarray[Any, Any]) -> Iterator[float]:
    for number in range(WARM_UP + ROUNDS):
        began = perf_counter()
        engine.run({name: frame})
        if number >= WARM_UP:
            yield 1e3 * (perf_counter() - began)


def quickest(times: Iterator[float]) -> float:
    """Return the mean of the quickest quarter.

    >>> quickest(iter([4.0, 1.0, 9.0, 3.0]))
    1.0
    """
    ordered = sorted(times)
    return float(np.mean(ordered[: max(1, round(QUIET_SHARE * len(ordered)))]))


def median_error(predicted: Mapping[str, float], measured: Mapping[str, float]) -> float:
    """Return the median of |predicted / measured - 1| over what was measured."""
    return float(np.median([abs(predicted[key] / ms - 1) for key, ms in measured.items()]))
