"""The third stage: a student's checkpoint becomes a float bundle, and that an INT8 bundle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stylepress.artifact import Artifact
from stylepress.compress.int8 import Int8Options
from stylepress.compress.student import LEAST_SIDE as STUDENT_LEAST
from stylepress.compress.student import student_from
from stylepress.export.bundle import (
    MODEL,
    ExportOptions,
    QuantizeOptions,
    quantize_bundle,
    write_bundle,
)
from stylepress.export.frame_graph import FrameGraph, ImageRange
from stylepress.export.rtx import compile_plan
from stylepress.export.verify import Pixels
from stylepress.progress import Progress
from stylepress.recipe import Recipe
from stylepress.targets.target import Target
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


@dataclass(frozen=True)
class _Frames:
    """The first photos as frames, as often as they are asked for, one at a time."""

    photos: Photos
    limit: int

    def __iter__(self) -> Iterator[Pixels]:
        return self.photos.frames(self.limit)


def quantize_stage(recipe: Recipe, bundle: Artifact, folder: Path, progress: Progress) -> Artifact:
    """Write the INT8 bundle of a float bundle, calibrated on the recipe's photos."""
    step = recipe.quantize
    photos = Photos.below(recipe.photos, progress)
    return quantize_bundle(
        bundle,
        folder,
        frames=_Frames(photos, step.calibration_photos),
        options=QuantizeOptions(
            int8=Int8Options(calibration=step.calibration, keep_float=step.keep_float),
            min_psnr_db=step.min_psnr_db,
            compare_sizes=recipe.export.verify_sizes,
        ),
        progress=progress,
    )


def compile_stage(bundle: Artifact, target: Target, folder: Path) -> Artifact:
    """Compile a bundle for a desktop RTX target with TensorRT for RTX; no GPU is needed.

    The plan was parsed and compiled, not run: the numbers say what the compiler made of it.

    Raises:
        BackendError: the compiler is not installed.
        ExportError: it refuses the bundle.
    """
    proof = compile_plan(
        bundle.path(MODEL),
        compute_capability=target.compute_capability or "8.9",
        size=target.size,
        least=(bundle.inputs[0].least, bundle.inputs[0].least),
    )

    def fill(beside: Path) -> None:
        (beside / "engine.plan").write_bytes(proof.plan)

    return Artifact.create(
        folder,
        fill,
        kind="engine",
        name=bundle.name,
        inputs=bundle.inputs,
        outputs=bundle.outputs,
        made_by={
            "step": "compile",
            "target": target.name,
            "compiler": f"TensorRT for RTX {proof.version}",
            "compute_capability": proof.capability,
            "ran_on_hardware": False,
        },
        parent=bundle.digest,
        numbers={
            "convolutions": float(len(proof.convolutions)),
            "int8_convolutions": float(len(proof.int8_convolutions)),
            "activation_bytes": float(proof.activation_bytes),
        },
    )
