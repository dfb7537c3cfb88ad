"""The student: strided stem, rep-block trunk, two-step decoder, folded to plain convolutions.

While it trains, a trunk layer has three branches and batch normalisation (RepVGG, Ding et al.
2021, arXiv 2101.03697), and what upsamples is a resize-convolution, which cannot print a grid
(Odena et al. 2016, distill.pub/2016/deconv-checkerboard). ``fold`` turns both into plain 3x3
convolutions and pixel shuffles: the same function, without a batch norm and without a full-size
intermediate picture. Instance norms stay where a size asks for them: four, where levels begin and
end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.errors import RecipeError
from stylepress.ports import Port
from stylepress.step_fields import Preset

Kernel: TypeAlias = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class StudentSize:
    """How wide and deep a student is.

    ``half`` channels at half size, ``width`` at a quarter (at half size when ``stride`` is 2),
    ``blocks`` rep-blocks there. With ``deep_width`` half of the blocks stand before and half
    behind a level at an eighth of the size, ``deep_blocks`` deep, with a skip over it: it costs a
    quarter per layer and sees four times the area. ``norms`` puts an instance norm where a level
    begins and ends: a teacher with its own norms standing still is another picture, so a student
    copies it better that has some too.
    """

    width: int
    blocks: int
    half: int
    stride: Literal[2, 4] = 4
    deep_width: int = 0
    deep_blocks: int = 0
    norms: bool = False

    def __post_init__(self) -> None:
        counts = (self.blocks, self.deep_width, self.deep_blocks)
        if self.width < 1 or self.half < 1 or min(counts) < 0 or self.stride not in (2, 4):
            raise RecipeError(
                f"A student of {asdict(self)} cannot be built.",
                "Give positive channels, blocks of 0 or more and a stride of 2 or 4.",
            )


PRESETS: dict[Preset, StudentSize] = {
    "nano": StudentSize(width=16, blocks=6, half=16),
    "small": StudentSize(width=32, blocks=6, half=16),
    "base": StudentSize(width=32, blocks=2, half=16, deep_width=64, deep_blocks=6, norms=True),
    "wide": StudentSize(width=32, blocks=2, half=16, deep_width=128, deep_blocks=6, norms=True),
    "texture": StudentSize(width=16, blocks=6, half=16, stride=2),
}
DILATIONS = (1, 2, 2, 1)
"""Reach of the rep-blocks, in turn: dilation widens what a pixel sees and was measured free."""

LEAST_SIDE = 1
"""Zero padding and strided convolutions take any picture."""

IMAGE = Port(
    name="image",
    shape=("batch", 3, "height", "width"),
    dtype="float32",
    low=-128.0,
    high=127.0,
    least=LEAST_SIDE,
)
"""What a folded student takes and gives: a uint8 level minus 128."""
GREY = 128 / 255
"""Zero padding should look like mid grey, and a uint8 level minus 128 is an int8 exactly."""


class Student(nn.Module):
    """The student as it trains: (N, 3, H, W) float32 in [0, 1] to the same, unclamped.

    H and W come out rounded up to a multiple of the stride.
    """

    def __init__(self, size: StudentSize, *, plain: bool = False) -> None:
        """Take one convolution for each rep-block where ``plain``: then each has its own width."""
        super().__init__()
        self.size = size
        first = _activation(size, size.width)
        if size.stride == 4:
            stem = [conv(3, size.half, 2), nn.ReLU(), conv(size.half, size.width, 2), first]
            decoder = [Upscale(size.width, size.half), nn.ReLU(), Upscale(size.half, 3)]
        else:
            stem = [conv(3, size.width, 2), first]
            decoder = [Upscale(size.width, 3)]
        self.stem = nn.Sequential(*stem)
        self.trunk = Trunk(
            size,
            block=_plain_block if plain else RepBlock,
            up=lambda: nn.Sequential(
                *_norm(size, size.deep_width), Upscale(size.deep_width, size.width)
            ),
        )
        self.decoder = nn.Sequential(*decoder)

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.decoder(self.trunk(self.stem(image - GREY))) + GREY
        return result


class Trunk(nn.Module):
    """Blocks at one size, and a deeper level with a skip over it when the size asks for one.

    The skip is a 1x1 convolution that begins as the identity: a channel may then have one range
    before the sum and another behind it, and one INT8 step each.
    """

    def __init__(
        self,
        size: StudentSize,
        *,
        block: Callable[[int, int], nn.Module],
        up: Callable[[], nn.Module],
    ) -> None:
        super().__init__()
        ahead = size.blocks // 2 if size.deep_width else size.blocks
        self.before = nn.Sequential(*_blocks(block, size.width, ahead))
        self.skip = nn.Identity() if not size.deep_width else conv_point(size.width)
        self.norm = nn.Sequential(*_norm(size, size.width) if size.deep_width else ())
        self.deep: nn.Sequential | None = None
        if size.deep_width:
            self.deep = nn.Sequential(
                conv(size.width, size.deep_width, 2),
                _activation(size, size.deep_width),
                *_blocks(block, size.deep_width, size.deep_blocks),
                up(),
            )
        self.after = nn.Sequential(*_blocks(block, size.width, size.blocks - ahead))

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x)
        if self.deep is not None:
            deep = self.deep(x)[..., : x.shape[-2], : x.shape[-1]]
            x = torch.relu(self.norm(self.skip(x) + deep))
        result: Tensor = self.after(x)
        return result


def _activation(size: StudentSize, channels: int) -> nn.Module:
    return nn.Sequential(*_norm(size, channels), nn.ReLU()) if size.norms else nn.ReLU()


def _norm(size: StudentSize, channels: int) -> list[nn.Module]:
    return [nn.InstanceNorm2d(channels, affine=True)] if size.norms else []


def _blocks(block: Callable[[int, int], nn.Module], width: int, count: int) -> list[nn.Module]:
    return [block(width, DILATIONS[index % len(DILATIONS)]) for index in range(count)]


class RepBlock(nn.Module):
    """relu(norm(conv3x3(x)) + norm(conv1x1(x)) + norm(x)); folds to relu(conv3x3(x))."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.wide = nn.Conv2d(
            channels, channels, 3, padding=dilation, dilation=dilation, bias=False
        )
        self.point = nn.Conv2d(channels, channels, 1, bias=False)
        self.wide_norm = nn.BatchNorm2d(channels)
        self.point_norm = nn.BatchNorm2d(channels)
        self.skip_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.wide_norm(self.wide(x)) + self.point_norm(self.point(x)) + self.skip_norm(x)
        return torch.relu(y)


