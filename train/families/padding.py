"""Pictures continued to a size that a network takes; the frame graph cuts what is beyond."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def to_multiple(x: Tensor, of: int) -> Tensor:
    """Repeat the last row and column of (N, C, H, W) until H and W are multiples of ``of``.

    Repeating works from one pixel on, where mirroring needs as many pixels as it adds.
    """
    height, width = x.shape[-2:]
    return F.pad(x, (0, -width % of, 0, -height % of), mode="replicate")
