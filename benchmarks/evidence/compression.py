"""``python -m stylepress.benchmarks.evidence.compression [PART ...]``: what compression costs and gains.

Parts are ``calibration`` (peak memory, ours beside ONNX Runtime's), ``prune`` (a teacher at 70 % of
its channels, torch-pruning's own choice beside), ``frozen`` (its norms stand still), ``latency`` (the table of `fit` against random students), ``int8`` (against float, ONNX Runtime's and NNCF's beside),
``layers`` (drift a layer brings for the time it saves), ``sampler`` (diffusion in few steps), ``distilled`` (a student beside the
same net without a teacher), ``translator`` (a CycleGAN's generator made small), ``fronts`` (the presets of each style) and
``fit`` (what a search finds beside them). With ``--write`` the parts that were
measured take the place of their rows in benchmarks/results/compression.csv and docs/compression.md.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch

from stylepress.artifact import Artifact
from stylepress.benchmarks.evidence.distilled import distilled_rows
from stylepress.benchmarks.evidence.documents import fill, listed_table
from stylepress.benchmarks.evidence.few_steps import sampler_rows
from stylepress.benchmarks.evidence.fronts import fit_rows, front_rows
from stylepress.benchmarks.evidence.int8 import int8_rows
from stylepress.benchmarks.evidence.place import ENGINE, SIZE, STYLE, Place, side_by_side
from stylepress.benchmarks.evidence.pruned import prune_rows
from stylepress.benchmarks.evidence.row import (
    RESULTS,
    Provenance,
    Row,
    Table,
    most,
    promised,
    read_tables,
    write_table,
)
from stylepress.benchmarks.evidence.translator import translator_rows
from stylepress.benchmarks.machine.record import record_machine
from stylepress.compress.distil import Teacher
from stylepress.compress.fidelity import drift, parted
from stylepress.compress.frozen import frozen_norms
from stylepress.errors import BackendError
from stylepress.export.bundle import GRAPH
from stylepress.export.fit.candidate import (
    BLOCKS,
    DEEP_BLOCKS,
    DEEP_WIDTHS,
    HALVES,
    WIDTHS,
    Candidate,
    Precision,
)
from stylepress.export.fit.latency import (
    LatencyTable,
    Timer,
    median_error,
    random_bundle,
)
from stylepress.export.frame_graph import MODEL
from stylepress.export.int8.quantize import observe_inputs, quantize_observed
from stylepress.export.int8.sensitivity import saved_by_int8, sensitivities
from stylepress.options import terminal
from stylepress.steps import QuantizeStep
from stylepress.train.photos import Photos
from stylepress.train.student import PRESETS, StudentSize
from stylepress.train.weights.checkpoint import load_network

NAME = "compression"
ADDED, SAVED = "squared levels that its INT8 adds", "time that its INT8 saves"
LIMIT_BYTES = 10 << 30
"""Address space of a calibration that is watched: one that asks for more is said to, and ends."""

OUT_OF_MEMORY = ("MemoryError", "bad_alloc", "allocate", "BFCArena")

CALIBRATION = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
import numpy as np
frames = (np.random.default_rng(n).integers(0, 256, (1, 1080, 1920, 3), np.uint8) for n in range({count}))
"""
OURS = """
import onnx
from stylepress.export.int8.quantize import observe_inputs
from stylepress.progress import Silent
from stylepress.steps import QuantizeStep
observe_inputs(onnx.load({model!r}), frames, options=QuantizeStep(keep_float="none"), progress=Silent())
"""
THEIRS = """
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod
from onnxruntime.quantization.calibrate import create_calibrator
class Reader(CalibrationDataReader):
    def get_next(self):
        frame = next(frames, None)
        return None if frame is None else {{"frame": frame, "strength": np.ones(1, np.float32)}}
calibrator = create_calibrator({model!r}, ["Conv"], augmented_model_path={model!r} + ".augmented",
                               calibrate_method=CalibrationMethod.{method})
calibrator.collect_data(Reader())
calibrator.compute_data()
"""
PEAK = "\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)\n"


