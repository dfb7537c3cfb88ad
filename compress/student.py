"""The norm-free student: strided stem, rep-block trunk, two-step decoder, folded to plain convs.

While it trains, a trunk layer has three branches and batch normalisation (RepVGG, Ding et al.
2021, arXiv 2101.03697) and the decoder upsamples by repetition before it convolves, so that it
cannot print a grid. ``fold`` turns both into plain 3x3 convolutions and pixel shuffles: the same
function, without a norm and without a full-size intermediate picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.artifact import TensorSpec
from stylepress.errors import CheckpointError, RecipeError

Preset: TypeAlias = Literal["nano", "small", "base", "texture"]


@dataclass(frozen=True, slots=True)
class StudentSize:
    """Channels of the trunk, its depth, channels at half size, and the stride of the trunk."""

    width: int
    blocks: int
    half: int
    stride: Literal[2, 4] = 4

    def __post_init__(self) -> None:
        if self.width < 1 or self.blocks < 0 or self.half < 1 or self.stride not in (2, 4):
            raise RecipeError(
                f"A student of {asdict(self)} cannot be built. Give positive channels, "
                f"blocks of 0 or more and a stride of 2 or 4."
            )


PRESETS: dict[Preset, StudentSize] = {
    "nano": StudentSize(width=16, blocks=6, half=16),
    "small": StudentSize(width=32, blocks=6, half=16),
    "base": StudentSize(width=48, blocks=5, half=16),
    "texture": StudentSize(width=16, blocks=6, half=16, stride=2),
}


IMAGE = TensorSpec("image", ("batch", 3, "height", "width"), "float32", -128.0, 127.0)
"""What a folded student takes and gives: a uint8 level minus 128."""
LEAST_SIDE = 1
"""Zero padding and strided convolutions take any picture."""
GREY = 128 / 255
"""Zero padding should look like mid grey, and a uint8 level minus 128 is an int8 exactly."""


class Student(nn.Module):
    """The student as it trains: (N, 3, H, W) float32 in [0, 1] to the same, unclamped.

    H and W come out rounded up to a multiple of the stride.
    """

    def __init__(self, size: StudentSize) -> None:
        super().__init__()
        self.size = size
        if size.stride == 4:
            self.stem = nn.Sequential(
                conv(3, size.half, 2), nn.ReLU(), conv(size.half, size.width, 2), nn.ReLU()
            )
        else:
            self.stem = nn.Sequential(conv(3, size.width, 2), nn.ReLU())
        self.trunk = nn.Sequential(*[RepBlock(size.width) for _ in range(size.blocks)])
        if size.stride == 4:
            self.decoder = nn.Sequential(
                Resize(size.width, size.half), nn.ReLU(), Resize(size.half, 3)
            )
        else:
            self.decoder = nn.Sequential(Resize(size.width, 3))

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.decoder(self.trunk(self.stem(image - GREY))) + GREY
        return result


class RepBlock(nn.Module):
    """relu(norm(conv3x3(x)) + norm(conv1x1(x)) + norm(x)); folds to relu(conv3x3(x))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.point = nn.Conv2d(channels, channels, 1, bias=False)
        self.wide_norm = nn.BatchNorm2d(channels)
        self.point_norm = nn.BatchNorm2d(channels)
        self.skip_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.wide_norm(self.wide(x)) + self.point_norm(self.point(x)) + self.skip_norm(x)
        return torch.relu(y)


class Resize(nn.Module):
    """Repeat every pixel 2x2, then convolve 3x3; folds to a convolution and a pixel shuffle."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = conv(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return y


class FoldedStudent(nn.Module):
    """The student as it ships: plain 3x3 convolutions, ReLU and pixel shuffles.

    (N, 3, H, W) float32 in [-128, 127] (a uint8 level minus 128) to the same range, unclamped:
    the factors 1/255 and 255 are inside the first and the last kernel.
    """

    def __init__(self, size: StudentSize) -> None:
        super().__init__()
        self.size = size
        layers: list[nn.Module] = [conv(3, size.half if size.stride == 4 else size.width, 2)]
        layers.append(nn.ReLU())
        if size.stride == 4:
            layers += [conv(size.half, size.width, 2), nn.ReLU()]
        for _ in range(size.blocks):
            layers += [conv(size.width, size.width), nn.ReLU()]
        if size.stride == 4:
            layers += [conv(size.width, 4 * size.half), nn.ReLU(), nn.PixelShuffle(2)]
        layers += [conv(size.half if size.stride == 4 else size.width, 12), nn.PixelShuffle(2)]
        self.layers = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.layers(image)
        return result


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """3x3 convolution with zero padding, so that any size goes in."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1)


