"""Pictures in [0, 1], whatever range and colour order a network works in."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stylepress.ports import Port


class InUnitRange(nn.Module):
    """Any network, on RGB pictures in [0, 1]: what it draws is as large as it makes it, not clamped.

    ``network`` maps (N, 3, H, W) float32 in [image.low, image.high] to the same range, in the colour
    order of ``image``.
    """

    def __init__(self, network: nn.Module, image: Port) -> None:
        super().__init__()
        self.network, self.bgr = network, image.order == "bgr"
        self.low = float(image.low or 0.0)
        self.span = float(1.0 if image.high is None else image.high) - self.low

    def forward(self, image: Tensor) -> Tensor:
        flipped = image.flip(1) if self.bgr else image
        drawn = self.network(flipped * self.span + self.low)
        output: Tensor = (drawn.float() - self.low) / self.span
        return output.flip(1) if self.bgr else output


@torch.no_grad()
def draw_in_unit_range(module: nn.Module, spec: Port, image: Tensor) -> Tensor:
    """Draw (N, 3, H, W) RGB in [0, 1]; the result is clamped to [0, 1] and cut to H and W."""
    drawn: Tensor = InUnitRange(module, spec)(image)
    return drawn[..., : image.shape[-2], : image.shape[-1]].clamp(0, 1)
