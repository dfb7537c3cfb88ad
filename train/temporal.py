"""Consistency of video in training: one photo seen twice, moved and lit anew by a known amount.

Nothing is added to the network: the price is one more forward pass of each training step. The idea
is that of Wang et al. 2020 ("Consistent Video Style Transfer via Compound Regularization"), flow and noise drawn by
arithmetic in place of a video; light is treated as by Gao et al. 2018 (ReCoNet, arXiv 1807.01197,
equation 5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

ZOOM, ROLL, PAN = 0.06, math.radians(3), 0.05
"""Most change of scale, most turn, most pan as a share of the side: frames up to some tenths of a
second apart."""
BEND, BENDS = 0.006, 5
"""Deviation of the smooth flow, as a share of the side, and its knots along a side."""
LIGHT, NOISE = 0.05, 4 / 255
"""Most change of brightness; the largest deviation of the noise."""
RIM = 8
"""Pixels at the edge that are not compared, where the padding of a network shows."""
RAMP = 0.3
"""Share of the steps over which the term gets its whole weight: style comes first."""
LUMA = (0.2126, 0.7152, 0.0722)
"""Relative luminance of linear Rec. 709, taken of the values as they are."""


@dataclass(frozen=True)
class Movement:
    """How a second view of a scene differs from the first.

    ``places`` are (1, H, W, 2) float32, where each pixel of the second view lies in the first, from -1
    to 1 between the outer edges of the picture; ``inside`` (1, 1, H, W) is 1 where the first view
    shows it. ``light`` multiplies its brightness. ``noise`` is (1, 3, H, W).
    """

    places: Tensor
    inside: Tensor
    light: float
    noise: Tensor

    def carried(self, pictures: Tensor) -> Tensor:
        """Carry (N, C, H, W) of the first view to the second, bilinear."""
        places = self.places.expand(len(pictures), -1, -1, -1)
        return F.grid_sample(pictures, places, padding_mode="reflection", align_corners=False)

    def seen(self, pictures: Tensor) -> Tensor:
        """Return the second view of (N, 3, H, W) pictures in [0, 1]: moved, lit, noisy."""
        return (self.carried(pictures) * self.light + self.noise).clamp(0, 1)


def movement(size: tuple[int, int], draw: torch.Generator, place: torch.device) -> Movement:
    """Draw a movement of (height, width) pictures: zoom, roll, pan, a smooth bend, light, noise.

    The amount of each movement is drawn too, so that many are below a pixel, as those between two
    frames of a video are.
    """
    height, width = size
    random = (2 * torch.rand(6, generator=draw) - 1).tolist()
    amount = float(torch.rand(1, generator=draw)) ** 2
    scale, roll = 1 + amount * ZOOM * random[0], amount * ROLL * random[1]
    # In pixels, so that a turn of an oblong picture is a turn.
    y, x = torch.meshgrid(
        torch.arange(height) - (height - 1) / 2,
        torch.arange(width) - (width - 1) / 2,
        indexing="ij",
    )
    knots = torch.randn((1, 2, BENDS, BENDS), generator=draw) * BEND * amount * min(size)
    bend = F.interpolate(knots, size, mode="bicubic", align_corners=True)[0]
    pan_x, pan_y = (amount * PAN * min(size) * one for one in random[2:4])
    there_x = scale * (math.cos(roll) * x - math.sin(roll) * y) + pan_x + bend[0]
    there_y = scale * (math.sin(roll) * x + math.cos(roll) * y) + pan_y + bend[1]
    inside = (there_x.abs() <= width / 2 - RIM) & (there_y.abs() <= height / 2 - RIM)
    inside &= (x.abs() <= width / 2 - RIM) & (y.abs() <= height / 2 - RIM)
    places = torch.stack([there_x * 2 / width, there_y * 2 / height], dim=-1)
    deviation = NOISE * (random[5] + 1) / 2
    noise = deviation * torch.randn((1, 3, height, width), generator=draw)
    return Movement(
        places[None].to(place),
        inside[None, None].float().to(place),
        1 + LIGHT * random[4],
        noise.to(place),
    )


def inconsistency(first: Tensor, second: Tensor, content: Tensor, move: Movement) -> Tensor:
    """Mean |second - (first, carried, and as much lighter as the photo became)|, a scalar.

    ``first`` and ``second`` are (N, 3, H, W) pictures that a network made of ``content`` and of
    ``move.seen(content)``. What the light changes is the relative luminance, the same in all three
    channels: a stylized picture need not change its hues when the sun comes out.
    """
    weights = content.new_tensor(LUMA).view(1, 3, 1, 1)
    lighter = (move.light - 1) * (move.carried(content) * weights).sum(1, keepdim=True)
    apart = (second - move.carried(first) - lighter).abs() * move.inside
    return apart.sum() / (move.inside.sum() * first.shape[0] * first.shape[1]).clamp_min(1)


def ramp(number: int, steps: int) -> float:
    """Return the share of its weight that the term has at step ``number`` of ``steps``."""
    return min(1.0, (number + 1) / max(1.0, RAMP * steps))
