"""A conditional GAN: noise and a label to small pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.ports import Port
from stylepress.train.families.dcgan import noise_port
from stylepress.train.weights.family import Config, Family, Graphs, NetworkGraph, State, picture

FIRST_SIDE = 4


class CganGenerator(nn.Module):
    """Map (N, noise) float32, normal, and labels (N,) int64 to (N, 3, S, S) RGB in [-1, 1].

    Mirza and Osindero 2014 (arXiv 1411.1784), with the label where it acts strongest: each
    normalisation has gains and offsets a class (Dumoulin et al. 2017), besides the embedding that is
    put beside the noise. S is 4 * 2^ups. A label out of range is an error of the engine.
    """

    def __init__(self, classes: str, noise: int = 100, width: int = 64, ups: int = 4) -> None:
        super().__init__()
        self.classes = classes.split(",")
        count = len(self.classes)
        widths = [width * 2**level for level in reversed(range(ups))]
        self.label = nn.Embedding(count, noise)
        self.first = nn.Linear(2 * noise, widths[0] * FIRST_SIDE**2)
        self.ups = nn.ModuleList(
            ClassUp(count, inputs, outputs) for inputs, outputs in pairwise([*widths, width])
        )
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        x = self.first(torch.cat([noise, self.label(label)], 1))
        x = x.unflatten(1, (-1, FIRST_SIDE, FIRST_SIDE))
        for up in self.ups:
            x = up(x, label)
        return torch.tanh(self.last(x))


class ClassUp(nn.Module):
    """Double the size, convolve, and normalise with the gains and offsets of a class."""

    def __init__(self, classes: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.gain = nn.Parameter(torch.ones(classes, outputs))
        self.offset = nn.Parameter(torch.zeros(classes, outputs))

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        x = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        even = F.instance_norm(x)
        gain, offset = self.gain[label], self.offset[label]
        return F.leaky_relu(even * gain[:, :, None, None] + offset[:, :, None, None], 0.2)


def label_port(classes: str) -> Port:
    """Return the port of the number of a class."""
    labels = tuple(classes.split(","))
    return Port(
        name="label",
        shape=("batch",),
        dtype="int64",
        low=0,
        high=max(1, len(labels) - 1),
        default=0,
        meaning=f"number of the class: {', '.join(f'{n} {name}' for n, name in enumerate(labels))}",
    )


def _measure(state: State) -> Config:
    """Read what shapes tell; the names of the classes stand in the artifact."""
    ups = len({key.split(".")[1] for key in state if key.startswith("ups.")})
    table = state["label.weight"]
    count, noise = (int(n) for n in table.shape) if table.ndim == 2 else (0, 0)
    names = ",".join(f"class-{number}" for number in range(1, count + 1))
    width = int(state["last.weight"].shape[1:2].numel())
    return {"classes": names, "noise": noise, "width": width, "ups": ups}


def _graphs(config: Mapping[str, Any]) -> Graphs:
    ports = noise_port(config["noise"]), label_port(config["classes"])
    return {"sample": NetworkGraph("sampler", inputs=ports)}


CGAN = Family(
    name="cgan",
    title="a conditional GAN of stylepress",
    marks=("label.weight", "ups.0.gain", "last.weight"),
    measure=_measure,
    allowed={
        "classes": re.compile(r"[a-z0-9][a-z0-9-]{0,31}(,[a-z0-9][a-z0-9-]{0,31}){1,63}"),
        "noise": range(1, 4097),
        "width": range(1, 513),
        "ups": range(1, 8),
    },
    usual={"classes": "glass,strokes", "noise": 100, "width": 64, "ups": 3},
    build=CganGenerator,
    image=picture(-1.0, 1.0),
    graphs=_graphs,
)
