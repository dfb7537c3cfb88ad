"""The fast style transfer network of Johnson et al. 2016, in the layout of pytorch/examples."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAST_SIDE = 16
"""Reflection needs more pixels than it mirrors: 4 at full size, 1 at a quarter of it."""


class TransformerNet(nn.Module):
    """Map (N, 3, H, W) float32 RGB in [0, 255] to the same range, unclamped.

    Three convolutions down to a quarter of the size, ``blocks`` residual blocks, nearest
    upsampling and convolutions back, instance normalisation after each but the last
    (arXiv 1603.08155, with the normalisation of arXiv 1607.08022). H and W that are no multiple
    of 4 come out up to 3 pixels larger; the frame graph crops.

    Keys and shapes are those of the public checkpoints (mosaic, candy, ...) when ``width`` is 32
    and ``blocks`` 5.
    """

    def __init__(self, width: int = 32, blocks: int = 5) -> None:
        super().__init__()
        self.width, self.blocks = width, blocks
        self.conv1, self.in1 = PaddedConv(3, width, 9), norm(width)
        self.conv2, self.in2 = PaddedConv(width, 2 * width, 3, stride=2), norm(2 * width)
        self.conv3, self.in3 = PaddedConv(2 * width, 4 * width, 3, stride=2), norm(4 * width)
        for number in range(1, blocks + 1):
            self.add_module(f"res{number}", Residual(4 * width))
        self.deconv1, self.in4 = PaddedConv(4 * width, 2 * width, 3, up=2), norm(2 * width)
        self.deconv2, self.in5 = PaddedConv(2 * width, width, 3, up=2), norm(width)
        self.deconv3 = PaddedConv(width, 3, 9)

    def forward(self, image: Tensor) -> Tensor:
        y = torch.relu(self.in1(self.conv1(image)))
        y = torch.relu(self.in2(self.conv2(y)))
        y = torch.relu(self.in3(self.conv3(y)))
        for number in range(1, self.blocks + 1):
            y = self.get_submodule(f"res{number}")(y)
        y = torch.relu(self.in4(self.deconv1(y)))
        y = torch.relu(self.in5(self.deconv2(y)))
        result: Tensor = self.deconv3(y)
        return result


class PaddedConv(nn.Module):
    """Nearest upsampling (if any), reflection padding, convolution."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, up: int = 1) -> None:
        super().__init__()
        self.up, self.margin = up, size // 2
        self.conv2d = nn.Conv2d(inputs, outputs, size, stride)

    def forward(self, x: Tensor) -> Tensor:
        if self.up > 1:
            x = F.interpolate(x, scale_factor=float(self.up), mode="nearest")
        y: Tensor = self.conv2d(F.pad(x, (self.margin,) * 4, mode="reflect"))
        return y


class Residual(nn.Module):
    """x + norm(conv(relu(norm(conv(x)))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.in1 = PaddedConv(channels, channels, 3), norm(channels)
        self.conv2, self.in2 = PaddedConv(channels, channels, 3), norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.in2(self.conv2(torch.relu(self.in1(self.conv1(x)))))
        return x + y


def norm(channels: int) -> nn.InstanceNorm2d:
    """Instance normalisation with a learned gain and offset per channel."""
    return nn.InstanceNorm2d(channels, affine=True)
