"""Distances in the features of VGG: style, content, and how far a copy is from its model.

All are relative to what is aimed at, so that a weight means the same for every style and picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from stylepress.train.features.vgg import Vgg

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
COPY_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
DEEP = 1 / 3
"""Share of the steps of a copying that look at the deepest of these layers, which costs as much as
all others together."""
CONTENT_LAYER = "relu4_1"
STYLE_SIDE = 448
"""Shorter side at which a style picture is looked at, in pixels."""

Activations = Mapping[str, Tensor]


def gram(activation: Tensor) -> Tensor:
    """Channel products over all pixels: (N, C, H, W) to (N, C, C) float32, divided by H*W."""
    flat = activation.permute(0, 2, 3, 1).flatten(1, 2)  # free when channels lie last
    return (flat.transpose(1, 2) @ flat).float() / flat.shape[1]


def relative_gap(one: Tensor, aim: Tensor) -> Tensor:
    """Squared distance over the squared length of the aim, for each sample: (N, ...) to (N,).

    ``aim`` may hold one sample for all. 0 is equal, 1 is as far as nothing at all.
    """
    apart = (one.float() - aim.float()).flatten(1).square().sum(1)
    return apart / aim.float().flatten(1).square().sum(1).clamp_min(1e-12)


def style_distance(
    activations: Activations, grams: Activations, layers: Sequence[str] = STYLE_LAYERS
) -> Tensor:
    """Mean over ``layers`` of |G - A|^2 / |A|^2 (Gatys et al. 2016, made relative): (N,)."""
    gaps = [relative_gap(gram(activations[name]), grams[name]) for name in layers]
    return torch.stack(gaps).mean(0)


def copy_distance(
    activations: Activations, aims: Activations, layers: Sequence[str] = COPY_LAYERS
) -> Tensor:
    """Mean over ``layers`` of |F - T|^2 / |T|^2 (Johnson et al. 2016, made relative): (N,)."""
    return torch.stack([relative_gap(activations[name], aims[name]) for name in layers]).mean(0)


def style_grams(vgg: Vgg, style: Tensor, side: int = STYLE_SIDE) -> dict[str, Tensor]:
    """Return the Gram matrices of a style picture, (3, H, W) float32 RGB in [0, 1].

    It is made smaller first when its shorter side is above ``side`` pixels.
    """
    with torch.no_grad():
        features = vgg(resized(style, side)[None], STYLE_LAYERS)
        return {name: gram(activation) for name, activation in features.items()}


def resized(picture: Tensor, side: int) -> Tensor:
    """Bring the shorter side of (3, H, W) down to ``side`` pixels; smaller ones stay."""
    scale = side / min(picture.shape[-2:])
    if scale >= 1:
        return picture
    height, width = (round(length * scale) for length in picture.shape[-2:])
    smaller: Tensor = F.interpolate(
        picture[None], (height, width), mode="bilinear", antialias=True, align_corners=False
    )[0].clamp(0, 1)
    return smaller


def total_variation(image: Tensor) -> Tensor:
    """Mean absolute difference of neighbours across and down, summed."""
    across = (image[..., 1:] - image[..., :-1]).abs().mean()
    return across + (image[..., 1:, :] - image[..., :-1, :]).abs().mean()


def out_of_range(image: Tensor) -> Tensor:
    """Mean of how far values lie outside [0, 1]."""
    return (F.relu(-image) + F.relu(image - 1)).mean()
