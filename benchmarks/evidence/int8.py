"""What INT8 gains and costs, in memory, time, bytes and levels, beside what others would take."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)

from stylepress.artifact import Artifact
from stylepress.benchmarks.evidence.documents import OF_LAYERS
from stylepress.benchmarks.evidence.row import Row
from stylepress.benchmarks.evidence.setting import ENGINE, Setting, side_by_side
from stylepress.benchmarks.quality.photos import unit
from stylepress.benchmarks.quality.pixels import psnr_db
from stylepress.errors import BackendError
from stylepress.export.bundle import GRAPH, sealed
from stylepress.export.fit.latency import random_bundle
from stylepress.export.frame_graph import MODEL
from stylepress.export.int8.quantize import observe_inputs, quantize_observed
from stylepress.export.int8.sensitivity import saved_by_int8, sensitivities
from stylepress.export.onnx_file import serialized
from stylepress.picture import Pixels
from stylepress.steps import QuantizeStep
from stylepress.train.photos import Photos
from stylepress.train.student import StudentSize

SPEED, BYTES, DISTANCE = "speed over float", "bytes saved", "distance to float"
MOST = 16
"""Photos that a tool calibrates on, at most, and that what it made is judged on."""
WIDE = StudentSize(32, 2, 16, deep_width=128, deep_blocks=6)
PEAK, COUNTS = "peak memory of calibrating on {} photos", (4, 64)
LIMIT_BYTES = 10 << 30
"""Address space of a calibration that is watched: one that asks for more is said to, and ends."""
OUT_OF_MEMORY = ("MemoryError", "bad_alloc", "allocate", "BFCArena")
CALIBRATION = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
import numpy as np
frames = (np.random.default_rng(n).integers(0, 256, (1, 1080, 1920, 3), np.uint8) for n in range({count}))
{program}
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
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


def rows(setting: Setting) -> Iterator[Row]:
    """Yield speed, bytes and distance of INT8: ours, ONNX Runtime's own, and NNCF's.

    All quantize the same float graph, look at the same photos, run on OpenVINO in turns, and are
    held against float on the same photos, which nobody was calibrated on. Last comes the speed of
    a student twice as large, with random weights.
    """
    style = setting.style
    plain, subject = setting.forms(style.student).float_bundle.artifact, f"student {style.name}"
    yield Row("parameters", plain.numbers["params"], subject=subject)
    bundles = {subject: style.bundle, **_by_others(plain, setting)}
    taken = side_by_side(plain, *bundles.values())
    frames = setting.frames("heldout", most=MOST)
    original = setting.painted(plain, frames)
    for (subject, bundle), ms in zip(bundles.items(), taken[1:], strict=True):
        pairs = zip(original, setting.painted(bundle, frames), strict=True)
        apart = fmean(psnr_db(unit(one), unit(two)) for one, two in pairs)
        sizes = [one.path(MODEL).stat().st_size for one in (bundle, plain)]
        for figure, value, kind in (
            (SPEED, taken[0] / ms, "x"),
            (BYTES, 100 * (1 - sizes[0] / sizes[1]), "%"),
            (DISTANCE, apart, "dB"),
        ):
            yield Row(figure, value, kind, subject, ENGINE, "int8", "512x512", digest=bundle.digest)
    large = [random_bundle(WIDE, own, setting.work / f"wide-{own}") for own in ("fp32", "int8")]
    first, second = side_by_side(*large)
    yield Row(SPEED, first / second, "x", "student wide", ENGINE, "int8", "512x512")


def _by_others(plain: Artifact, setting: Setting) -> Mapping[str, Artifact]:
    """Return the bundles that other tools make of a float bundle, by who and how."""
    model, photos = onnx.load(str(plain.path(MODEL))), setting.frames("train", most=MOST)
    tools: dict[str, Callable[[onnx.ModelProto, Sequence[Pixels]], onnx.ModelProto]] = {
        f"ONNX Runtime, {method}": partial(static_quantized, method=method)
        for method in ("MinMax", "Percentile")
    } | {"NNCF": nncf_quantized}
    made = {}
    for name, tool in tools.items():
        try:
            data = serialized(tool(model, photos))
        except ImportError:
            setting.progress.warn("NNCF is not installed, so it is not beside: `pip install nncf`.")
            continue
        made[name] = sealed(
            setting.work / name, {MODEL: data}, name="peer", graphs={GRAPH: plain.graphs[GRAPH]},
            made_by={**plain.made_by, "precision": "int8"}, parent=plain.digest, numbers={},
        )  # fmt: skip
    return made


def inputs(frame: Pixels) -> dict[str, Any]:
    """Return what a frame graph is fed with a frame, (1, H, W, 3) uint8."""
    return {"frame": frame, "strength": np.ones(1, np.float32)}


class PhotoReader(CalibrationDataReader):  # type: ignore[misc]
    """Hands the frames to the calibrator one after the other; ``get_next`` is ONNX Runtime's name."""

    def __init__(self, frames: Sequence[Pixels]) -> None:
        self._feeds = map(inputs, frames)

    def get_next(self) -> Mapping[str, Any] | None:
        """Return the inputs of one run, None behind the last."""
        return next(self._feeds, None)


