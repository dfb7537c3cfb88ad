"""What a user has without us: the teacher in PyTorch, in ONNX Runtime, and quantized to INT8."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from stylepress.artifact import Artifact
from stylepress.benchmarks.timing.systems import Contender, Entries, Run, bundle_model
from stylepress.export.bundle import write_bundle
from stylepress.export.frame_graph import FrameGraph
from stylepress.export.int8.bundle import quantize_bundle
from stylepress.export.stage import frame_graph_of
from stylepress.picture import Pixels
from stylepress.progress import Progress
from stylepress.recipe import plain_name
from stylepress.runtime.bundle import read_bundle
from stylepress.steps import ExportStep, LoadStep, QuantizeStep
from stylepress.train.stage import load
from stylepress.work import Work

CALIBRATION = 6
"""Photos for the teacher's INT8: it is a baseline for speed, and InstanceNorm adapts to each."""
CHECKED_AT = ((256, 256),)


class Baselines:
    """A teacher's checkpoint, and its frame graph as float and as INT8 bundles below ``work``.

    ``source`` is a checkpoint artifact, or a weights file of a known family.
    """

    def __init__(
        self, source: Path, work: Path, *, frames: Sequence[Pixels], progress: Progress
    ) -> None:
        if source.is_dir():
            self.checkpoint = Artifact.load(source)
        else:
            folder = work / "teacher"
            asked = Work(plain_name(source.stem), folder, folder, progress=progress)
            self.checkpoint = load(None, LoadStep(checkpoint=source), folder, asked)
        self.frames, self.work, self.progress = frames, work, progress
        self.float_bundle = read_bundle(
            float_bundle(self.checkpoint, work, frames[0], progress=progress).folder
        )

    def enter(self, entries: Entries) -> None:
        """Add the three baselines: torch eager, float in ONNX Runtime, INT8 in OpenVINO.

        Where a backend is missing, the others stand in for it. Sizes and digest are the checkpoint's.
        """
        own, size = self.checkpoint, entries.size
        plain = bundle_model(self.float_bundle, "teacher", size, f"{own.name} teacher fp32")
        plain = plain.model_copy(
            update={
                "digest": own.digest,
                "parent": own.parent,
                "weights_bytes": own.files["weights.safetensors"].size_bytes,
            }
        )
        small = read_bundle(self.quantized().folder)
        int8 = bundle_model(small, "teacher", size, f"{own.name} teacher int8")
        threads = entries.options.all_threads
        facts: dict[str, str | int] = {
            "backend": "torch eager",
            "version": torch.__version__,
            "precision": "f32",
            "threads": threads,
        }
        run = eager(frame_graph_of(own), threads)
        entries.contenders.append(Contender(plain, "torch eager", run, facts, baseline=True))
        ort = [name for name in entries.backends if name == "onnxruntime"]
        entries.enter(plain, self.float_bundle, ort, baseline=True)
        openvino = [name for name in entries.backends if name == "openvino"]
        entries.enter(int8, small, openvino or ort, baseline=True)

    def quantized(self) -> Artifact:
        """Return the INT8 bundle, made at the first call."""
        folder = self.work / f"{self.checkpoint.digest[:16]}.int8"
        if folder.is_dir():
            return Artifact.load(folder)
        return quantize_bundle(
            self.float_bundle.artifact,
            folder,
            frames=self.frames[:CALIBRATION],
            # All convolutions, also the 9x9 ones at the ends: the fastest INT8 there is of it.
            options=QuantizeStep(
                keep_float="none", min_psnr_db=0, repair=False, verify_sizes=CHECKED_AT
            ),
            progress=self.progress,
        )


def float_bundle(
    checkpoint: Artifact, work: Path, frame: Pixels, *, progress: Progress
) -> Artifact:
    """Export a checkpoint as it is, in float, below ``work``; once for each checkpoint.

    ``frame`` is a photo to verify it on, at one size: what ships was verified when it was built.
    """
    folder = work / f"{checkpoint.digest[:16]}.float"
    if folder.is_dir():
        return Artifact.load(folder)
    return write_bundle(
        checkpoint,
        frame_graph_of(checkpoint),
        folder,
        name=checkpoint.name,
        photos=[frame],
        options=ExportStep(verify_sizes=CHECKED_AT),
        progress=progress,
    )


def eager(graph: FrameGraph, threads: int) -> Run:
    """Return PyTorch eager as its users run it: float32 NCHW, no gradient, ``threads`` threads."""
    torch.set_num_threads(threads)
    return framed(graph, graph.network)


def framed(graph: FrameGraph, network: Callable[[torch.Tensor], torch.Tensor]) -> Run:
    """Return what runs a bare network on frames: conversion, crop and rounding in PyTorch.

    ``network`` maps (1, 3, H, W) float32 in the graph's image range to the same, like its own.
    """

    def run(frame: Pixels) -> Pixels:
        with torch.inference_mode():
            image = torch.from_numpy(frame).permute(0, 3, 1, 2).float().contiguous()
            drawn = graph.image.to_levels(network(graph.image.from_levels(image)))
            height, width = frame.shape[1:3]
            levels = drawn[..., :height, :width].round().clamp(0, 255).to(torch.uint8)
            made: Pixels = np.ascontiguousarray(levels.permute(0, 2, 3, 1).numpy())
        return made

    return run
