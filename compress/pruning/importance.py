"""How much the picture changes when a channel goes: to first order, through whatever follows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from stylepress.compress.pruning.channels import Group

PROBES = 2
"""Random projections of each picture; their mean square is the length of the change."""


def channel_importance(
    network: nn.Module, groups: Sequence[Group], pictures: Iterable[Tensor], seed: int
) -> Mapping[str, Tensor]:
    """Return (channels,) float64 for each group: the squared change of the picture, expected.

    ``pictures`` are (1, 3, H, W). A network compared with its own pictures has no error yet, and
    so no gradient: the distillation loss grows with the square of the change alone. To second
    order that is |J z|^2, where z switches a channel off at all of its readers and J is the
    Jacobian of the picture; random signs v give it as the mean of (v . J z)^2 (Hutchinson; for
    pruning: Theis et al. 2018, arXiv 1801.05787). It is measured at the readers, behind norms and
    activations: in front of an instance norm the size of a kernel says nothing.
    """
    draw = torch.Generator().manual_seed(seed)
    layers = dict(network.named_modules())
    sums = {group.name: torch.zeros(group.channels, dtype=torch.float64) for group in groups}
    held = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    network.requires_grad_(True)
    for picture in pictures:
        with torch.enable_grad():
            output = network(picture)
        for probe in range(PROBES):
            signs = torch.randint(0, 2, output.shape, generator=draw) * 2.0 - 1
            network.zero_grad(set_to_none=True)
            output.backward(signs.to(output), retain_graph=probe + 1 < PROBES)
            for group in groups:
                sums[group.name] += _switched_off(group, layers).square()
    network.zero_grad(set_to_none=True)
    for parameter, trained in held:
        parameter.requires_grad_(trained)
    return sums


def _switched_off(group: Group, layers: Mapping[str, nn.Module]) -> Tensor:
    """Return how far the probe moves when each channel of a group is taken from its readers."""
    moved = torch.zeros(group.channels, dtype=torch.float64)
    for member in group.readers:
        layer = layers[member.layer]
        weight = layer.weight
        if not isinstance(weight, Tensor) or weight.grad is None:
            continue
        axis = 0 if isinstance(layer, nn.ConvTranspose2d) else 1
        others = tuple(number for number in range(weight.dim()) if number != axis)
        each = (weight.detach() * weight.grad).sum(dim=others).double().cpu()
        for channel, places in enumerate(member.places):
            moved[channel] += each[list(places)].sum()
    return moved