def static_quantized(
    model: onnx.ModelProto, frames: Sequence[Pixels], *, method: str
) -> onnx.ModelProto:
    """Return the graph with Q/DQ around its convolutions: int8, per channel, symmetric.

    As ONNX Runtime's documentation describes it. ``method`` is a name of CalibrationMethod; the
    frames, (1, H, W, 3) uint8, are of one size, since histograms of several fail.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain, ready, done = (str(Path(folder) / f"{n}.onnx") for n in ("plain", "ready", "done"))
        onnx.save(model, plain)
        quant_pre_process(plain, ready, skip_symbolic_shape=True)
        quantize_static(
            ready, done, PhotoReader(frames), quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8, weight_type=QuantType.QInt8, per_channel=True,
            op_types_to_quantize=["Conv"], calibrate_method=CalibrationMethod[method],
            extra_options={"ActivationSymmetric": True},
        )  # fmt: skip
        return onnx.load(done)


def nncf_quantized(model: onnx.ModelProto, frames: Sequence[Pixels]) -> onnx.ModelProto:
    """Return the graph with Q/DQ where NNCF puts them by default; it is no dependency."""
    import nncf

    data = nncf.Dataset(list(frames), inputs)
    done: onnx.ModelProto = nncf.quantize(model, data, subset_size=len(frames))
    return done


def calibration(setting: Setting) -> Iterator[Row]:
    """Yield the peak memory of calibrating a student on photos of 1920x1080."""
    bundle = setting.forms(setting.style.student).float_bundle.artifact
    ways = [("stylepress", OURS, "", count) for count in COUNTS]
    for method, counts in (("MinMax", (4, 8)), ("Percentile", (1, 2)), ("Entropy", (1, 2))):
        ways += [("ONNX Runtime", THEIRS, method, count) for count in counts]
    for subject, program, method, count in ways:
        text = CALIBRATION.format(
            limit=LIMIT_BYTES, count=count,
            program=program.format(model=str(bundle.path(MODEL)), method=method),
        )  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", text],
            check=False,
            capture_output=True,
            text=True,
            env=setting.environ,
        )
        if done.returncode and not any(word in done.stderr for word in OUT_OF_MEMORY):
            raise BackendError(
                f"Calibrating with {subject} failed: {done.stderr.strip().splitlines()[-1:]}.",
                "Run the calibration by itself, and report what it says.",
            )
        peak = float("inf") if done.returncode else float(done.stdout.split()[-1])
        note = f"more than {LIMIT_BYTES >> 30} GiB: it ended" if done.returncode else ""
        figure = PEAK.format(count)
        yield Row(figure, peak, "GiB", subject, method, "int8", "1920x1080", note=note)


def layers(setting: Setting) -> Iterator[Row]:
    """Yield, for each convolution of the student, the drift of its INT8 for each ms it saves."""
    style, progress = setting.style, setting.progress
    bundle = setting.forms(style.student).float_bundle.artifact
    model = onnx.load(str(bundle.path(MODEL)))
    photos = list(Photos.below(setting.learning, progress).frames(8))
    options = QuantizeStep(keep_float="none")
    observed = observe_inputs(model, photos, options=options, progress=progress)
    int8 = quantize_observed(model, observed, options=options, progress=progress)
    saved = saved_by_int8(model, int8, bundle.graphs[GRAPH], ENGINE)
    for layer in sensitivities(
        model, int8, observed, photos[:4], options=options, saved=saved, progress=progress
    ):
        for figure, value, kind in zip(
            OF_LAYERS, (layer.drift, layer.saved), ("", "ms"), strict=True
        ):
            yield Row(
                figure, value, kind, f"student {style.name}, {layer.layer}", ENGINE, "int8",
                "512x512", digest=style.student.digest,
            )  # fmt: skip
