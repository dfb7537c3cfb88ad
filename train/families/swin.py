"""A generator whose pixels look at each other within windows: the idea of StyleSwin, small."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.train.families.stylegan import EvenLinear, Mapper, doubled, style_graphs
from stylepress.train.weights.family import Config, Family, State, picture

FIRST_SIDE, WINDOW, HEADS = 4, 4, 4
"""The first picture's side, the side of a window, and heads: half of them see it shifted."""
EPS = 1e-6


class SwinGenerator(nn.Module):
    """Map (N, noise) float32, normal, to (N, 3, S, S) RGB, around [-1, 1], S = 4 * 2^ups.

    Zhang et al. 2022 (arXiv 2112.10762), small: at each size attention within windows, half of the
    heads in windows shifted by half, styles as gains and offsets, sines that tell each pixel where
    it is, and skips to RGB. It draws from noise alone; it stylizes nothing. Ports as of StyleGAN2.
    """

    def __init__(self, noise: int = 64, width: int = 16, ups: int = 3) -> None:
        super().__init__()
        widths = [min(width * 2**level, 8 * width) for level in reversed(range(ups + 1))]
        self.mapping = Mapper(noise)
        self.constant = nn.Parameter(torch.randn(1, widths[0], FIRST_SIDE, FIRST_SIDE))
        self.blocks = nn.ModuleList(Block(channels, noise) for channels in widths)
        self.narrower = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 1) for inputs, outputs in pairwise(widths)
        )
        self.rgb = nn.ModuleList(nn.Conv2d(channels, 3, 1) for channels in widths)

    def forward(self, noise: Tensor, fine: Tensor, mixing: Tensor, truncation: Tensor) -> Tensor:
        coarse, finer = self.mapping.styles(noise, fine, mixing, truncation)
        x = self.constant.expand(noise.shape[0], -1, -1, -1)
        drawn: Tensor | None = None
        for number, (block, to_rgb) in enumerate(zip(self.blocks, self.rgb, strict=True)):
            if number:
                x = self.narrower[number - 1](doubled(x))
            x = block(x, coarse if 2 * number < len(self.blocks) else finer)
            drawn = to_rgb(x) if drawn is None else doubled(drawn) + to_rgb(x)
        assert drawn is not None
        return drawn


class Block(nn.Module):
    """x + attention(norm(x)), then x + layers(norm(x)); the norms take gains from a style."""

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.before, self.between = StyleNorm(channels, style), StyleNorm(channels, style)
        self.attention = WindowAttention(channels)
        self.wide = nn.Conv2d(channels, 2 * channels, 1)
        self.back = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        places = sines(x.shape[1], x.shape[2], x.shape[3]).to(x)
        x = x + self.attention(self.before(x + places, style))
        y: Tensor = self.back(F.gelu(self.wide(self.between(x, style)), approximate="tanh"))
        return x + y


class StyleNorm(nn.Module):
    """Instance normalisation with gains and offsets made of a style."""

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.affine = EvenLinear(style, 2 * channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        gain, offset = self.affine(style)[:, :, None, None].chunk(2, 1)
        styled: Tensor = F.instance_norm(x, eps=EPS) * (1 + gain) + offset
        return styled


class WindowAttention(nn.Module):
    """Attention of each pixel to those of its window, half of the heads in shifted windows.

    The picture wraps around at its borders, as a roll makes it. Positions within the window enter
    as a learned number for each pair of them and each head.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mixed, self.out = (
            nn.Conv2d(channels, 3 * channels, 1),
            nn.Conv2d(channels, channels, 1),
        )
        self.near = nn.Parameter(torch.zeros(2, HEADS // 2, WINDOW**2, WINDOW**2))

    def forward(self, x: Tensor) -> Tensor:
        side = x.shape[2]
        mixed = self.mixed(x)
        plain, shifted = mixed.reshape(-1, 3, 2, mixed.shape[1] // 6, side, side).unbind(2)
        half = WINDOW // 2
        first = self._attended(plain, self.near[0], side)
        moved = torch.roll(shifted, (-half, -half), (3, 4))
        second = torch.roll(self._attended(moved, self.near[1], side), (half, half), (2, 3))
        drawn: Tensor = self.out(torch.cat([first, second], 1))
        return drawn

    def _attended(self, mixed: Tensor, near: Tensor, side: int) -> Tensor:
        """Map queries, keys and values, (N, 3, C, S, S), to what each pixel takes: (N, C, S, S)."""
        count, channels = side // WINDOW, mixed.shape[2] // (HEADS // 2)
        parts = mixed.reshape(-1, 3, HEADS // 2, channels, count, WINDOW, count, WINDOW)
        windows = parts.permute(1, 0, 4, 6, 2, 5, 7, 3).flatten(5, 6)  # 3 N h w heads pixels C
        q, k, v = windows.unbind(0)
        scores = q @ k.transpose(-1, -2) / math.sqrt(channels) + near
        taken = torch.softmax(scores, -1) @ v
        taken = taken.reshape(*taken.shape[:4], WINDOW, WINDOW, channels)
        out: Tensor = taken.permute(0, 3, 6, 1, 4, 2, 5).reshape(
            -1, channels * HEADS // 2, side, side
        )
        return out


def sines(channels: int, height: int, width: int) -> Tensor:
    """Return waves that tell places apart: (1, C, H, W), half of the channels across, half down."""
    count = channels // 4
    rates = torch.exp(-math.log(100.0) * torch.arange(count) / max(1, count))[:, None]
    across, down = rates * torch.arange(width), rates * torch.arange(height)
    rows = torch.cat([down.sin(), down.cos()])[:, :, None].expand(-1, -1, width)
    columns = torch.cat([across.sin(), across.cos()])[:, None].expand(-1, height, -1)
    return torch.cat([rows, columns])[None]


def _measure(state: State) -> Config:
    levels = len({key.split(".")[1] for key in state if key.startswith("rgb.")})
    width = int(state[f"rgb.{levels - 1}.weight"].shape[1:2].numel())
    return {"noise": int(state["mapping.average"].numel()), "width": width, "ups": levels - 1}


def _build(**config: Any) -> SwinGenerator:
    return SwinGenerator(**config)


SWIN = Family(
    name="swin",
    title="a window-attention generator of stylepress",
    marks=("mapping.average", "constant", "blocks.0.attention.near"),
    measure=_measure,
    allowed={"noise": range(1, 1025), "width": range(4, 257, 4), "ups": range(1, 8)},
    usual={"noise": 64, "width": 16, "ups": 3},
    build=_build,
    image=picture(-1.0, 1.0),
    graphs=style_graphs,
)
