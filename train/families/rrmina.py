"""Fast style transfer in the layout of rrmina/fast-neural-style-pytorch: BGR, tanh times 150."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.train.weights.family import Config, Family, State, picture

LEAST_SIDE = 16
GAIN = 150.0
"""What the last tanh is multiplied with; values beyond 0..255 are cut by the frame graph."""


class RrminaNet(nn.Module):
    """Map (N, 3, H, W) float32 BGR in [0, 255] to [-150, 150], of which 0..255 is shown.

    The network of Johnson et al. (arXiv 1603.08155) with transposed convolutions on the way up.
    H and W that are no multiple of 4 come out up to 3 pixels larger.
    """

    def __init__(self, width: int = 32, blocks: int = 5) -> None:
        super().__init__()
        self.ConvBlock = nn.Sequential(
            Layer(3, width, 9),
            nn.ReLU(),
            Layer(width, 2 * width, 3, stride=2),
            nn.ReLU(),
            Layer(2 * width, 4 * width, 3, stride=2),
            nn.ReLU(),
        )
        self.ResidualBlock = nn.Sequential(*(Residual(4 * width) for _ in range(blocks)))
        self.DeconvBlock = nn.Sequential(
            Up(4 * width, 2 * width),
            nn.ReLU(),
            Up(2 * width, width),
            nn.ReLU(),
            Layer(width, 3, 9, norm=False),
        )

    def forward(self, image: Tensor) -> Tensor:
        drawn: Tensor = self.DeconvBlock(self.ResidualBlock(self.ConvBlock(image)))
        return GAIN * torch.tanh(drawn)


class Layer(nn.Module):
    """Reflection padding, convolution and, if there is one, instance normalisation."""

    def __init__(
        self, inputs: int, outputs: int, size: int, *, stride: int = 1, norm: bool = True
    ) -> None:
        super().__init__()
        self.margin = size // 2
        self.conv_layer = nn.Conv2d(inputs, outputs, size, stride)
        self.norm_layer = nn.InstanceNorm2d(outputs, affine=True) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv_layer(F.pad(x, (self.margin,) * 4, mode="reflect"))
        return y if self.norm_layer is None else self.norm_layer(y)


class Residual(nn.Module):
    """x + layer(relu(layer(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = Layer(channels, channels, 3), Layer(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(torch.relu(self.conv1(x)))
        return x + y


class Up(nn.Module):
    """Transposed convolution to the double size, and instance normalisation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv_transpose = nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, 1)
        self.norm_layer = nn.InstanceNorm2d(outputs, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm_layer(self.conv_transpose(x))
        return y


def _measure(state: State) -> Config:
    blocks = 0
    while f"ResidualBlock.{blocks}.conv1.conv_layer.weight" in state:
        blocks += 1
    width = int(state["ConvBlock.0.conv_layer.weight"].shape[:1].numel())
    return {"width": width, "blocks": blocks}


RRMINA = Family(
    name="rrmina",
    title="fast style transfer of rrmina/fast-neural-style-pytorch (BGR, tanh times 150)",
    marks=("ConvBlock.0.conv_layer.weight", "DeconvBlock.0.conv_transpose.weight"),
    measure=_measure,
    allowed={"width": range(1, 1025), "blocks": range(65)},
    usual={"width": 32, "blocks": 5},
    build=RrminaNet,
    image=picture(0.0, 255.0, order="bgr", least=LEAST_SIDE),
    junk=re.compile(r"(^|\.)(n_averaged|num_batches_tracked|norm_layer\.running_(mean|var))$"),
    # A port of it on Hugging Face calls the same layers by shorter names.
    renamed={
        r"(ConvBlock\.\d+|DeconvBlock\.4|conv[12])\.conv\.": r"\1.conv_layer.",
        r"(DeconvBlock\.[02])\.conv\.": r"\1.conv_transpose.",
        r"\.norm\.": ".norm_layer.",
    },
)
