"""How near what a sampler draws is to pictures that no training saw, as sets."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.train.features.gaussians import Gaussian, gaussian, relative_frechet
from stylepress.train.models.sample import small_crop
from stylepress.train.photos import Photos
from stylepress.train.trainer.feed import generator

AT_ONCE = 64


@torch.no_grad()
def drawn(net: nn.Module, count: int, shape: tuple[int, ...], seed: int) -> Tensor:
    """Draw ``count`` pictures from normal noise of ``shape`` each, on the CPU."""
    draw = generator(seed, 0)
    parts = [
        net(torch.randn(min(AT_ONCE, count - first), *shape, generator=draw)).float()
        for first in range(0, count, AT_ONCE)
    ]
    return torch.cat(parts)


def crops(photos: Photos, count: int, side: int, seed: int) -> Tensor:
    """Cut ``count`` small pictures as a sampler learns from: (N, 3, side, side) in [-1, 1]."""
    draw = generator(seed, 1)
    return torch.stack([small_crop(photos, draw, side) for _ in range(count)])


def sets_distance(pictures: Tensor, aim: Tensor) -> float:
    """Return the Frechet distance of two sets of small pictures, over the spread of the second.

    Of their colours in 4x4 cells and the strength of their edges in 2x2: what small pictures are
    made of, without a network that would have to be downloaded. 0 is the same set.
    """
    return relative_frechet(_set(pictures), _set(aim))


def _set(pictures: Tensor) -> Gaussian:
    colours = F.adaptive_avg_pool2d(pictures, 4).flatten(1)
    grey = pictures.mean(1, keepdim=True)
    edges = [F.adaptive_avg_pool2d(grey.diff(dim=axis).abs(), 2).flatten(1) * 4 for axis in (2, 3)]
    return gaussian(torch.cat([colours, *edges], 1).T[..., None])
