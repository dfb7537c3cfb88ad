"""The bundle: a checkpoint's frame graph, proven, with pictures to test a device by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

import stylepress
from stylepress.artifact import Artifact
from stylepress.export.frame_graph import MODEL, FrameGraph, ImageRange
from stylepress.export.golden import golden_crops, golden_files
from stylepress.export.macs import cost
from stylepress.export.onnx_file import onnx_model, serialized
from stylepress.export.verify import Agreement, verify
from stylepress.picture import Pixels
from stylepress.ports import Graph
from stylepress.progress import Progress
from stylepress.steps import ExportStep

NETWORK = "network.json"
GRAPH = "frame"
"""The name of the graph of a bundle that has one."""
GOLDEN_LEVELS, GOLDEN_RMS = 2.0, 0.5
"""Levels by which two float backends may differ, at most and as root mean square: each may round a
half to its own side."""


def write_bundle(
    parent: Artifact,
    graph: FrameGraph,
    out: Path,
    *,
    name: str,
    photos: Sequence[Pixels],
    options: ExportStep,
    progress: Progress,
) -> Artifact:
    """Export ``graph``, made of the checkpoint ``parent``, verify it, and seal it in ``out``.

    ``photos`` are (1, H, W, 3) uint8 RGB; a few are enough.

    Raises:
        ExportError: PyTorch or ONNX refuses the network.
        VerificationError: the file does not do what the network does.
        FrameError: no photos.
        OutputError: ``out`` cannot be written.
    """
    progress.start(f"{name}: export", 3)
    golden_crops(photos)  # no photos is said before the work begins
    model = onnx_model(graph, opset=options.opset)
    data = serialized(model)
    progress.advance(note=f"opset {options.opset}")
    agreement = verify(data, graph, photos, sizes=options.verify_sizes)
    progress.advance(note=f"{agreement.worst_levels} levels from torch")
    image = graph.image
    bundle = sealed(
        out,
        {MODEL: data, **golden_files(data, photos, graph.ports, GRAPH)},
        name=name,
        graphs={GRAPH: graph.ports},
        made_by=exported(parent, image, options),
        parent=parent.digest,
        numbers=bundle_numbers(model, agreement, (GOLDEN_LEVELS, GOLDEN_RMS)),
    )
    progress.advance()
    progress.finish()
    return bundle


def bundle_numbers(
    model: onnx.ModelProto, agreement: Agreement, golden: tuple[float, float]
) -> dict[str, float]:
    """Return what a bundle's manifest says of its cost and of how near it is to its parent.

    ``golden`` is the distance from the golden outputs with which an engine still agrees, in levels
    of 255: the largest, and the root mean square.
    """
    priced = cost(model, 512, 512)
    return {
        "params": float(priced.parameters),
        "macs_512": float(priced.macs),
        "psnr_db": agreement.psnr_db,
        "worst_levels": float(agreement.worst_levels),
        "golden_tolerance": golden[0],
        "golden_rms": golden[1],
    }


def sealed(
    out: Path,
    files: Mapping[str, bytes],
    *,
    name: str,
    graphs: Mapping[str, Graph],
    made_by: Mapping[str, Any],
    parent: str,
    numbers: Mapping[str, float],
) -> Artifact:
    """Write the files of a bundle and seal them.

    Raises:
        OutputError: ``out`` cannot be written.
    """

    def fill(folder: Path) -> None:
        for place, data in files.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(data)

    return Artifact.create(
        out,
        fill,
        kind="bundle",
        name=name,
        graphs=graphs,
        made_by=made_by,
        parent=parent,
        numbers=numbers,
    )


def exported(parent: Artifact, image: ImageRange, options: ExportStep) -> dict[str, Any]:
    """Return what a manifest says of how a float bundle of the checkpoint ``parent`` came about."""
    return {
        "step": "export",
        "stylepress": stylepress.__version__,
        "family": json.loads(parent.path(NETWORK).read_text(encoding="utf-8"))["family"],
        "opset": options.opset,
        "precision": "fp32",
        "image": {"low": image.low, "high": image.high, "bgr": image.bgr},
        "verified_sizes": [list(size) for size in options.verify_sizes],
    }
