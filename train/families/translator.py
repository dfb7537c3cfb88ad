"""A generator of our own for translators: resized convolutions, attention, several sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.train.families.norms import norm_of
from stylepress.train.families.padding import to_multiple
from stylepress.train.families.resnet import LEAST_SIDE, Residual
from stylepress.train.weights.family import Config, Family, State, picture

GRID = 32
"""Attention works on so many places a side, whatever the size of the frame."""
UPS = ("transposed", "resize")
FINE_BLOCKS = 2
NARROWED = 8
"""Queries and keys have so many times fewer channels than what they are made of."""


class Translator(nn.Module):
    """Map (N, 3, H, W) float32 RGB in [-1, 1] to the same range, sides rounded up.

    The ResNet generator of Zhu et al. 2017 with three options. ``up`` ``resize`` doubles the size by
    repeating pixels before a convolution, which prints no checkerboard (Odena et al. 2016).
    ``attention`` stands in the middle (Zhang et al. 2019, arXiv 1805.08318). With ``scales`` above 1
    the ResNet sees a smaller picture, and finer levels add to its features (Wang et al. 2018, arXiv
    1711.11585).
    """

    def __init__(
        self,
        width: int = 64,
        blocks: int = 9,
        up: str = "transposed",
        attention: bool = False,
        scales: int = 1,
    ) -> None:
        super().__init__()
        self.multiple = 4 * 2 ** (scales - 1)
        coarse = width * 2 ** (scales - 1)
        norm = norm_of("instance", "picture")
        self.core = nn.Sequential(*_entry(coarse), *_halved(coarse), *_halved(2 * coarse))
        middle: list[nn.Module] = [Residual(4 * coarse, norm, True, False) for _ in range(blocks)]
        if attention:
            middle.insert(blocks // 2, Attention(4 * coarse))
        self.middle = nn.Sequential(*middle)
        self.up = nn.Sequential(*_doubled(4 * coarse, up), *_doubled(2 * coarse, up))
        widths = [coarse // 2**level for level in range(1, scales)]
        self.entries = nn.ModuleList(
            nn.Sequential(*_entry(fine), *_halved(fine)) for fine in widths
        )
        self.exits = nn.ModuleList(
            nn.Sequential(
                *(Residual(2 * fine, norm, True, False) for _ in range(FINE_BLOCKS)),
                *_doubled(2 * fine, up),
            )
            for fine in widths
        )
        self.last = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh())

    def forward(self, image: Tensor) -> Tensor:
        sizes = [to_multiple(image, self.multiple)]
        for _ in self.entries:
            sizes.append(F.avg_pool2d(sizes[-1], 2))
        features = self.up(self.middle(self.core(sizes.pop())))
        for enter, leave in zip(self.entries, self.exits, strict=True):
            features = leave(enter(sizes.pop()) + features)
        drawn: Tensor = self.last(features)
        return drawn


class Attention(nn.Module):
    """x + gain * what every place takes from every other, at ``GRID`` x ``GRID`` places at most.

    Zhang et al. 2019, equation 3; the gain begins at 0. At the full size of a frame the scores
    alone would fill gigabytes, so x is brought to the grid, and what comes out back to its size.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = max(1, channels // NARROWED)
        self.query, self.key = nn.Conv2d(channels, narrow, 1), nn.Conv2d(channels, narrow, 1)
        self.value, self.gain = nn.Conv2d(channels, channels, 1), nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        small = F.interpolate(x, size=(GRID, GRID), mode="bilinear", align_corners=False)
        q, k, v = (layer(small).flatten(2) for layer in (self.query, self.key, self.value))
        shares = torch.softmax(q.transpose(1, 2) @ k, -1)
        taken = (v @ shares.transpose(1, 2)).unflatten(2, (GRID, GRID))
        large = F.interpolate(taken, size=x.shape[2:], mode="bilinear", align_corners=False)
        return x + self.gain * large


def _entry(width: int) -> list[nn.Module]:
    return [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), nn.InstanceNorm2d(width), nn.ReLU()]


def _halved(inputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, 2 * inputs, 3, 2, 1), nn.InstanceNorm2d(2 * inputs), nn.ReLU()]


def _doubled(inputs: int, up: str) -> list[nn.Module]:
    outputs = inputs // 2
    if up == "transposed":
        layers: list[nn.Module] = [nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, 1)]
    else:
        layers = [nn.Upsample(scale_factor=2.0), nn.ReflectionPad2d(1)]
        layers += [nn.Conv2d(inputs, outputs, 3)]
    return [*layers, nn.InstanceNorm2d(outputs), nn.ReLU()]


def _measure(state: State) -> Config:
    scales = 1 + len({key.split(".")[1] for key in state if key.startswith("entries.")})
    middle = {key.split(".")[1] for key in state if key.startswith("middle.")}
    attention = any(key.endswith(".gain") for key in state)
    return {
        "width": int(state["last.1.weight"].shape[1:2].numel()),
        "blocks": len(middle) - attention,
        "up": "transposed" if "up.0.weight" in state else "resize",
        "attention": int(attention),
        "scales": scales,
    }


def _build(**config: Any) -> Translator:
    return Translator(**{**config, "attention": bool(config["attention"])})


def remark(config: Mapping[str, Any]) -> str:
    """Say aloud what attention does to large frames."""
    if not config["attention"]:
        return ""
    return f"its attention looks at a frame in {GRID} x {GRID} places, however large it is."


TRANSLATOR = Family(
    name="translator",
    title="a translator of stylepress",
    marks=("core.1.weight", "core.4.weight", "last.1.weight"),
    measure=_measure,
    allowed={
        "width": range(1, 1025),
        "blocks": range(1, 65),
        "up": UPS,
        "attention": (0, 1),
        "scales": range(1, 4),
    },
    usual={"width": 64, "blocks": 9, "up": "resize", "attention": 1, "scales": 1},
    build=_build,
    image=picture(-1.0, 1.0, least=4 * LEAST_SIDE),
    remark=remark,
)
