"""Pictures in [0, 1], whatever range and colour order a network works in."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stylepress.ports import Port


@torch.no_grad()
def draw_in_unit_range(module: nn.Module, spec: Port, image: Tensor) -> Tensor:
    """Draw (N, 3, H, W) RGB in [0, 1]; the result is clamped to [0, 1] and cut to H and W.

    ``module`` maps (N, 3, H, W) float32 in [spec.low, spec.high] to the same range, at least as
    large, in the colour order of ``spec``.
    """
    low, high = spec.low or 0.0, spec.high or 1.0
    flipped = image.flip(1) if spec.order == "bgr" else image
    output = module(flipped * (high - low) + low)[..., : image.shape[-2], : image.shape[-1]]
    drawn: Tensor = ((output.float() - low) / (high - low)).clamp(0, 1)
    return drawn.flip(1) if spec.order == "bgr" else drawn
