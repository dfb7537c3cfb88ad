"""The step `diffusion`: a folder of Stable Diffusion and a prompt become a bundle."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import stylepress
from stylepress.artifact import Artifact
from stylepress.cache import content_digest
from stylepress.diffusion_step import DiffusionStep
from stylepress.errors import RecipeError
from stylepress.export.bundle import GRAPH
from stylepress.export.diffusion.folder import (
    adapter,
    controlnet,
    network,
    pipeline,
    prompting,
)
from stylepress.export.diffusion.lora import merge, read_lora
from stylepress.export.diffusion.stylizer import Stylizer, halve
from stylepress.export.frame_graph import FrameGraph, ImageRange
from stylepress.export.several import Lineage, write_graphs
from stylepress.export.stage import WATCHED, watched_pictures
from stylepress.steps import ExportStep, recorded
from stylepress.work import Work

RANGE = ImageRange(-1.0, 1.0)


def diffusion(source: Artifact | None, step: DiffusionStep, out: Path, work: Work) -> Artifact:
    """Write and verify the bundle of a pipeline; its text encoder runs here and nowhere else.

    It begins a recipe: there is no ``source``.

    Raises:
        CheckpointError: a folder or a LoRA that cannot be used.
        RecipeError: a size that its network does not draw.
        ExportError: PyTorch or ONNX refuses it, e.g. beyond 2 GB.
        VerificationError: the file does not do what the pipeline does.
    """
    stylizer = stylizer_of(step, work)
    if step.half:
        halve(stylizer)
    photos = list(itertools.islice(watched_pictures(step.photos, work), WATCHED))
    options = ExportStep(opset=step.opset, verify_sizes=step.verify_sizes)
    made_by = {
        "stylepress": stylepress.__version__,
        "family": "stable-diffusion",
        "precision": "fp32",
        "from": step.pipeline.name,
        **recorded(step),
    }
    return write_graphs(
        Lineage(made_by, content_digest(step.pipeline)),
        {GRAPH: FrameGraph(stylizer, RANGE, inputs=stylizer.ports)},
        out,
        name=work.name,
        photos=photos,
        options=options,
        progress=work.progress,
    )


def stylizer_of(step: DiffusionStep, work: Work) -> Stylizer:
    """Load all that a step names, merge its LoRA files, read its prompt.

    Raises:
        CheckpointError: a folder or a LoRA that cannot be used.
        RecipeError: a size that its network does not draw.
    """
    unet, words = network(step.pipeline), prompting(step.pipeline)
    for name, lora in step.loras.items():
        changes = read_lora(lora.file)
        count = merge(changes.unet, unet, lora.scale, lora.file)
        count += merge(changes.text, words.encoder, lora.scale, lora.file)
        work.progress.say(f"{name}: {count} layers changed ({changes.dialect}).")
    (embedding, whole), (away, all_of_it) = map(words.embedding, (step.prompt, step.negative))
    if not (whole and all_of_it):
        work.progress.warn("A prompt is longer than the text encoder reads; its end is left out.")
    parts = replace(pipeline(step.pipeline, unet, embedding, step.vae), away=away)
    size = step.size or (parts.side, parts.side)
    # What the UNet halves must come out even, on the way down and back.
    multiple = parts.shrink * 2 ** (len(unet.config.block_out_channels) - 1)  # type: ignore[union-attr, arg-type]
    if any(side % multiple for side in size):
        raise RecipeError(
            f"size is {size[0]}x{size[1]}, and the network of {step.pipeline} draws multiples of "
            f"{multiple} pixels.",
            f"Take e.g. `size: [{parts.side}, {parts.side}]`.",
        )
    return Stylizer(
        parts,
        size,
        sampling=step.sampling,
        amount=step.amount,
        seed=step.seed or 0,
        guidance=step.guidance,
        controlnet=None if step.controlnet is None else controlnet(step.controlnet),
        adapter=None if step.adapter is None else adapter(step.adapter),
    ).eval()
