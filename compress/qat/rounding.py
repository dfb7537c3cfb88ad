"""Convolutions that round what they read as INT8 does, and let gradients through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.errors import CheckpointError, RecipeError
from stylepress.train.student import Upscale

CODES = 127
"""Largest code: symmetric, -128 unused, as `export/int8` writes it."""
KeepFloat = Literal["ends", "first", "last", "none"]
Layer = nn.Conv2d | Upscale


class RoundedLayer(nn.Module):
    """A convolution whose input has one INT8 step, and whose kernel has one an output channel.

    Gradients pass the rounding as if it were not there, and not what is clipped (Jacob et al.
    2018, arXiv 1712.05877, section 3). The kernel of an upscaling is rounded as it is shipped:
    folded to one convolution.
    """

    def __init__(self, layer: Layer, limit: float) -> None:
        """Round inputs to 127 steps up to ``limit``, the largest magnitude that is not clipped."""
        super().__init__()
        self.layer = layer
        self.step: Tensor
        self.register_buffer("step", torch.tensor(limit / CODES))

    def forward(self, x: Tensor) -> Tensor:
        layer, x = self.layer, rounded(x, self.step)
        if isinstance(layer, Upscale):
            weight, bias = layer.kernel(torch.float32)
            return F.pixel_shuffle(F.conv2d(x, rounded_kernel(weight), bias, padding=1), 2)
        return F.conv2d(
            x, rounded_kernel(layer.weight), layer.bias, layer.stride, layer.padding,
            layer.dilation, layer.groups,
        )  # fmt: skip


def rounded(x: Tensor, step: Tensor) -> Tensor:
    """Round to multiples of ``step``, at most 127 of them either way.

    >>> rounded(torch.tensor([0.3, -90.0]), torch.tensor(0.25)).tolist()
    [0.25, -31.75]
    """
    clipped = torch.minimum(torch.maximum(x, -CODES * step), CODES * step)
    return clipped + ((clipped / step).round() * step - clipped).detach()


def rounded_kernel(weight: Tensor) -> Tensor:
    """Round (O, I, kH, kW), each output channel to 127 steps up to its largest magnitude."""
    most = weight.detach().abs().amax((1, 2, 3), keepdim=True)
    return rounded(weight, (most / CODES).clamp_min(torch.finfo(torch.float32).tiny))


@torch.no_grad()
def observed_limits(
    network: nn.Module, layers: nn.Module, pictures: Iterable[Tensor], *, percentile: float
) -> dict[str, float]:
    """Return the largest magnitude that each convolution reads, by its name in ``layers``.

    In the order in which they are called. ``pictures`` are (1, 3, H, W) for ``network``; of each
    the ``percentile`` counts, and of those the largest: one picture is in memory at a time.

    Raises:
        CheckpointError: a convolution read NaN or infinity; it is named.
        RecipeError: no picture, or no convolution was called.
    """
    names = {layer: name for name, layer in layers.named_modules()}
    upscaled = {layer.conv for layer in layers.modules() if isinstance(layer, Upscale)}
    limits: dict[str, float] = {}

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].detach().abs().flatten()
        if not bool(torch.isfinite(values).all()):
            raise CheckpointError(
                f"Layer {names[layer]!r} reads values that are not finite.",
                "Take an earlier checkpoint, or train again with a lower learning rate.",
            )
        place = min(len(values), max(1, round(len(values) * percentile / 100)))
        limit = float(values.kthvalue(place).values)
        limits[names[layer]] = max(limit, limits.get(names[layer], 0.0))

    hooks = [
        layer.register_forward_pre_hook(note)
        for layer in layers.modules()
        if isinstance(layer, nn.Conv2d | Upscale) and layer not in upscaled
    ]
    try:
        for picture in pictures:
            network(picture)
    finally:
        for hook in hooks:
            hook.remove()
    if not limits:
        raise RecipeError(
            "No convolution was seen to read a picture, so there are no ranges to round by.",
            "Name a folder of photos, and a network of convolutions.",
        )
    return limits


def chosen_limits(limits: Mapping[str, float], keep_float: KeepFloat) -> dict[str, float]:
    """Leave out the convolutions that stay in float: the first and the last to be called.

    >>> list(chosen_limits({"a": 1.0, "b": 1.0, "c": 1.0}, "ends"))
    ['b']
    """
    first = 1 if keep_float in ("ends", "first") else 0
    last = 1 if keep_float in ("ends", "last") else 0
    names = list(limits)[first : len(limits) - last]
    return {name: limits[name] or 1.0 for name in names}


@contextmanager
def rounding(layers: nn.Module, limits: Mapping[str, float]) -> Iterator[None]:
    """Let the named convolutions of a network round, in place, while the context is open."""
    for name, limit in limits.items():
        _put(layers, name, RoundedLayer(_layer(layers, name), limit))
    try:
        yield
    finally:
        for name in limits:
            inside = layers.get_submodule(name)
            if isinstance(inside, RoundedLayer):
                _put(layers, name, inside.layer)


def _layer(layers: nn.Module, name: str) -> Layer:
    layer = layers.get_submodule(name)
    if not isinstance(layer, nn.Conv2d | Upscale):
        raise TypeError(f"{name} is no convolution")
    return layer


def _put(layers: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(layers.get_submodule(parent), own, layer)