@torch.no_grad()
def fold(student: Student) -> FoldedStudent:
    """Return the plain network that computes what ``student`` computes with fixed statistics.

    Equal to float error: no step approximates. The range changes from [0, 1] to [-128, 127].
    """
    folded = FoldedStudent(student.size).eval()
    kernels = [_kernel(layer) for layer in student.stem if isinstance(layer, nn.Conv2d)]
    kernels += [_fold_block(block) for block in student.trunk if isinstance(block, RepBlock)]
    kernels += [_fold_resize(step.conv) for step in student.decoder if isinstance(step, Resize)]
    kernels[0] = (kernels[0][0] / 255, kernels[0][1])
    kernels[-1] = (kernels[-1][0] * 255, kernels[-1][1] * 255)
    plain = [layer for layer in folded.layers if isinstance(layer, nn.Conv2d)]
    for layer, (weight, bias) in zip(plain, kernels, strict=True):
        layer.weight.copy_(weight)
        if layer.bias is not None:
            layer.bias.copy_(bias)
    return folded


Kernel: TypeAlias = tuple[Tensor, Tensor]


def _kernel(layer: nn.Conv2d) -> Kernel:
    bias = layer.bias if layer.bias is not None else torch.zeros(layer.out_channels)
    return layer.weight.detach().double(), bias.detach().double()


def _fold_block(block: RepBlock) -> Kernel:
    """Sum the three branches of a rep-block into one 3x3 kernel (RepVGG, section 3.3)."""
    channels = block.wide.out_channels
    point = F.pad(block.point.weight, (1, 1, 1, 1))
    identity = torch.zeros_like(block.wide.weight)
    identity[range(channels), range(channels), 1, 1] = 1
    branches = [
        _fold_norm(block.wide.weight, block.wide_norm),
        _fold_norm(point, block.point_norm),
        _fold_norm(identity, block.skip_norm),
    ]
    return (
        torch.stack([weight for weight, _ in branches]).sum(0),
        torch.stack([bias for _, bias in branches]).sum(0),
    )


def _fold_norm(weight: Tensor, norm: nn.BatchNorm2d) -> Kernel:
    """Put the gain and offset of a batch norm with fixed statistics into the kernel before it."""
    if norm.running_var is None or norm.running_mean is None:
        raise TypeError("a rep-block keeps running statistics")
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return weight.double() * gain.view(-1, 1, 1, 1), norm.bias - norm.running_mean * gain


def _fold_resize(layer: nn.Conv2d) -> Kernel:
    """Turn "repeat 2x2, convolve 3x3" into one convolution whose output is pixel-shuffled.

    Output row 2i + a reads the repeated rows 2i + a + u, that is row i + floor((a + u) / 2) of
    the small picture: kernel rows that meet the same small row are added. Zero padding of the
    large picture meets zero padding of the small one, so the edges agree too.
    """
    weight, bias = _kernel(layer)
    gather = weight.new_zeros(2, 3, 3)  # phase a, small row d, large row u
    for a in (0, 1):
        for u in (-1, 0, 1):
            gather[a, (a + u) // 2 + 1, u + 1] = 1
    phases = torch.einsum("adu,oiuv,bev->oabide", gather, weight, gather)
    outputs, inputs = weight.shape[:2]
    return phases.reshape(4 * outputs, inputs, 3, 3), bias.repeat_interleave(4)


def student_from(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> FoldedStudent:
    """Rebuild a folded student from the config and weights of its checkpoint.

    Raises:
        CheckpointError: they do not fit each other.
    """
    try:
        student = FoldedStudent(StudentSize(**config))
        student.load_state_dict(dict(state))
    except (TypeError, RuntimeError, RecipeError) as error:
        raise CheckpointError(
            f"A student of {dict(config)} does not fit its weights ({str(error).splitlines()[0]}). "
            f"Build it again with `stylepress build`."
        ) from error
    return student.eval()
