"""Style and content losses that need no pretrained weights.

Style is the multi-scale patch sliced-Wasserstein distance: the 7x7 patches of the output and of
the style picture, projected on fresh random directions, have the same sorted values when their
distributions agree (the idea of GPDM, Elnekave & Weiss 2022, arXiv 2103.15545).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

PATCH = 7
LEVELS = 5
PROJECTIONS = 64
MOST_PATCHES = 80
PALETTE = 256
WINDOW = 31
STYLE_PX = 768
"""Side of the square of the style picture that is compared at a step."""
LUMA = (0.299, 0.587, 0.114)


class ImageLoss(Protocol):
    """What a trainer asks of a loss."""

    def __call__(
        self, output: Tensor, content: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return weighted scalar terms for (N, 3, H, W) images in [0, 1]."""


@dataclass(frozen=True)
class StyleContentLoss:
    """Sliced-Wasserstein style, local-contrast content, palette, and a penalty outside [0, 1].

    ``style`` is (3, H, W) float32 in [0, 1]; a random square of it of at most ``style_px`` is
    compared at every call. A large one gives a steady aim, which a picture with large features
    needs; one as small as the output varies from step to step. A palette term cures droplets where
    the style has few colours (``woodcut``); where it has many, a network stays with the first few
    that it found, and flat grey between them (``glass``, ``strokes``).
    """

    style: Tensor
    style_weight: float = 1.0
    content_weight: float = 0.1
    range_weight: float = 1.0
    palette_weight: float = 0.0
    style_px: int = STYLE_PX

    def __call__(
        self, output: Tensor, content: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return {"style", "content", "range"}, and "palette" when it weighs, weighted scalars."""
        crop = random_crop(self.style, self.style_px, generator).to(output.device)
        outside = F.relu(-output) + F.relu(output - 1)
        terms = {
            "style": self.style_weight * sliced_wasserstein(output, crop[None], generator),
            "content": self.content_weight * content_distance(output, content),
        }
        if self.palette_weight:
            apart = palette_distance(output, crop[None], generator)
            terms["palette"] = self.palette_weight * apart
        return terms | {"range": self.range_weight * outside.mean()}


def sliced_wasserstein(output: Tensor, style: Tensor, generator: torch.Generator) -> Tensor:
    """Distance between the patches of each (N, 3, H, W) output and a (1 or N, 3, h, w) style.

    Five average-pool levels, 64 unit projections of 7x7x3 patches a level, mean of |d| + d^2 over
    the differences d of sorted values, level l weighted 1 + l / 4. The square is what pulls back
    a small region of a colour that the style has not: |d| alone counts it by its area. A level
    takes about 80x80 patches of each at most, on a grid of random phase: the sort is most of the
    cost, and more patches hardly change the distribution. Differentiable in ``output``.
    """
    total = output.new_zeros(())
    for level in range(LEVELS):
        if level:
            output, style = F.avg_pool2d(output, 2), F.avg_pool2d(style, 2)
        if min(*output.shape[-2:], *style.shape[-2:]) < PATCH:
            break
        filters = torch.randn(PROJECTIONS, 3, PATCH, PATCH, generator=generator)
        filters = (filters / filters.flatten(1).norm(dim=1).view(-1, 1, 1, 1)).to(output.device)
        mine = _projected(output, filters, generator)
        theirs = _projected(style, filters, generator)
        gap = mine - _as_many(theirs, mine.shape[-1])
        total = total + (1 + level / 4) * (gap.abs().mean() + gap.square().mean())
    return total


def content_distance(output: Tensor, content: Tensor) -> Tensor:
    """Squared difference of locally normalised luminance at a quarter and an eighth of the size.

    Finer structure is left to the style.
    """
    total = output.new_zeros(())
    one, two = F.avg_pool2d(luminance(output), 2), F.avg_pool2d(luminance(content), 2)
    for _ in range(2):
        one, two = F.avg_pool2d(one, 2), F.avg_pool2d(two, 2)
        total = total + (normalised(one) - normalised(two)).square().mean()
    return total / 2


def palette_distance(output: Tensor, style: Tensor, generator: torch.Generator) -> Tensor:
    """Mean squared distance of output colours to the nearest of 256 colours of the style picture.

    Compared at a quarter of the size, for (N, 3, H, W) and (1, 3, h, w) in [0, 1]. A network with
    instance norms likes to spend a small region on a signal that carries its own statistics (the
    droplets of StyleGAN, Karras et al. 2020, arXiv 1912.04958, section 2); such a region costs
    little as a share of a distribution, and much when its every colour must be one of the style's.
    """
    small, colours = F.avg_pool2d(output, 4), F.avg_pool2d(style, 4)[0].flatten(1).T
    chosen = torch.randint(len(colours), (PALETTE,), generator=generator)
    pixels = small.permute(0, 2, 3, 1).reshape(-1, 3)
    return torch.cdist(pixels, colours[chosen]).min(dim=1).values.square().mean()


def luminance(image: Tensor) -> Tensor:
    """Rec. 601 luma: (N, 3, H, W) to (N, 1, H, W)."""
    return (image * image.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def normalised(luma: Tensor) -> Tensor:
    """Subtract the mean and divide by the deviation of the 31x31 window around each pixel."""
    mean = _box(luma)
    deviation = (_box(luma.square()) - mean.square()).clamp_min(0).add(1e-3).sqrt()
    return (luma - mean) / deviation


def random_crop(picture: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Cut a square of at most ``side`` pixels, from (3, H, W)."""
    height, width = picture.shape[-2:]
    side = min(side, height, width)
    top = int(torch.randint(height - side + 1, (1,), generator=generator))
    left = int(torch.randint(width - side + 1, (1,), generator=generator))
    return picture[:, top : top + side, left : left + side]


def _box(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, WINDOW, 1, WINDOW // 2, count_include_pad=False)


def _projected(image: Tensor, filters: Tensor, generator: torch.Generator) -> Tensor:
    """Sorted projections of patches on a grid of random phase: (N, 64, patches)."""
    stride = -(-min(image.shape[-2:]) // MOST_PATCHES)
    phase = torch.randint(stride, (2,), generator=generator).tolist()
    values = F.conv2d(image[..., phase[0] :, phase[1] :], filters, stride=stride)
    return _ordered(values.flatten(2))


def _ordered(values: Tensor) -> Tensor:
    """Sort the last dimension, differentiably.

    On the CPU through NumPy, whose vectorised sort took 0.2 to 0.5 of the time of torch's.
    """
    if values.device.type != "cpu":
        return values.sort(dim=-1).values
    plain = values.detach().numpy()
    if not values.requires_grad:
        return torch.from_numpy(np.sort(plain, axis=-1))
    return values.gather(-1, torch.from_numpy(np.argsort(plain, axis=-1)))


def _as_many(ordered: Tensor, count: int) -> Tensor:
    """Resample sorted values to another count along their quantiles."""
    if ordered.shape[-1] == count:
        return ordered
    return F.interpolate(ordered, size=count, mode="linear", align_corners=True)
