"""How wide each layer shall be: the channels that move the picture least for the time they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from stylepress.compress.pruning.channels import Group


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked of the widths.

    ``keep`` is the share of all channels that stays, ``layers`` shares of single groups that are
    obeyed first, ``multiple_of`` what every narrowed width is a multiple of.
    """

    keep: float
    multiple_of: int
    layers: Mapping[str, float]


def chosen_channels(
    groups: Sequence[Group],
    importance: Mapping[str, Tensor],
    cost: Mapping[str, float],
    wishes: Wishes,
) -> dict[str, NDArray[np.int64]]:
    """Return the channels of each group that stay, ascending.

    ``cost`` is what each layer takes now, in any unit: time where it was measured. Of the blocks
    of ``multiple_of`` least important channels that one group could give next, the one goes that
    changes the picture least for what it saves.

    """
    known = {group.name: group for group in groups}
    order = {name: np.argsort(values.numpy(), kind="stable") for name, values in importance.items()}
    left = {group.name: group.channels for group in groups}
    for name, share in wishes.layers.items():
        left[name] = snapped(share * left[name], left[name], wishes.multiple_of)
    whole = sum(channels_made(groups, cost).values())
    while sum(channels_made(groups, cost, left).values()) > wishes.keep * whole:
        prices = {}
        for name, count in left.items():
            fewer = snapped(count - 1, count, wishes.multiple_of)
            if name in wishes.layers or fewer == count:
                continue
            gone = order[name][known[name].channels - count : known[name].channels - fewer]
            lost = float(importance[name][gone.copy()].sum())
            now = total_cost(groups, left, cost)
            saved = now - total_cost(groups, {**left, name: fewer}, cost)
            prices[name] = (lost / max(saved, 1e-12), fewer)
        if not prices:
            break
        cheapest = min(prices, key=lambda name: prices[name][0])
        left[cheapest] = prices[cheapest][1]
    return {
        name: np.sort(order[name][known[name].channels - count :]) for name, count in left.items()
    }


def snapped(wanted: float, most: int, multiple_of: int) -> int:
    """Round a width down to a multiple, but not to 0; one that is no larger than it stays.

    >>> snapped(45, 64, 16), snapped(63.9, 64, 16), snapped(7, 8, 16), snapped(3, 64, 16)
    (32, 48, 8, 16)
    """
    return min(most, max(multiple_of, int(wanted + 1e-6) // multiple_of * multiple_of))


def total_cost(
    groups: Sequence[Group], left: Mapping[str, int], cost: Mapping[str, float]
) -> float:
    """Return what the layers cost when each group keeps so many channels: less on either axis."""
    shares = dict.fromkeys(cost, 1.0)
    for group in groups:
        for member in group.members:
            if member.layer in shares:
                shares[member.layer] *= left[group.name] / group.channels
    return sum(cost[name] * share for name, share in shares.items())


def multiply_accumulates(network: nn.Module, picture: Tensor) -> dict[str, float]:
    """Return the multiply-accumulates of each convolution on ``picture``: its cost if unmeasured.

    A transposed convolution multiplies at its input's positions, not at its output's.
    """
    macs: dict[str, float] = {}
    names = {layer: name for name, layer in network.named_modules()}

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        weight = layer.weight
        if isinstance(weight, Tensor):
            at = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
            macs[names[layer]] = float(weight.numel() * at.shape[-2] * at.shape[-1])

    hooks = [
        layer.register_forward_hook(note)
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    ]
    try:
        network(picture)
    finally:
        for hook in hooks:
            hook.remove()
    return macs


def channels_made(
    groups: Sequence[Group], cost: Mapping[str, float], left: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Return how many channels the convolutions of each group make, or would with ``left`` each."""
    return {
        group.name: (group.channels if left is None else left[group.name])
        * sum(member.axis == "out" and member.layer in cost for member in group.members)
        for group in groups
    }
