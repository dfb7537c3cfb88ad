"""Instance norms that stand still: their statistics from pictures, folded away when exported."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from stylepress.errors import RecipeError


@torch.no_grad()
def frozen_norms(network: nn.Module, pictures: Iterable[Tensor]) -> nn.Module:
    """Return a copy whose instance norms use the mean statistics of ``pictures``, (N, 3, H, W).

    What compression without any training costs: each becomes a batch norm in eval mode, which
    every exporter folds into the convolution before it. The network no longer adapts to the
    picture, so its drift says how much of the style that adaptation is.

    Raises:
        RecipeError: no instance norm, or no picture.
    """
    frozen = copy.deepcopy(network).eval()
    norms = {
        name: layer
        for name, layer in frozen.named_modules()
        if isinstance(layer, nn.InstanceNorm2d)
    }
    sums: dict[str, list[Tensor]] = {name: [] for name in norms}

    def note(name: str, values: Tensor) -> None:
        flat = values.double().flatten(2)
        moments = torch.stack([flat.mean(2), flat.var(2, unbiased=False)])
        sums[name].extend(moments.unbind(1))

    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs, name=name: note(name, inputs[0]))
        for name, layer in norms.items()
    ]
    for picture in pictures:
        frozen(picture)
    for hook in hooks:
        hook.remove()
    if not norms or not all(sums.values()):
        raise RecipeError(
            f"{len(norms)} instance norms of {type(network).__name__} were shown pictures.",
            "Freeze a network that has some, on a dozen photos.",
        )
    for name, layer in norms.items():
        parent, _, own = name.rpartition(".")
        setattr(frozen.get_submodule(parent), own, _still(layer, torch.stack(sums[name]).mean(0)))
    return frozen


def _still(layer: nn.InstanceNorm2d, moments: Tensor) -> nn.BatchNorm2d:
    """Return the batch norm that has (2, C) mean and variance for ever."""
    still = nn.BatchNorm2d(layer.num_features, eps=layer.eps).eval()
    if still.running_mean is None or still.running_var is None:
        raise TypeError("a batch norm keeps running statistics")
    still.running_mean.copy_(moments[0])
    still.running_var.copy_(moments[1])
    if layer.affine:
        still.weight.copy_(layer.weight)
        still.bias.copy_(layer.bias)
    return still.requires_grad_(False)
