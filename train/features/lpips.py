"""LPIPS over VGG-16 (Zhang et al. 2018, arXiv 1801.03924), where its published weights are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from stylepress.errors import CheckpointError
from stylepress.train.features.vgg import Vgg, load_vgg
from stylepress.train.weights.standard import find_weights
from stylepress.train.weights.state import read_state

LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")


@dataclass(frozen=True)
class Lpips:
    """Version 0.1 with ``vgg``: ``weights`` are (C,) for each of the five layers.

    Its scaling of pictures in [-1, 1] is that of torchvision for [0, 1], which the network applies.
    """

    network: Vgg
    weights: tuple[Tensor, ...]

    @torch.no_grad()
    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the distance of (N, 3, H, W) pictures in [0, 1], (N,): 0 is the same picture."""
        ones, others = (self.network(image, LAYERS) for image in (first, second))
        total = first.new_zeros(len(first))
        for name, weight in zip(LAYERS, self.weights, strict=True):
            apart = (_unit(ones[name].float()) - _unit(others[name].float())).square()
            total = total + (apart * weight.view(1, -1, 1, 1)).sum(1).mean((1, 2))
        return total


def find_lpips(*, env: Mapping[str, str], home: Path) -> Lpips | None:
    """Return LPIPS where ``vgg.pth`` and VGG-16 are both on this machine, else None.

    Raises:
        CheckpointError: a file of a known name with other content.
    """
    heads = find_weights("lpips-vgg", env=env, home=home)
    vgg = find_weights("vgg16", env=env, home=home)
    if heads is None or vgg is None:
        return None
    return lpips_from(load_vgg(vgg.path, vgg.sha256), read_state(heads.path), heads.path)


def lpips_from(network: Vgg, state: Mapping[str, Tensor], origin: object) -> Lpips:
    """Put LPIPS together of a VGG-16 and the weights of its layers.

    Raises:
        CheckpointError: they are of another network; the layer and its shapes are named.
    """
    weights = []
    widths = dict(zip(network.names, network.convolutions, strict=False))
    for number, name in enumerate(LAYERS):
        key = f"lin{number}.model.1.weight"
        wanted = (1, len(widths[name].state_dict()["bias"]), 1, 1) if name in widths else None
        seen = tuple(state[key].shape) if key in state else None
        if seen is None or seen != wanted:
            raise CheckpointError(
                f"{origin} has {key} of shape {seen}, where {name} of {network.source.name} "
                f"takes {wanted}.",
                "Put the published vgg.pth of LPIPS 0.1 and vgg16-397923af.pth in place.",
            )
        weights.append(state[key].float().flatten())
    return Lpips(network, tuple(weights))


def _unit(features: Tensor) -> Tensor:
    """Bring each position of (N, C, H, W) to length one over channels."""
    return features / (features.square().sum(1, keepdim=True).sqrt() + 1e-10)