def calibration_rows(place: Place) -> Iterator[Row]:
    """Yield the peak memory of calibrating a student on photos of 1920x1080."""
    student = Artifact.load(place.recipes / STYLE / "student")
    model = str(place.bundle(student).path(MODEL))
    for count in (4, 64):
        yield _peak_row("stylepress", OURS, model, count, "")
    for method, counts in (("MinMax", (4, 8)), ("Percentile", (1, 2)), ("Entropy", (1, 2))):
        for count in counts:
            yield _peak_row("ONNX Runtime", THEIRS, model, count, method)


def _peak_row(subject: str, program: str, model: str, count: int, method: str) -> Row:
    text = CALIBRATION.format(limit=LIMIT_BYTES, count=count)
    text += program.format(model=model, method=method) + PEAK
    done = subprocess.run(
        [sys.executable, "-c", text], check=False, capture_output=True, text=True, env=os.environ
    )
    if done.returncode and not any(word in done.stderr for word in OUT_OF_MEMORY):
        raise BackendError(
            f"Calibrating with {subject} failed: {done.stderr.strip().splitlines()[-1:]}.",
            "Run the calibration by itself, and report what it says.",
        )
    peak = float(done.stdout.split()[-1]) if done.returncode == 0 else float("inf")
    note = "" if done.returncode == 0 else f"more than {LIMIT_BYTES >> 30} GiB: it ended"
    figure = f"peak memory of calibrating on {count} photos"
    row = Row(figure, peak, "GiB", subject, method, "int8", "1920x1080", note=note)
    return promised(row, most(2.5e9 / 2**30, "GiB") if subject == "stylepress" else None)


def frozen_rows(place: Place) -> Iterator[Row]:
    """Yield what a teacher with frozen norms drifts by: compression without any training."""
    source = Artifact.load(place.recipes / STYLE / "teacher")
    loaded = load_network(source.folder)
    learnt, held = parted(Photos.below(place.photos(), place.progress))
    low, high = float(loaded.image.low or 0), float(loaded.image.high or 1)
    pictures = (
        torch.from_numpy(np.array(frame)).permute(0, 3, 1, 2) / 255 * (high - low) + low
        for frame in learnt.frames(8, most_side=512)
    )
    frozen = Teacher(frozen_norms(loaded.module, pictures), loaded.image)
    teacher = Teacher(loaded.module, loaded.image)
    value, judge = drift(teacher, frozen, held, env=os.environ, home=Path.home())
    subject, figure = f"teacher {STYLE}, frozen norms", "fidelity to the teacher, 0 a copy"
    yield Row(
        figure, value, "", subject, "torch", "fp32", "512x512", digest=source.digest, note=judge
    )


def latency_rows(place: Place) -> Iterator[Row]:
    """Yield how far predicted times are from measured ones, over random students.

    Parts and students are timed in turns with one and the same other student, and count in its
    time: what else the machine does falls on both.
    """
    timer = timer_beside(PRESETS["base"], place)
    table = LatencyTable(ENGINE, SIZE, timer)
    draw = np.random.default_rng(7)
    predicted: dict[str, float] = {}
    measured: dict[str, float] = {}
    while len(measured) < 20:
        candidate = _random(draw)
        if candidate.key in measured:
            continue
        predicted[candidate.key] = table.predict(candidate)
        measured[candidate.key] = timer(candidate.size, candidate.precision)
        place.progress.say(
            f"{candidate.key}: {predicted[candidate.key]:.2f} ms predicted, "
            f"{measured[candidate.key]:.2f} ms measured"
        )
    errors = sorted(abs(predicted[key] / ms - 1) for key, ms in measured.items())
    error = 100 * median_error(predicted, measured)
    note = f"worst {100 * errors[-1]:.0f} %, {len(table.students_ms)} students measured for it"
    figure, subject = "median error of the predicted time", "20 random students"
    row = Row(figure, error, "%", subject, ENGINE, "fp32 and int8", "512x512", note=note)
    yield promised(row, most(12, "%"))


