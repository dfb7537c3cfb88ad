"""Two styles in one network, told apart by a mask: normalisation that differs from place to place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.ports import Port
from stylepress.train.families.padding import to_multiple
from stylepress.train.transformer import LEAST_SIDE, PaddedConv
from stylepress.train.weights.family import Config, Family, Graphs, NetworkGraph, State, picture

WHITE = 255.0
HIDDEN = 16
"""Channels between the mask and the gains that are made of it."""


class RegionStyles(nn.Module):
    """Map (N, 3, H, W) float32 RGB in [0, 1] and a mask (N, H, W, 1) uint8 to the same range.

    The network of Johnson et al., whose norms take gains and offsets a place from the mask (the
    idea of Park et al. 2019, arXiv 1903.07291): 0 is the style outside, 255 that inside, and a grey
    between them mixes. Statistics are those of the whole picture. H and W come out up to 3 larger.
    """

    def __init__(self, width: int = 24, blocks: int = 4) -> None:
        super().__init__()
        wide = 4 * width
        self.down = nn.ModuleList(
            [
                Layer(PaddedConv(3, width, 9)),
                Layer(PaddedConv(width, 2 * width, 3, stride=2)),
                Layer(PaddedConv(2 * width, wide, 3, stride=2)),
            ]
        )
        self.first = nn.ModuleList(Layer(PaddedConv(wide, wide, 3)) for _ in range(blocks))
        self.second = nn.ModuleList(Layer(PaddedConv(wide, wide, 3)) for _ in range(blocks))
        self.up = nn.ModuleList(
            [
                Layer(PaddedConv(wide, 2 * width, 3, up=2)),
                Layer(PaddedConv(2 * width, width, 3, up=2)),
            ]
        )
        self.last = PaddedConv(width, 3, 9)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        # Side by side, so that a trace knows that both are of one size.
        both = torch.cat([image, mask.permute(0, 3, 1, 2).float() / WHITE], 1)
        even = to_multiple(both, 4)
        x, share = even[:, :3], even[:, 3:]
        half = F.avg_pool2d(share, 2)
        masks = [share, half, F.avg_pool2d(half, 2)]
        for layer, where in zip(self.down, masks, strict=True):
            x = torch.relu(layer(x, where))
        for first, second in zip(self.first, self.second, strict=True):
            x = x + second(torch.relu(first(x, masks[2])), masks[2])
        for layer, where in zip(self.up, masks[1::-1], strict=True):
            x = torch.relu(layer(x, where))
        drawn: Tensor = self.last(x)
        return drawn


class Layer(nn.Module):
    """Convolution, instance normalisation, gains and offsets a place, made of the mask."""

    def __init__(self, conv: PaddedConv) -> None:
        super().__init__()
        channels = conv.conv2d.out_channels
        self.conv = conv
        self.features = PaddedConv(1, HIDDEN, 3)
        self.modulation = nn.Conv2d(HIDDEN, 2 * channels, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        even = F.instance_norm(self.conv(x))
        gain, offset = self.modulation(torch.relu(self.features(mask))).chunk(2, 1)
        styled: Tensor = even * (1 + gain) + offset
        return styled


def mask_port() -> Port:
    """Return the port of the mask: without one, all is inside."""
    return Port(
        name="mask",
        shape=("batch", "height", "width", 1),
        dtype="uint8",
        low=0,
        high=WHITE,
        default=WHITE,
        least=LEAST_SIDE,
        meaning="where which style is drawn: 255 that inside, 0 that outside",
    )


def _measure(state: State) -> Config:
    blocks = len({key.split(".")[1] for key in state if key.startswith("first.")})
    width = int(state["last.conv2d.weight"].shape[1:2].numel())
    return {"width": width, "blocks": blocks}


def _graphs(_config: Mapping[str, Any]) -> Graphs:
    return {"frame": NetworkGraph("frame", inputs=(mask_port(),))}


REGIONS = Family(
    name="regions",
    title="two styles of stylepress, told apart by a mask",
    marks=("down.0.modulation.weight", "down.0.conv.conv2d.weight", "last.conv2d.weight"),
    measure=_measure,
    allowed={"width": range(1, 1025), "blocks": range(65)},
    usual={"width": 24, "blocks": 4},
    build=RegionStyles,
    image=picture(0.0, 1.0, least=LEAST_SIDE),
    graphs=_graphs,
)
