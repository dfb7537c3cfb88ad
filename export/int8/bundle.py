"""A float bundle made INT8: calibrated, repaired where it must be, compared with the float one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import onnx

import stylepress
from stylepress.artifact import Artifact
from stylepress.errors import ArtifactError, VerificationError
from stylepress.export.bundle import GOLDEN_LEVELS, GOLDEN_RMS, GRAPH, bundle_numbers, sealed
from stylepress.export.frame_graph import MODEL
from stylepress.export.golden import golden_crops, golden_files
from stylepress.export.int8.quantize import Int8Model, observe_inputs, quantize_observed
from stylepress.export.int8.repair import repaired
from stylepress.export.onnx_file import check_onnx, serialized
from stylepress.export.verify import Agreement, compare, fitted
from stylepress.picture import Pixels
from stylepress.progress import Progress
from stylepress.steps import QuantizeStep

WATCHED = 4
"""Photos that INT8 is compared with float on; calibration takes all of them."""


def quantize_bundle(
    bundle: Artifact,
    out: Path,
    *,
    frames: Iterable[Pixels],
    options: QuantizeStep,
    progress: Progress,
) -> Artifact:
    """Quantize a float bundle on the user's photos, compare it with the float one, seal it.

    ``frames`` are (1, H, W, 3) uint8 RGB, taken once and one at a time.

    Raises:
        ArtifactError: ``bundle`` is not a float bundle.
        VerificationError: the PSNR against the float model is below the minimum.
        RecipeError, CheckpointError, FrameError: as ``quantize_int8``.
        OutputError: ``out`` cannot be written.
    """
    if bundle.kind != "bundle" or bundle.made_by.get("precision") != "fp32":
        raise ArtifactError(
            f"{bundle.folder} is a {bundle.kind} of precision "
            f"{bundle.made_by.get('precision', 'unknown')}, not a float bundle.",
            "Quantize the bundle that `stylepress export` wrote.",
        )
    progress.start(f"{bundle.name}: INT8 calibration", None)
    float_data = bundle.path(MODEL).read_bytes()
    model = onnx.load_model_from_string(float_data)
    photos: list[Pixels] = []
    graph, opset = bundle.graphs[GRAPH], int(bundle.made_by["opset"])
    least = graph.picture.least if graph.picture else 1
    observed = observe_inputs(
        model, _watched(frames, photos, least), options=options, progress=progress
    )
    int8 = quantize_observed(model, observed, options=options, progress=progress)
    sized = (fitted(photo, size) for size in options.verify_sizes for photo in photos)
    agreement = compare(float_data, serialized(int8.model), sized)
    if options.repair and agreement.psnr_db < options.min_psnr_db:
        int8, agreement = repaired(
            model,
            (int8, agreement),
            observed,
            watched=photos,
            options=options,
            graph=graph,
            progress=progress,
        )
    check_onnx(int8.model, opset=opset)
    _check_psnr(agreement, options, int8)
    data = serialized(int8.model)
    # Another engine may add up in another order and round to other codes. Both are as far from
    # float as INT8 is, so by the triangle inequality they are at most twice that from each other.
    crops = (crop for crop, _ in golden_crops(photos))
    off = compare(float_data, data, crops)
    golden = (max(GOLDEN_LEVELS, 2.0 * off.worst_levels), max(GOLDEN_RMS, 2.0 * off.rms_levels))
    progress.finish()
    return sealed(
        out,
        {MODEL: data, **golden_files(data, photos, graph, GRAPH)},
        name=bundle.name,
        graphs={GRAPH: graph},
        made_by={
            "step": "quantize",
            "stylepress": stylepress.__version__,
            "family": bundle.made_by.get("family", "unknown"),
            "opset": opset,
            "precision": "int8",
            **_int8_record(options, int8),
        },
        parent=bundle.digest,
        numbers=bundle_numbers(int8.model, agreement, golden),
    )


def _check_psnr(agreement: Agreement, options: QuantizeStep, quantized: Int8Model) -> None:
    if agreement.psnr_db < options.min_psnr_db:
        raise VerificationError(
            f"INT8 differs from float by {agreement.psnr_db:.1f} dB PSNR over {agreement.frames} frames, "
            f"where at least {options.min_psnr_db:g} are wanted (worst {agreement.worst_levels} levels "
            f"of 255, {quantized.photos} calibration photos).",
            "Calibrate on more photos, try "
            "`calibration: mse`, keep more layers float, or lower `min_psnr_db`.",
        )


def _int8_record(options: QuantizeStep, quantized: Int8Model) -> dict[str, Any]:
    steps = json.dumps(quantized.steps, sort_keys=True)
    keep = options.keep_float
    return {
        "calibration": options.calibration,
        "percentile": options.percentile if options.calibration == "percentile" else None,
        "equalize": options.equalize,
        "correct_bias": options.correct_bias,
        "keep_float": list(keep) if isinstance(keep, tuple) else keep,
        "int8_layers": list(quantized.quantized),
        "float_layers": list(quantized.kept_float),
        "photos": quantized.photos,
        "calibration_px": options.calibration_px,
        "steps": dict(quantized.steps),
        "steps_digest": hashlib.sha256(steps.encode()).hexdigest(),
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
