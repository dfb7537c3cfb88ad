"""The third part of the path: a checkpoint becomes a bundle, float or INT8, or a compiled plan."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from stylepress.artifact import Artifact
from stylepress.errors import RecipeError
from stylepress.export.bundle import GRAPH, write_bundle
from stylepress.export.frame_graph import FrameGraph, ImageRange
from stylepress.export.int8.bundle import quantize_bundle
from stylepress.export.lowering.bundle import lower_bundle
from stylepress.export.rtx import compile_plan
from stylepress.picture import Pixels
from stylepress.steps import EngineStep, ExportStep, LowerStep, QuantizeStep
from stylepress.targets.target import load_target
from stylepress.train.patterns import draw
from stylepress.train.stage import album
from stylepress.train.weights.checkpoint import load_network
from stylepress.work import Work

WATCHED = 4
"""Pictures that a file is verified on."""
DRAWN_PX = 256


def frame_graph_of(checkpoint: Artifact) -> FrameGraph:
    """Wrap the network of any checkpoint artifact, a student's or a teacher's.

    Raises:
        CheckpointError: its weights do not fit what it says it is.
    """
    loaded = load_network(checkpoint.folder)
    return FrameGraph(loaded.module, ImageRange.of(loaded.image), least=loaded.image.least)


def export(source: Artifact, step: ExportStep, out: Path, work: Work) -> Artifact:
    """Write and verify the float bundle of a checkpoint, on photos or, without any, on patterns."""
    return write_bundle(
        source,
        frame_graph_of(source),
        out,
        name=work.name,
        photos=list(itertools.islice(_pictures(step.photos, work), WATCHED)),
        options=step,
        progress=work.progress,
    )


def _pictures(folder: Path | None, work: Work) -> Iterator[Pixels]:
    if folder is not None:
        return album(folder, work).frames(WATCHED)
    # One is enough to compare torch with ONNX on: the drawn pictures hold edges and flats alike.
    return iter([draw("glass", seed=1, size=DRAWN_PX)[None]])


def quantize(source: Artifact, step: QuantizeStep, out: Path, work: Work) -> Artifact:
    """Write the INT8 bundle of a float bundle, calibrated on photos."""
    if step.photos is None:
        raise RecipeError(
            "INT8 is calibrated on photos.", "Add `photos: FOLDER`, or `--photos DIR`."
        )
    return quantize_bundle(
        source,
        out,
        frames=album(step.photos, work).frames(
            step.calibration_photos, most_side=step.calibration_px
        ),
        options=step,
        progress=work.progress,
    )


def lower(source: Artifact, step: LowerStep, out: Path, work: Work) -> Artifact:
    """Write the bundle of a target: the same pictures, in the form that its engines take."""
    photos: list[Pixels] = []
    if step.photos is not None:
        photos = list(itertools.islice(album(step.photos, work).frames(WATCHED), WATCHED))
    return lower_bundle(
        source,
        load_target(step.target),
        out,
        photos=photos,
        options=step,
        progress=work.progress,
    )


def engine(source: Artifact, step: EngineStep, out: Path, work: Work) -> Artifact:
    """Compile a bundle for a desktop RTX target with TensorRT for RTX; no GPU is needed.

    The plan was parsed and compiled, not run: the numbers say what the compiler made of it.

    Raises:
        BackendError: the compiler is not installed, or refuses the bundle.
    """
    target = load_target(step.target)
    graph = source.graphs[GRAPH]
    work.progress.say(f"Compiling for {target.title}; nothing is run on the card.")
    proof = compile_plan(
        source.path(graph.file),
        graph,
        compute_capability=target.compute_capability or "8.9",
        size=target.size,
        progress=work.progress,
    )
    if target.memory_gb is not None and proof.memory_bytes > target.memory_gb * 1e9:
        work.progress.warn(
            f"The plan needs {proof.memory_bytes / 1e9:.1f} GB for its largest frame, and "
            f"{target.title} has {target.memory_gb:g} GB. Build for a smaller `size`."
        )

    def fill(beside: Path) -> None:
        (beside / "engine.plan").write_bytes(proof.plan)

    return Artifact.create(
        out,
        fill,
        kind="engine",
        name=source.name,
        made_by={
            "step": "engine",
            "target": target.name,
            "compiler": f"TensorRT for RTX {proof.version}",
            "compute_capability": proof.capability,
            "onnx": source.files[graph.file].sha256,
            "options": dict(proof.applied),
            "profile": {name: list(map(list, three)) for name, three in proof.shapes.items()},
            "float_convolutions": [
                layer.name for layer in proof.convolutions if "Int8" not in layer.inputs
            ],
            "ran_on_hardware": False,
        },
        parent=source.digest,
        numbers={
            "convolutions": float(len(proof.convolutions)),
            "int8_convolutions": float(len(proof.int8_convolutions)),
            "reformats": float(len(proof.reformats)),
            "activation_bytes": float(proof.activation_bytes),
            "weight_bytes": float(proof.weight_bytes),
            **({"memory_gb": target.memory_gb} if target.memory_gb is not None else {}),
        },
    )
