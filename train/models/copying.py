"""The loss of a style that is another network's: its pictures, pixel by pixel and in VGG features."""

from __future__ import annotations

import torch
from torch import Tensor

from stylepress.train.features.distances import COPY_LAYERS, DEEP, copy_distance, out_of_range
from stylepress.train.features.vgg import Vgg
from stylepress.train.trainer.device import Device
from stylepress.train.unit_range import draw_in_unit_range
from stylepress.train.weights.checkpoint import LoadedNetwork

PIXEL_WEIGHT, RANGE_WEIGHT = 2.0, 0.5


class CopyLoss:
    """How far pictures are from those that ``teacher`` draws of the same photos.

    The mean distance a pixel and, with ``vgg``, the relative squared distance of features from
    relu1_1 to relu3_1, at a third of the calls to relu4_1.
    """

    def __init__(self, teacher: LoadedNetwork, vgg: Vgg | None, device: Device) -> None:
        self._teacher, self._vgg, self._device = teacher, vgg, device
        device.hold(teacher.module)

    def __call__(
        self, output: Tensor, content: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return {"pixels", "range"}, and "features" with a VGG, weighted scalars."""
        target = self.drawn(content)
        terms = {
            "pixels": PIXEL_WEIGHT * (output - target).abs().mean(),
            "range": RANGE_WEIGHT * out_of_range(output),
        }
        if self._vgg is not None:
            deep = float(torch.rand(1, generator=generator)) < DEEP
            layers = COPY_LAYERS if deep else COPY_LAYERS[:-1]
            with torch.no_grad():
                aims = self._vgg(target, layers)
            gaps = copy_distance(self._vgg(output, layers), aims, layers)
            terms["features"] = gaps.mean()
        return terms

    def drawn(self, content: Tensor) -> Tensor:
        """Return the teacher's picture of (N, 3, H, W) float32 RGB in [0, 1], in that range."""
        with self._device.autocast():
            drawn: Tensor = draw_in_unit_range(self._teacher.module, self._teacher.image, content)
        return drawn
