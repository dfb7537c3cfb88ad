"""Normalisation of published translators: by each picture's statistics, or by those of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NORMS = ("instance", "batch")
STATISTICS = ("picture", "training")
Norm = Callable[[int], nn.Module]


class PictureBatchNorm(nn.BatchNorm2d):
    """BatchNorm as it works where nobody calls ``eval()``, on one picture: by its own statistics.

    Gain and offset are the learned ones, the running statistics are carried along unused. The
    programs of pix2pix test so on purpose.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)


def norm_of(norm: str, statistics: str) -> Norm:
    """Return what makes the normalisation of a number of channels."""
    if norm == "instance":
        return nn.InstanceNorm2d
    return PictureBatchNorm if statistics == "picture" else nn.BatchNorm2d


def without_idle_statistics(state: dict[str, Tensor], norm: str) -> dict[str, Tensor]:
    """Leave out statistics that InstanceNorm kept in older PyTorch and nobody used."""
    if norm == "batch":
        return state
    return {k: v for k, v in state.items() if not k.endswith((".running_mean", ".running_var"))}


def batch_norm_remark(config: Mapping[str, Any]) -> str:
    """Say aloud whose statistics a BatchNorm goes by."""
    if config["norm"] != "batch":
        return ""
    if config["statistics"] == "picture":
        return (
            "it has BatchNorm, which goes by the statistics of each picture, as the test program "
            "of its repository does. `--statistics training` takes those of its training."
        )
    return "it has BatchNorm, which goes by the statistics of its training."


def drawn_weights(module: nn.Module, deviation: float = 0.02) -> None:
    """Draw the weights that GANs of this kind begin with: normal around 0, gains around 1."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, deviation)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            with torch.no_grad():
                layer.weight.normal_(1.0, deviation)
                layer.bias.zero_()