def timer_beside(other: StudentSize, place: Place) -> Timer:
    """Return what times students in turns with ``other``, whose first time is the unit."""
    beside = random_bundle(other, "fp32", place.work / "beside")
    (unit,) = side_by_side(beside)
    folders = itertools.count()

    def timed(student: StudentSize, precision: Precision) -> float:
        bundle = random_bundle(student, precision, place.work / f"timed-{next(folders)}")
        own, reference = side_by_side(bundle, beside)
        return unit * own / reference

    return timed


def _random(draw: np.random.Generator) -> Candidate:
    deep = int(draw.choice(DEEP_WIDTHS))
    size = StudentSize(
        width=int(draw.choice(WIDTHS)),
        half=int(draw.choice(HALVES)),
        blocks=int(draw.choice(BLOCKS)),
        deep_width=deep,
        deep_blocks=int(draw.choice(DEEP_BLOCKS)) if deep else 0,
        norms=bool(draw.integers(2)),
    )
    precision: Precision = "int8" if draw.random() < 0.5 else "fp32"
    return Candidate(size, precision)


def layer_rows(place: Place) -> Iterator[Row]:
    """Yield, for each convolution of the student, the drift of its INT8 for each ms it saves."""
    student = Artifact.load(place.recipes / STYLE / "student")
    bundle = place.bundle(student)
    model = onnx.load(str(bundle.path(MODEL)))
    photos = list(Photos.below(place.photos(), place.progress).frames(8))
    options = QuantizeStep(keep_float="none")
    observed = observe_inputs(model, photos, options=options, progress=place.progress)
    int8 = quantize_observed(model, observed, options=options, progress=place.progress)
    saved = saved_by_int8(model, int8, bundle.graphs[GRAPH], ENGINE)
    layers = sensitivities(
        model, int8, observed, photos[:4], options=options, saved=saved, progress=place.progress
    )
    for layer in layers:
        row = partial(
            Row, subject=f"student {STYLE}, {layer.layer}", engine=ENGINE, precision="int8",
            size="512x512", digest=student.digest,
        )  # fmt: skip
        yield row(ADDED, layer.drift)
        yield row(SAVED, layer.saved, "ms")


PARTS: Mapping[str, Callable[[Place], Iterator[Row]]] = {
    "calibration": calibration_rows,
    "prune": prune_rows,
    "frozen": frozen_rows,
    "latency": latency_rows,
    "int8": int8_rows,
    "layers": layer_rows,
    "sampler": sampler_rows,
    "distilled": distilled_rows,
    "translator": translator_rows,
    "fronts": front_rows,
    "fit": fit_rows,
}


def page_part(table: Table) -> str:
    """Return what docs/compression.md shows: all but single layers, of which there are dozens."""
    rows = [row for row in table.rows if row.figure not in (ADDED, SAVED)]
    return f"{listed_table(rows)}\n\n{table.origin.line()}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure parts and print a line a row; with ``--write`` keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--checkout", type=Path, default=Path(), metavar="DIR")
    parser.add_argument("--steps", type=int, default=400, help="of recovery after pruning")
    parser.add_argument("--write", action="store_true", help="keep the rows in the table")
    options = parser.parse_args(arguments)
    if unknown := {*options.parts} - {*PARTS}:
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    known = read_tables(options.checkout / RESULTS).get(NAME)
    rows = {row.key: row for row in known.rows} if known else {}
    with (
        tempfile.TemporaryDirectory(prefix="stylepress-compression-") as work,
        terminal() as screen,
    ):
        place = Place(options.checkout, Path(work), options.steps, screen)
        for name in options.parts or PARTS:
            for row in PARTS[name](place):
                screen.show(row.line())
                rows[row.key] = row
    if options.write:
        day = datetime.now(timezone.utc).date().isoformat()
        provenance = Provenance.of(record_machine(os.environ), options.checkout, day=day)
        table = Table(NAME, tuple(rows.values()), provenance)
        write_table(table, options.checkout / RESULTS)
        fill(options.checkout / "docs" / "compression.md", NAME, page_part(table))
    return 0


if __name__ == "__main__":
    sys.exit(main())
