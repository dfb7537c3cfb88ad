"""Networks narrower than their family builds them: the width of each layer, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from stylepress.errors import CheckpointError

WIDTHS = "widths"
"""The key of a config under which a network's own widths stand."""
Widths = Mapping[str, Sequence[int]]
"""By layer, the first two dimensions of its weight; of a norm, the one there is."""

SIZES: Mapping[type[nn.Module], tuple[str, ...]] = {
    nn.Conv2d: ("out_channels", "in_channels"),
    nn.ConvTranspose2d: ("in_channels", "out_channels"),
    nn.Linear: ("out_features", "in_features"),
    nn.InstanceNorm2d: ("num_features",),
    nn.BatchNorm2d: ("num_features",),
}
"""The layers that can be narrowed, and what tells the dimensions of their weight, in order."""


def width_of(layer: nn.Module) -> list[int] | None:
    """Return the width of a layer that can be narrowed, None of any other.

    >>> width_of(nn.Conv2d(3, 8, 5)), width_of(nn.ReLU())
    ([8, 3], None)
    """
    names = SIZES.get(type(layer))
    if names is None or getattr(layer, "groups", 1) != 1:
        return None
    return [int(getattr(layer, name)) for name in names]


def widths_of(module: nn.Module, full: nn.Module) -> dict[str, list[int]]:
    """Return the width of each layer of ``module`` that is not as wide as in ``full``."""
    whole = dict(full.named_modules())
    return {
        name: width
        for name, layer in module.named_modules()
        if (width := width_of(layer)) is not None and width != width_of(whole[name])
    }


def narrowed(module: nn.Module, widths: object, source: object) -> nn.Module:
    """Give layers of ``module`` the widths they shall have, in place, with weights unset.

    ``widths`` may come from anybody's file: whatever it is, no layer grows.

    Raises:
        CheckpointError: naming ``source`` and the layer that is not there or not narrower.
    """
    if not isinstance(widths, Mapping):
        raise _no_widths(source, f"are a {type(widths).__name__}")
    layers = dict(module.named_modules())
    for name, width in widths.items():
        layer = layers.get(name)
        full = width_of(layer) if layer is not None else None
        if layer is None or full is None:
            raise _no_widths(source, f"name {str(name)[:40]!r}, no layer that can be narrower")
        fits = isinstance(width, list) and len(width) == len(full)
        if not fits or not all(
            type(own) is int and 1 <= own <= most for own, most in zip(width, full, strict=True)
        ):
            raise _no_widths(source, f"give {name} {str(width)[:40]} where at most {full} may be")
        resize(layer, width)
    return module


@torch.no_grad()
def resize(layer: nn.Module, width: Sequence[int]) -> None:
    """Make a layer as wide as ``width`` says; what its weights are then is left open."""
    for name, size in zip(SIZES[type(layer)], width, strict=True):
        setattr(layer, name, int(size))
    weight = layer.weight
    if isinstance(weight, torch.Tensor):
        layer.weight = _empty(weight, (*width, *weight.shape[len(width) :]))
    outputs = getattr(layer, SIZES[type(layer)][-1 if type(layer) is nn.ConvTranspose2d else 0])
    for name in ("bias", "running_mean", "running_var"):
        values: Any = getattr(layer, name, None)
        if isinstance(values, torch.Tensor):
            setattr(layer, name, _empty(values, (outputs,)))


def _empty(old: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    fresh = torch.zeros(shape, dtype=old.dtype, device=old.device)
    return nn.Parameter(fresh, old.requires_grad) if isinstance(old, nn.Parameter) else fresh


def _no_widths(source: object, fault: str) -> CheckpointError:
    return CheckpointError(
        f"The widths in {source} {fault}.",
        "Prune the network again with this version of stylepress.",
    )
