"""DCGAN in the layout of pytorch/examples: noise to small pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from stylepress.ports import Port
from stylepress.train.families.norms import drawn_weights
from stylepress.train.weights.family import Config, Family, Graphs, NetworkGraph, State, picture

FIRST_SIDE = 4


class DcganGenerator(nn.Module):
    """Map (N, noise) float32, normal, to (N, 3, S, S) float32 RGB in [-1, 1], S = 4 * 2^ups.

    Radford et al. 2016 (arXiv 1511.06434): transposed 4x4 convolutions, each with half the
    channels of the one before, BatchNorm and ReLU between them, tanh. Keys are those of
    ``netG_epoch_N.pth``.
    """

    def __init__(self, noise: int = 100, width: int = 64, ups: int = 4) -> None:
        super().__init__()
        widths = [width * 2**level for level in reversed(range(ups))]
        layers: list[nn.Module] = [nn.ConvTranspose2d(noise, widths[0], 4, bias=False)]
        for inputs, outputs in zip(widths, [*widths[1:], 3], strict=True):
            layers += [nn.BatchNorm2d(inputs), nn.ReLU()]
            layers += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)]
        self.main = nn.Sequential(*layers, nn.Tanh())

    def forward(self, noise: Tensor) -> Tensor:
        drawn: Tensor = self.main(noise[:, :, None, None])
        return drawn


class DcganDiscriminator(nn.Module):
    """Map (N, 3, S, S) in [-1, 1] to (N,) float32: how real each looks, unbounded.

    Strided 4x4 convolutions down to 4x4, and one over the whole of that.
    """

    def __init__(self, width: int = 64, ups: int = 4) -> None:
        super().__init__()
        widths = [3, *(width * 2**level for level in range(ups))]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)]
            layers += [nn.BatchNorm2d(outputs)] if inputs != 3 else []
            layers += [nn.LeakyReLU(0.2)]
        self.main = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, bias=False))
        drawn_weights(self)

    def forward(self, image: Tensor) -> Tensor:
        judged: Tensor = self.main(image)
        return judged.flatten()


def noise_port(noise: int) -> Port:
    """Return the port of normal noise, a row of numbers a picture."""
    meaning = "independent normal numbers, mean 0 and deviation 1"
    return Port(name="noise", shape=("batch", noise), dtype="float32", meaning=meaning)


def _ups(state: State) -> int:
    ups = 0
    while f"main.{3 * ups + 3}.weight" in state:
        ups += 1
    return ups


def _measure(state: State) -> Config:
    ups, first = _ups(state), state["main.0.weight"]
    noise, widest = (int(n) for n in first.shape[:2]) if first.ndim == 4 else (0, 0)
    return {"noise": noise, "width": widest // 2 ** max(0, ups - 1), "ups": ups}


def _graphs(config: Mapping[str, Any]) -> Graphs:
    return {"sample": NetworkGraph("sampler", inputs=(noise_port(config["noise"]),))}


DCGAN = Family(
    name="dcgan",
    title="the generator of DCGAN in pytorch/examples",
    marks=("main.0.weight", "main.1.running_mean", "main.3.weight", "main.4.running_mean"),
    measure=_measure,
    allowed={"noise": range(1, 4097), "width": range(1, 513), "ups": range(1, 8)},
    usual={"noise": 100, "width": 64, "ups": 4},
    build=DcganGenerator,
    image=picture(-1.0, 1.0),
    junk=re.compile(r"(^|\.)(n_averaged|num_batches_tracked)$"),
    graphs=_graphs,
)
