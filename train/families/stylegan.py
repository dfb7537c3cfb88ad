"""A small StyleGAN2: a mapping network, modulated convolutions in a form that exports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.ports import Port
from stylepress.train.families.dcgan import noise_port
from stylepress.train.weights.family import Config, Family, Graphs, NetworkGraph, State, picture

FIRST_SIDE, LAYERS, SLOW = 4, 4, 0.01
"""The first picture's side; layers of the mapping, and the share of the rate that they learn at."""
EPS = 1e-8


class StyleGenerator(nn.Module):
    """Map (N, noise) float32, normal, to (N, 3, S, S) RGB, around [-1, 1], S = 4 * 2^ups.

    Karras et al. 2020 (arXiv 1912.04958), small: skips to RGB at each size, no noise a pixel.
    ``fine`` is a second noise whose style the finer half of the layers takes by the share
    ``mixing`` (style mixing, Karras et al. 2019, section 3.1); ``truncation`` below 1 pulls styles
    towards their average, which varies less and fails less.
    """

    def __init__(self, noise: int = 64, width: int = 32, ups: int = 3) -> None:
        super().__init__()
        widths = [min(width * 2**level, 8 * width) for level in reversed(range(ups + 1))]
        self.mapping = Mapper(noise)
        self.constant = nn.Parameter(torch.randn(1, widths[0], FIRST_SIDE, FIRST_SIDE))
        pairs = zip([widths[0], *widths], widths, strict=False)
        self.levels = nn.ModuleList(StyleLevel(inputs, outputs, noise) for inputs, outputs in pairs)

    def forward(self, noise: Tensor, fine: Tensor, mixing: Tensor, truncation: Tensor) -> Tensor:
        coarse, finer = self.mapping.styles(noise, fine, mixing, truncation)
        x = self.constant.expand(noise.shape[0], -1, -1, -1)
        rgb: Tensor | None = None
        for number, level in enumerate(self.levels):
            x, rgb = level(x, rgb, coarse if 2 * number < len(self.levels) else finer)
        assert rgb is not None
        return rgb


class Mapper(nn.Module):
    """Map noise (N, D) to styles (N, D): scaled to length 1, then four layers.

    ``average`` is the style that truncation pulls towards.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EvenLinear(width, width, rate=SLOW) for _ in range(LAYERS))
        self.average: Tensor
        self.register_buffer("average", torch.zeros(width))

    def forward(self, noise: Tensor) -> Tensor:
        x = noise * (noise.square().mean(1, keepdim=True) + EPS).rsqrt()
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2) * math.sqrt(2)
        return x

    def styles(
        self, noise: Tensor, fine: Tensor, mixing: Tensor, truncation: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the styles of the coarser and of the finer half of the layers, (N, D) each."""
        style, other = self(noise), self(fine)
        share, kept = mixing.clamp(0, 1)[:, None], truncation.clamp(0, 1)[:, None]
        mixed = style + share * (other - style)
        average = self.average
        return average + kept * (style - average), average + kept * (mixed - average)

    @torch.no_grad()
    def measure_average(self, count: int = 4096) -> None:
        """Set the average style, of ``count`` noises of a fixed seed; once, after training."""
        drawn = torch.randn(count, len(self.average), generator=torch.Generator().manual_seed(0))
        self.average.copy_(self(drawn.to(self.average.device)).mean(0))


class StyleLevel(nn.Module):
    """One size: two modulated convolutions and what they add to the picture."""

    def __init__(self, inputs: int, outputs: int, style: int) -> None:
        super().__init__()
        self.first = ModulatedConv(inputs, outputs, 3, style)
        self.second = ModulatedConv(outputs, outputs, 3, style)
        self.rgb = ModulatedConv(outputs, 3, 1, style, demodulate=False)

    def forward(self, x: Tensor, rgb: Tensor | None, style: Tensor) -> tuple[Tensor, Tensor]:
        if rgb is not None:
            x, rgb = doubled(x), doubled(rgb)
        x = F.leaky_relu(self.first(x, style), 0.2) * math.sqrt(2)
        x = F.leaky_relu(self.second(x, style), 0.2) * math.sqrt(2)
        added = self.rgb(x, style)
        return x, added if rgb is None else rgb + added


class ModulatedConv(nn.Module):
    """A convolution whose input channels are scaled by a style, and whose output has deviation 1.

    Karras et al. 2020, equations 1 and 3. Scaling the weights and scaling the channels that they
    meet is the same; done so, the weights are constants, one convolution serves a whole batch, and
    any engine takes it.
    """

    def __init__(
        self, inputs: int, outputs: int, size: int, style: int, *, demodulate: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.affine = EvenLinear(style, inputs, bias=1.0)
        self.scale, self.demodulate = 1 / math.sqrt(inputs * size**2), demodulate

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scales = self.affine(style)
        scales = scales * self.scale
        y = F.conv2d(x * scales[:, :, None, None], self.weight, padding=self.weight.shape[2] // 2)
        if self.demodulate:
            energy = scales.square() @ self.weight.square().sum((2, 3)).T
            y = y * (energy + EPS).rsqrt()[:, :, None, None]
        return y + self.bias[:, None, None]


class EvenLinear(nn.Module):
    """A linear layer whose weights are scaled as it runs (Karras et al. 2018, section 4.1)."""

    def __init__(self, inputs: int, outputs: int, *, rate: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.scale, self.rate = rate / math.sqrt(inputs), rate

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x * self.scale, self.weight) + self.bias * self.rate


def doubled(x: Tensor) -> Tensor:
    """Double the size of (N, C, H, W), linear between pixels."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def style_ports(noise: int) -> tuple[Port, ...]:
    """Return the ports of a style sampler: noise, and what varies it."""
    first = noise_port(noise)
    fine = first.model_copy(
        update={"name": "fine", "default": 0.0, "meaning": "noise of another style, for `mixing`"}
    )
    share = Port(
        name="mixing", shape=("batch",), dtype="float32", low=0, high=1, default=0.0,
        meaning="how much the finer layers take of the style of `fine`",
    )  # fmt: skip
    truncation = share.model_copy(
        update={
            "name": "truncation",
            "default": 1.0,
            "meaning": "how far styles may be from their average: 0 draws that alone",
        }
    )
    return first, fine, share, truncation


def style_graphs(config: Mapping[str, Any]) -> Graphs:
    """Return the graph of a style sampler."""
    return {"sample": NetworkGraph("sampler", inputs=style_ports(config["noise"]))}


def _measure(state: State) -> Config:
    levels = len({key.split(".")[1] for key in state if key.startswith("levels.")})
    width = int(state[f"levels.{levels - 1}.second.weight"].shape[:1].numel())
    return {"noise": int(state["mapping.average"].numel()), "width": width, "ups": levels - 1}


STYLEGAN = Family(
    name="stylegan",
    title="a small StyleGAN2 of stylepress",
    marks=("mapping.average", "constant", "levels.0.first.affine.weight"),
    measure=_measure,
    allowed={"noise": range(1, 1025), "width": range(1, 257), "ups": range(1, 8)},
    usual={"noise": 64, "width": 32, "ups": 3},
    build=StyleGenerator,
    image=picture(-1.0, 1.0),
    graphs=style_graphs,
)
