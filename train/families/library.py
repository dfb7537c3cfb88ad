"""A library of styles in one network: each has gains and offsets of its own, mixed by weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.ports import Port
from stylepress.train.transformer import LEAST_SIDE, PaddedConv
from stylepress.train.weights.family import Config, Family, Graphs, NetworkGraph, State, picture


class StyleLibrary(nn.Module):
    """Map (N, 3, H, W) float32 RGB in [0, 1] and weights (N, S) of S styles to the same range.

    Dumoulin et al. 2017 (arXiv 1610.07629): the network of Johnson et al. whose instance norms
    have a row of gains and offsets a style. Weights mix the rows, so styles between the trained
    ones are drawn at the cost of one. H and W come out up to 3 pixels larger.
    """

    def __init__(self, styles: str, width: int = 32, blocks: int = 5) -> None:
        super().__init__()
        self.styles, self.width, self.blocks = styles.split(","), width, blocks
        count, wide = len(self.styles), 4 * width
        self.down = nn.ModuleList(
            [
                Layer(count, PaddedConv(3, width, 9)),
                Layer(count, PaddedConv(width, 2 * width, 3, stride=2)),
                Layer(count, PaddedConv(2 * width, wide, 3, stride=2)),
            ]
        )
        self.first = nn.ModuleList(Layer(count, PaddedConv(wide, wide, 3)) for _ in range(blocks))
        self.second = nn.ModuleList(Layer(count, PaddedConv(wide, wide, 3)) for _ in range(blocks))
        self.up = nn.ModuleList(
            [
                Layer(count, PaddedConv(wide, 2 * width, 3, up=2)),
                Layer(count, PaddedConv(2 * width, width, 3, up=2)),
            ]
        )
        self.last = PaddedConv(width, 3, 9)

    def forward(self, image: Tensor, style: Tensor) -> Tensor:
        x = image
        for layer in self.down:
            x = torch.relu(layer(x, style))
        for first, second in zip(self.first, self.second, strict=True):
            x = x + second(torch.relu(first(x, style)), style)
        for layer in self.up:
            x = torch.relu(layer(x, style))
        drawn: Tensor = self.last(x)
        return drawn


class Layer(nn.Module):
    """Convolution, instance normalisation, and gain and offset mixed of those of all styles."""

    def __init__(self, styles: int, conv: PaddedConv) -> None:
        super().__init__()
        channels = conv.conv2d.out_channels
        self.conv = conv
        self.gain = nn.Parameter(torch.ones(styles, channels))
        self.offset = nn.Parameter(torch.zeros(styles, channels))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        even = F.instance_norm(self.conv(x))
        gain, offset = style @ self.gain, style @ self.offset
        return even * gain[:, :, None, None] + offset[:, :, None, None]


def style_port(names: str) -> Port:
    """Return the port of the weights of styles: without any, all weigh the same."""
    labels = tuple(names.split(","))
    return Port(
        name="style",
        shape=("batch", len(labels)),
        dtype="float32",
        low=0,
        high=1,
        default=1 / len(labels),
        meaning="how much of each style; weights that add up to 1",
        labels=labels,
    )


def _measure(state: State) -> Config:
    """Read what shapes tell; the names of the styles stand in the artifact."""
    blocks = 0
    while f"first.{blocks}.gain" in state:
        blocks += 1
    table = state["down.0.gain"]
    count, width = (int(n) for n in table.shape) if table.ndim == 2 else (0, 0)
    names = ",".join(f"style-{number}" for number in range(1, count + 1))
    return {"styles": names, "width": width, "blocks": blocks}


def _graphs(config: Mapping[str, Any]) -> Graphs:
    return {"frame": NetworkGraph("frame", inputs=(style_port(config["styles"]),))}


LIBRARY = Family(
    name="library",
    title="a library of styles of stylepress",
    marks=("down.0.gain", "down.0.conv.conv2d.weight", "last.conv2d.weight"),
    measure=_measure,
    allowed={
        "styles": re.compile(r"[a-z0-9][a-z0-9-]{0,31}(,[a-z0-9][a-z0-9-]{0,31}){0,63}"),
        "width": range(1, 1025),
        "blocks": range(65),
    },
    usual={"styles": "glass,starry", "width": 32, "blocks": 5},
    build=StyleLibrary,
    image=picture(0.0, 1.0, least=LEAST_SIDE),
    graphs=_graphs,
)