class Upscale(nn.Module):
    """Double both sides bilinearly, then convolve 3x3; folds to a convolution and a pixel shuffle.

    It is one convolution of the small picture in training too, with the kernel that ``kernel``
    works out. What is even stays even, so it cannot print a grid; repetition instead of linear
    interpolation draws a slanted edge as stairs, and a free kernel for each phase was tried and
    prints grids wherever the picture has a slope.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = conv(inputs, outputs)
        self.in_two_steps = False

    def forward(self, x: Tensor) -> Tensor:
        if self.in_two_steps:  # the same but at the border, for who looks at the layers
            doubled = F.interpolate(x, scale_factor=2.0, mode="bilinear")
            result: Tensor = self.conv(doubled)
            return result
        weight, bias = self.kernel(torch.float32)
        return F.pixel_shuffle(F.conv2d(x, weight, bias, padding=1), 2)

    def kernel(self, dtype: torch.dtype) -> Kernel:
        """Return the kernel (4 outputs, inputs, 3, 3) and the bias of the convolution it is."""
        if self.conv.bias is None:
            raise TypeError("the convolution of an upscaling has a bias")
        return phases_of(self.conv.weight.to(dtype)), self.conv.bias.to(dtype).repeat_interleave(4)


def phases_of(weight: Tensor) -> Tensor:
    """Turn "double bilinearly, convolve 3x3" into one convolution with a pixel-shuffled output.

    Output row 2i + a reads the large rows 2i + a + u. Large row 2j is 1/4 of the small row j - 1
    and 3/4 of row j, large row 2j + 1 is 3/4 of row j and 1/4 of row j + 1: for every phase a the
    three kernel rows together meet the small rows i - 1, i and i + 1, no others.
    """
    gather = weight.new_zeros(2, 3, 3)  # phase a, small row d, large row u
    for a in (0, 1):
        for u in (-1, 0, 1):
            near = (a + u) // 2
            far = near + (1 if (a + u) % 2 else -1)
            gather[a, near + 1, u + 1] += 0.75
            gather[a, far + 1, u + 1] += 0.25
    phases = torch.einsum("adu,oiuv,bev->oabide", gather, weight, gather)
    outputs, inputs = weight.shape[:2]
    return phases.reshape(4 * outputs, inputs, 3, 3)


class FoldedStudent(nn.Module):
    """The student as it ships: plain 3x3 convolutions, ReLU and pixel shuffles.

    (N, 3, H, W) float32 in [-128, 127] (a uint8 level minus 128) to the same range, unclamped:
    the factors 1/255 and 255 are inside the first and the last kernel.
    """

    def __init__(self, size: StudentSize) -> None:
        super().__init__()
        self.size = size
        first = _activation(size, size.width)
        if size.stride == 4:
            stem = [conv(3, size.half, 2), nn.ReLU(), conv(size.half, size.width, 2), first]
            decoder = [*_shuffled(size.width, size.half), nn.ReLU(), *_shuffled(size.half, 3)]
        else:
            stem = [conv(3, size.width, 2), first]
            decoder = _shuffled(size.width, 3)
        self.stem = nn.Sequential(*stem)
        self.trunk = Trunk(
            size,
            block=_plain_block,
            up=lambda: nn.Sequential(
                *_norm(size, size.deep_width), *_shuffled(size.deep_width, size.width)
            ),
        )
        self.decoder = nn.Sequential(*decoder)

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.decoder(self.trunk(self.stem(image)))
        return result


def _plain_block(channels: int, dilation: int) -> nn.Module:
    return nn.Sequential(conv(channels, channels, dilation=dilation), nn.ReLU())


def _shuffled(inputs: int, outputs: int) -> list[nn.Module]:
    return [conv(inputs, 4 * outputs), nn.PixelShuffle(2)]


def conv(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """3x3 convolution with zero padding, so that any size goes in."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation)


def conv_point(channels: int) -> nn.Conv2d:
    """1x1 convolution that begins as the identity."""
    layer = nn.Conv2d(channels, channels, 1, bias=False)
    nn.init.dirac_(layer.weight)
    return layer
