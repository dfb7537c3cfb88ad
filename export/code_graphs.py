"""Graphs beside the frame graph: a picture to a code, and noise or a code to pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stylepress.export.frame_graph import FRAME_OUT, LEVELS, ImageRange, picture_port
from stylepress.ports import Graph, Port

PICTURE = "picture"
"""The input of an encoder graph."""


class EncoderGraph(nn.Module):
    """Wrap what makes a code of a picture: (N, H, W, 3) uint8 RGB -> ``outputs``, floats.

    ``entry`` names the method of ``network`` that does it, on (N, 3, H, W) in ``image``.
    """

    def __init__(
        self,
        network: nn.Module,
        image: ImageRange,
        *,
        entry: str,
        outputs: tuple[Port, ...],
        least: int = 1,
        file: str = "encoder.onnx",
    ) -> None:
        super().__init__()
        self.network, self.image, self.least, self.file = network, image, least, file
        self.entry, self.outputs = entry, outputs

    def forward(self, picture: Tensor) -> Tensor:
        entered = self.image.from_levels(picture.float().permute(0, 3, 1, 2))
        code: Tensor = getattr(self.network, self.entry)(entered)
        return code

    @property
    def ports(self) -> Graph:
        """What the manifest says of the graph."""
        picture = picture_port(PICTURE, "the picture to make a code of, RGB", least=self.least)
        return Graph(kind="encoder", file=self.file, inputs=(picture,), outputs=self.outputs)


class SamplerGraph(nn.Module):
    """Wrap what draws from noise or a code: ``inputs``, floats -> (N, H, W, 3) uint8 RGB.

    ``entry`` names the method of ``network`` that draws, in the range of ``image``.
    """

    def __init__(
        self,
        network: nn.Module,
        image: ImageRange,
        *,
        entry: str,
        inputs: tuple[Port, ...],
        file: str = "sampler.onnx",
    ) -> None:
        super().__init__()
        self.network, self.image, self.file = network, image, file
        self.entry, self.inputs, self.least = entry, inputs, 1

    def forward(self, *inputs: Tensor) -> Tensor:
        drawn = self.image.to_levels(getattr(self.network, self.entry)(*inputs))
        return drawn.permute(0, 2, 3, 1).clamp(0.0, LEVELS).round().to(torch.uint8)

    @property
    def ports(self) -> Graph:
        """What the manifest says of the graph."""
        after = picture_port(FRAME_OUT, "the picture that was drawn, RGB")
        return Graph(kind="sampler", file=self.file, inputs=self.inputs, outputs=(after,))
