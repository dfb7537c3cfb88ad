"""A bare network as an ONNX file, for the converters of other engines."""

from __future__ import annotations

from pathlib import Path

import torch

from stylepress.export.frame_graph import FrameGraph
from stylepress.export.onnx_file import serialized, translated

IMAGE, DRAWN = "image", "drawn"


def network_file(graph: FrameGraph, size: tuple[int, int], folder: Path) -> Path:
    """Write the network alone, for one picture of ``size`` (height, width); return the file.

    Input ``image``, (1, 3, H, W) float32 in the network's own range; output ``drawn``, the same,
    up to 3 pixels larger. uint8, cropping and mixing stay outside: not every converter knows them.
    """
    example = torch.zeros(1, 3, *size)
    model = translated(graph.network, (example,), ports=([IMAGE], [DRAWN]))
    path = folder / f"network-{size[1]}x{size[0]}.onnx"
    path.write_bytes(serialized(model))
    return path
