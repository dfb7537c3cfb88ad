"""The third stage: a student's checkpoint becomes a float bundle, and that an INT8 bundle."""

from __future__ import annotations

from pathlib import Path

from stylepress.artifact import Artifact
from stylepress.compress.int8 import Int8Options
from stylepress.compress.student import LEAST_SIDE as STUDENT_LEAST
from stylepress.compress.student import student_from
from stylepress.export.bundle import (
    ExportOptions,
    QuantizeOptions,
    quantize_bundle,
    write_bundle,
)
from stylepress.export.frame_graph import FrameGraph, ImageRange
from stylepress.progress import Progress
from stylepress.recipe import Recipe
from stylepress.train.photos import Photos
from stylepress.train.weights.checkpoint import load_teacher, read_checkpoint


def frame_graph_of(checkpoint: Artifact) -> FrameGraph:
    """Wrap the network of any checkpoint artifact, a student's or a teacher's.

    Raises:
        CheckpointError: its weights do not fit what it says it is.
    """
    family, config, state = read_checkpoint(checkpoint)
    if family == "student":
        spec = checkpoint.inputs[0]
        image = ImageRange(spec.low, spec.high)
        return FrameGraph(student_from(config, state), image, least=STUDENT_LEAST)
    loaded = load_teacher(checkpoint.folder)
    image = ImageRange(loaded.image.low, loaded.image.high)
    return FrameGraph(loaded.module, image, least=loaded.image.least)


def export_stage(
    recipe: Recipe, checkpoint: Artifact, folder: Path, progress: Progress
) -> Artifact:
    """Write and verify the float bundle of a checkpoint."""
    photos = Photos.below(recipe.photos, progress)
    return write_bundle(
        checkpoint,
        frame_graph_of(checkpoint),
        folder,
        name=recipe.name,
        frames=photos.frames(len(photos)),
        options=ExportOptions(recipe.export.opset, recipe.export.verify_sizes),
        progress=progress,
    )


def quantize_stage(recipe: Recipe, bundle: Artifact, folder: Path, progress: Progress) -> Artifact:
    """Write the INT8 bundle of a float bundle, calibrated on the recipe's photos."""
    step = recipe.quantize
    photos = Photos.below(recipe.photos, progress)
    return quantize_bundle(
        bundle,
        folder,
        frames=photos.frames(step.calibration_photos),
        options=QuantizeOptions(
            int8=Int8Options(calibration=step.calibration, keep_float=step.keep_float),
            min_psnr_db=step.min_psnr_db,
            compare_sizes=recipe.export.verify_sizes,
        ),
        progress=progress,
    )
