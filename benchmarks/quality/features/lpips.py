"""LPIPS (Zhang et al. 2018, version 0.1) over backbone and heads that the user has as files.

Two files each: torchvision's AlexNet or VGG-16, and the linear heads of the paper. Nothing is
downloaded, and a distance over other files than the published ones does not carry the name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from stylepress.artifact import file_digest
from stylepress.benchmarks.quality.features.extractor import LpipsFact, Net
from stylepress.errors import CheckpointError, FrameError
from stylepress.train.weights.standard import STANDARD, StandardName, find_weights
from stylepress.train.weights.state import read_state

Pixels = NDArray[np.uint8]

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
TINY = 1e-10
LEAST = {"alex": 63, "vgg": 16}
"""Sides below leave a layer without a pixel."""


class Layer(NamedTuple):
    """A convolution of torchvision's ``features`` and what comes before it and is taken after."""

    place: int
    stride: int
    padding: int
    pool: int
    taken: bool


ALEX = (
    Layer(0, 4, 2, 0, True),
    Layer(3, 1, 2, 3, True),
    Layer(6, 1, 1, 3, True),
    Layer(8, 1, 1, 0, True),
    Layer(10, 1, 1, 0, True),
)
VGG = tuple(
    Layer(place, 1, 1, 2 if place in (5, 10, 17, 24) else 0, place in (2, 7, 14, 21, 28))
    for place in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
)
TOWERS: Mapping[Net, tuple[Layer, ...]] = {"alex": ALEX, "vgg": VGG}
FILES: Mapping[Net, tuple[StandardName, StandardName]] = {
    "alex": ("alexnet", "lpips-alex"),
    "vgg": ("vgg16", "lpips-vgg"),
}


class Lpips:
    """The distance, on the processor, in eval mode."""

    def __init__(
        self,
        net: Net,
        backbone: Mapping[str, Tensor],
        heads: Mapping[str, Tensor],
        fact: LpipsFact,
    ) -> None:
        """Take the weights in the layouts of torchvision and of the paper's files.

        Raises:
            CheckpointError: weights of another network.
        """
        self.fact, self._net = fact, net
        try:
            self._layers = [
                (
                    layer,
                    backbone[f"features.{layer.place}.weight"],
                    backbone[f"features.{layer.place}.bias"],
                )
                for layer in TOWERS[net]
            ]
            self._heads = [heads[f"lin{number}.model.1.weight"] for number in range(5)]
            taken = [weight.shape[0] for layer, weight, _ in self._layers if layer.taken]
            fitting = [
                head.shape == (1, c, 1, 1) for head, c in zip(self._heads, taken, strict=True)
            ]
        except KeyError as error:
            raise CheckpointError(
                f"The files for LPIPS ({net}) lack the layer {error.args[0]}.",
                "Name torchvision's file and the heads of LPIPS 0.1.",
            ) from error
        if not all(fitting):
            raise CheckpointError(
                f"The heads for LPIPS take {[tuple(head.shape) for head in self._heads]}, the "
                f"backbone gives {taken} channels.",
                f"Name both files of LPIPS ({net}).",
            )

    @torch.inference_mode()
    def distance(self, one: Pixels, two: Pixels) -> float:
        """Return LPIPS of two (H, W, 3) uint8 pictures: 0 when equal, about 0.7 when unrelated.

        Raises:
            FrameError: of two sizes, or too small.
        """
        if one.shape != two.shape or min(one.shape[:2]) < LEAST[self._net]:
            raise FrameError(
                f"LPIPS ({self._net}) cannot compare pictures of shape {one.shape} and "
                f"{two.shape}.",
                f"Give two of one size, at least {LEAST[self._net]} pixels a side.",
            )
        total = 0.0
        mine, theirs = (self._features(_scaled(picture)) for picture in (one, two))
        for first, second, head in zip(mine, theirs, self._heads, strict=True):
            gap = torch.square(first - second)
            total += float(F.conv2d(gap, head).mean())
        return total

    def _features(self, x: Tensor) -> list[Tensor]:
        found = []
        for layer, weight, bias in self._layers:
            if layer.pool:
                x = F.max_pool2d(x, layer.pool, 2)
            x = F.relu(F.conv2d(x, weight, bias, layer.stride, layer.padding))
            if layer.taken:
                found.append(x / (x.square().sum(1, keepdim=True).sqrt() + TINY))
        return found


def heads_of(path: Path) -> Net:
    """Return which network a file of heads belongs to, by its digest; the usual one if unknown."""
    known: Mapping[str, Net] = {STANDARD[FILES[net][1]].sha256: net for net in FILES}
    return known.get(file_digest(path), "alex") if path.is_file() else "alex"


def find_lpips(
    net: Net, *, env: Mapping[str, str], home: Path, heads: Path | None = None
) -> Lpips | str:
    """Return LPIPS from the files that the user has, or why it cannot be measured.

    The backbone is looked for beside ``heads`` too.

    Raises:
        RecipeError: a file named here does not exist.
        CheckpointError: weights that are damaged, unsafe, or not the published ones.
    """
    backbone_name, heads_name = FILES[net]
    beside = None if heads is None else heads.with_name(STANDARD[backbone_name].file)
    backbone = beside if beside is not None and beside.is_file() else None
    found = []
    for name, explicit in ((heads_name, heads), (backbone_name, backbone)):
        one = find_weights(name, explicit=explicit, env=env, home=home)
        if one is None:
            return f"the {name} weights were not found; put the file into $STYLEPRESS_WEIGHTS"
        if not one.genuine:
            raise CheckpointError(
                f"{one.path} has digest {one.sha256[:12]}, which is not that of the published "
                f"{name} weights: a distance over it may not be called LPIPS.",
                "Name the published file.",
            )
        found.append(one)
    linear, tower = found
    fact = LpipsFact(net=net, backbone_sha256=tower.sha256, heads_sha256=linear.sha256)
    return Lpips(net, read_state(tower.path), read_state(linear.path), fact)


def _scaled(picture: Pixels) -> Tensor:
    image = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float()[None]
    shift, scale = (torch.tensor(values).view(1, 3, 1, 1) for values in (SHIFT, SCALE))
    return (image / 127.5 - 1 - shift) / scale
