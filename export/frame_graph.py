"""The frame graph: any image-to-image network, from uint8 pictures to uint8 pictures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stylepress.errors import ExportError
from stylepress.ports import Graph, Port

LEVELS = 255.0
MODEL = "model.onnx"
FRAME, STRENGTH, FRAME_OUT = "frame", "strength", "frame_out"
"""The ports of a frame graph; nothing downstream knows them but by the manifest."""
FRAME_SHAPE = ("batch", "height", "width", 3)


@dataclass(frozen=True, slots=True)
class ImageRange:
    """The values a network takes and gives for black (``low``) and white (``high``), and its order.

    >>> ImageRange(-1, 1).scale
    0.00784313725490196
    """

    low: float
    high: float
    bgr: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ExportError(
                f"An image range from {self.low} to {self.high} holds no image.",
                "Give the value of black first, then the larger one of white.",
            )

    @classmethod
    def of(cls, port: Port) -> ImageRange:
        """Return the range and order of a network's picture input.

        Raises:
            ExportError: the port is not bound at both ends.
        """
        if port.low is None or port.high is None:
            raise ExportError(
                f"The port {port.name} does not say which values are black and white.",
                "Give its family a `low` and a `high`.",
            )
        return cls(port.low, port.high, port.order == "bgr")

    @property
    def scale(self) -> float:
        """The network's units in one level of 255."""
        return (self.high - self.low) / LEVELS

    def from_levels(self, picture: Tensor) -> Tensor:
        """Map (N, 3, H, W) RGB levels in [0, 255] to what the network takes."""
        if self.bgr:
            picture = picture.flip(1)
        if self.scale != 1:
            picture = picture * self.scale
        return picture + self.low if self.low else picture

    def to_levels(self, picture: Tensor) -> Tensor:
        """Map what the network gives to (N, 3, H, W) RGB levels, unclamped."""
        if self.low:
            picture = picture - self.low
        if self.scale != 1:
            picture = picture * (1 / self.scale)
        return picture.flip(1) if self.bgr else picture


class FrameGraph(nn.Module):
    """Wrap ``network`` so that it takes and gives what cameras, files and screens hold.

    forward: frame (N, H, W, 3) uint8 RGB, strength (N,) float32 in [0, 1] -> (N, H, W, 3) uint8.
    Strength 0 gives the frame back, 1 the network's picture, and between them the two are mixed.
    ``network`` maps (N, 3, H, W) float32 in ``image`` to the same range, unclamped, at least H x W
    large: what is beyond is cropped at the bottom and on the right. ``least`` is the smallest H
    and W that it takes. ``inputs`` are what it takes besides, in their order (a style).
    """

    def __init__(
        self,
        network: nn.Module,
        image: ImageRange,
        *,
        least: int = 1,
        inputs: tuple[Port, ...] = (),
    ) -> None:
        super().__init__()
        self.network, self.image, self.least, self.inputs = network, image, least, inputs

    def forward(self, frame: Tensor, strength: Tensor, *more: Tensor) -> Tensor:
        before = frame.float()
        _, height, width, _ = frame.shape
        drawn = self.network(self.image.from_levels(before.permute(0, 3, 1, 2)), *more)
        # Everything after the network runs on NHWC: measured 10 % faster on OpenVINO than NCHW,
        # because the picture that is mixed in need not be transposed.
        after = self.image.to_levels(drawn).permute(0, 2, 3, 1)[:, :height, :width]
        share = strength.clamp(0.0, 1.0)[:, None, None, None]
        mixed = before + share * (after.clamp(0.0, LEVELS) - before)
        return mixed.round().to(torch.uint8)

    @property
    def ports(self) -> Graph:
        """What the manifest says of the graph."""
        frame = picture_port(FRAME, "the picture to stylize, RGB", least=self.least)
        strength = Port(
            name=STRENGTH,
            shape=("batch",),
            dtype="float32",
            low=0,
            high=1,
            default=1.0,
            meaning="how much of the style: 0 gives the frame back, 1 the network's picture",
        )
        after = frame.model_copy(update={"name": FRAME_OUT, "meaning": "the stylized picture, RGB"})
        inputs = (frame, strength, *self.inputs)
        return Graph(kind="frame", file=MODEL, inputs=inputs, outputs=(after,))


def picture_port(name: str, meaning: str, *, least: int = 1) -> Port:
    """Return the port of (N, H, W, 3) uint8 RGB pictures, sides of ``least`` pixels or more."""
    return Port(
        name=name,
        shape=FRAME_SHAPE,
        dtype="uint8",
        low=0,
        high=LEVELS,
        least=least,
        meaning=meaning,
    )
