"""The bundle: a checkpoint's frame graph, proven, with pictures to test a device by."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
from PIL import Image

import stylepress
from stylepress.artifact import Artifact, TensorSpec
from stylepress.compress.int8 import Int8Model, Int8Options, quantize_int8
from stylepress.errors import ArtifactError, FrameError, VerificationError
from stylepress.export.frame_graph import FrameGraph
from stylepress.export.macs import cost
from stylepress.export.onnx_file import check_onnx, onnx_model, serialized
from stylepress.export.repair import repaired
from stylepress.export.verify import (
    SIZES,
    Agreement,
    OnnxFrames,
    Pixels,
    Size,
    compare,
    fitted,
    verify,
)
from stylepress.progress import Progress

MODEL = "model.onnx"
NETWORK = "network.json"
GOLDEN_SIZES: tuple[Size, ...] = ((128, 128), (97, 131), (64, 160))
GOLDEN_LEVELS = 2
"""Levels by which two float backends may differ: each may round a half to its own side."""
WATCHED = 4
"""Photos that a model is verified on; calibration takes all of them."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """The ONNX opset, and the heights and widths at which the file is verified against torch."""

    opset: int = 18
    verify_sizes: tuple[Size, ...] = SIZES


@dataclass(frozen=True, slots=True)
class QuantizeOptions:
    """How INT8 is made, how near to the float model it must stay, and at which sizes."""

    int8: Int8Options = field(default_factory=Int8Options)
    min_psnr_db: float = 32.0
    compare_sizes: tuple[Size, ...] = SIZES
    repair: bool = True


def write_bundle(
    parent: Artifact,
    graph: FrameGraph,
    out: Path,
    *,
    name: str,
    frames: Iterable[Pixels],
    options: ExportOptions,
    progress: Progress,
) -> Artifact:
    """Export ``graph``, made of the checkpoint ``parent``, verify it, and seal it in ``out``.

    ``frames`` are a few photos, (1, H, W, 3) uint8 RGB; the first four are used.

    Raises:
        ExportError: PyTorch or ONNX refuses the network.
        VerificationError: the file does not do what the network does.
        FrameError: no photos.
        OutputError: ``out`` cannot be written.
    """
    progress.start(f"{name}: export", 3)
    photos = list(itertools.islice(frames, WATCHED))
    _paired(photos)  # no photos is told before the work begins
    model = onnx_model(graph, opset=options.opset)
    data = serialized(model)
    progress.advance(note=f"opset {options.opset}")
    seen = verify(data, graph, photos, sizes=options.verify_sizes)
    progress.advance(note=f"{seen.worst_levels} levels from torch")
    image = graph.image
    made = _sealed(
        out,
        {MODEL: data, **_golden(data, photos)},
        name=name,
        ports=(graph.inputs, graph.outputs),
        made_by={
            "step": "export",
            "stylepress": stylepress.__version__,
            "family": json.loads(parent.path(NETWORK).read_text(encoding="utf-8"))["family"],
            "opset": options.opset,
            "precision": "fp32",
            "image": {"low": image.low, "high": image.high, "bgr": image.bgr},
            "verified_sizes": [list(size) for size in options.verify_sizes],
        },
        parent=parent.digest,
        numbers=_numbers(model, seen, GOLDEN_LEVELS),
    )
    progress.advance()
    progress.finish()
    return made


def quantize_bundle(
    bundle: Artifact,
    out: Path,
    *,
    frames: Iterable[Pixels],
    options: QuantizeOptions,
    progress: Progress,
) -> Artifact:
    """Quantize a float bundle on the user's photos, compare it with the float one, seal it.

    ``frames`` are (1, H, W, 3) uint8 RGB, taken one at a time; when INT8 is too far from float
    and ``options.repair`` is set, they are iterated again, so an iterator will not do.

    Raises:
        ArtifactError: ``bundle`` is not a float bundle.
        VerificationError: the PSNR against the float model is below the minimum.
        RecipeError, CheckpointError, FrameError: as ``quantize_int8``.
        OutputError: ``out`` cannot be written.
    """
    if bundle.kind != "bundle" or bundle.made_by.get("precision") != "fp32":
        raise ArtifactError(
            f"{bundle.folder} is a {bundle.kind} of precision "
            f"{bundle.made_by.get('precision', 'unknown')}, not a float bundle. "
            f"Quantize the bundle that `stylepress export` wrote."
        )
    progress.start(f"{bundle.name}: INT8 calibration", None)
    float_data = bundle.path(MODEL).read_bytes()
    model = onnx.load_model_from_string(float_data)
    photos: list[Pixels] = []
    least = bundle.inputs[0].least
    made = quantize_int8(
        model, _watched(frames, photos, least), options=options.int8, progress=progress
    )
    check_onnx(made.model, opset=int(bundle.made_by["opset"]))
    data = serialized(made.model)
    sized = (fitted(photo, size) for size in options.compare_sizes for photo in photos)
    seen = compare(float_data, data, sized)
    if options.repair and seen.psnr_db < options.min_psnr_db:
        made, seen = repaired(
            model,
            (made, seen),
            frames,
            watched=photos,
            sizes=options.compare_sizes,
            wish=(options.int8, options.min_psnr_db),
            progress=progress,
        )
        check_onnx(made.model, opset=int(bundle.made_by["opset"]))
        data = serialized(made.model)
    _check_psnr(seen, options, made)
    golden = _golden(data, photos)
    # An engine may add up in another order and round to another code, but no INT8 engine can be
    # further from another than INT8 itself is from float; nor is one that computes in float.
    crops = [fitted(photo, size) for photo, size in _paired(photos)]
    worst = max(GOLDEN_LEVELS, compare(float_data, data, crops).worst_levels)
    progress.finish()
    return _sealed(
        out,
        {MODEL: data, **golden},
        name=bundle.name,
        ports=(bundle.inputs, bundle.outputs),
        made_by={
            "step": "quantize",
            "stylepress": stylepress.__version__,
            "family": bundle.made_by.get("family", "unknown"),
            "opset": bundle.made_by["opset"],
            "precision": "int8",
            **_int8_record(options.int8, made),
        },
        parent=bundle.digest,
        numbers=_numbers(made.model, seen, worst),
    )


def _check_psnr(seen: Agreement, options: QuantizeOptions, made: Int8Model) -> None:
    if seen.psnr_db < options.min_psnr_db:
        raise VerificationError(
            f"INT8 differs from float by {seen.psnr_db:.1f} dB PSNR over {seen.frames} frames, "
            f"where at least {options.min_psnr_db:g} are wanted (worst {seen.worst_levels} levels "
            f"of 255, {made.photos} calibration photos). Calibrate on more photos, try "
            f"`calibration: mse`, keep more layers float, or lower `min_psnr_db`."
        )


def _int8_record(options: Int8Options, made: Int8Model) -> dict[str, Any]:
    steps = json.dumps(made.steps, sort_keys=True)
    keep = options.keep_float
    return {
        "calibration": options.calibration,
        "percentile": options.percentile if options.calibration == "percentile" else None,
        "equalize": options.equalize,
        "correct_bias": options.correct_bias,
        "keep_float": list(keep) if isinstance(keep, tuple) else keep,
        "int8_layers": list(made.quantized),
        "float_layers": list(made.kept_float),
        "photos": made.photos,
        "steps": dict(made.steps),
        "steps_digest": hashlib.sha256(steps.encode()).hexdigest(),
    }


def _numbers(model: onnx.ModelProto, seen: Agreement, golden_levels: int) -> dict[str, float]:
    priced = cost(model, 512, 512)
    return {
        "params": float(priced.parameters),
        "macs_512": float(priced.macs),
        "psnr_db": seen.psnr_db,
        "worst_levels": float(seen.worst_levels),
        "golden_tolerance": float(golden_levels),
    }


def _watched(frames: Iterable[Pixels], kept: list[Pixels], least: int) -> Iterator[Pixels]:
    """Pass the photos on, enlarge those that are too small, keep the first few for comparing."""
    for frame in frames:
        if frame.ndim == 4 and min(frame.shape[1:3]) < least:
            height, width = frame.shape[1:3]
            frame = fitted(frame, (max(height, least), max(width, least)))
        if len(kept) < WATCHED:
            kept.append(frame)
        yield frame


def _golden(model: bytes, photos: Sequence[Pixels]) -> dict[str, bytes]:
    """Return pictures in and out of this very file in ONNX Runtime, as PNG by file name."""
    engine = OnnxFrames(model)
    files: dict[str, bytes] = {}
    for number, (photo, size) in enumerate(_paired(photos)):
        crop = fitted(photo, size)
        files[f"golden/{number}.in.png"] = _png(crop)
        files[f"golden/{number}.out.png"] = _png(engine(crop))
    return files


def _paired(photos: Sequence[Pixels]) -> list[tuple[Pixels, Size]]:
    if not photos:
        raise FrameError("There are no photos to test the bundle by. Name a folder of photos.")
    return list(zip(itertools.cycle(photos), GOLDEN_SIZES, strict=False))


def _png(frame: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(frame[0]).save(file, "PNG", optimize=True)
    return file.getvalue()


def _sealed(
    out: Path,
    files: Mapping[str, bytes],
    *,
    name: str,
    ports: tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]],
    made_by: Mapping[str, Any],
    parent: str,
    numbers: Mapping[str, float],
) -> Artifact:
    def fill(folder: Path) -> None:
        for place, data in files.items():
            (folder / place).parent.mkdir(exist_ok=True)
            (folder / place).write_bytes(data)

    return Artifact.create(
        out,
        fill,
        kind="bundle",
        name=name,
        inputs=ports[0],
        outputs=ports[1],
        made_by=made_by,
        parent=parent,
        numbers=numbers,
    )
