"""AnimeGANv2 in the layout of bryandlee/animegan2-pytorch."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.train.weights.family import Config, Family, State, picture

LEAST_SIDE = 16
BLOCKS = 4


class AnimeGan(nn.Module):
    """Map (N, 3, H, W) float32 RGB in [-1, 1] to the same size and range.

    Two strided layers, ``BLOCKS`` inverted residual blocks, bilinear interpolation back to the
    very sizes on the way down, tanh; normalised over all channels of a picture together.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        w, w2, w4, w8 = width, 2 * width, 4 * width, 8 * width
        self.block_a = nn.Sequential(
            layer(3, w, 7, padding=3), layer(w, w2, stride=2, padding=(0, 1, 0, 1)), layer(w2, w2)
        )
        self.block_b = nn.Sequential(layer(w2, w4, stride=2, padding=(0, 1, 0, 1)), layer(w4, w4))
        self.block_c = nn.Sequential(
            layer(w4, w4),
            *(Inverted(w4 if number == 0 else w8, w8) for number in range(BLOCKS)),
            layer(w8, w4),
        )
        self.block_d = nn.Sequential(layer(w4, w4), layer(w4, w4))
        self.block_e = nn.Sequential(layer(w4, w2), layer(w2, w2), layer(w2, w, 7, padding=3))
        self.out_layer = nn.Sequential(nn.Conv2d(w, 3, 1, bias=False), nn.Tanh())

    def forward(self, image: Tensor) -> Tensor:
        half = self.block_a(image)
        deep = self.block_c(self.block_b(half))
        up = self.block_d(_resized(deep, half))
        drawn: Tensor = self.out_layer(self.block_e(_resized(up, image)))
        return drawn


class Inverted(nn.Module):
    """Twice as wide, a kernel a channel, narrow again; x is added where the width stays."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        wide = 2 * inputs
        self.joined = inputs == outputs
        self.layers = nn.Sequential(
            layer(inputs, wide, 1, padding=0),
            layer(wide, wide, groups=wide, bias=True),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.GroupNorm(1, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.joined else y


def layer(
    inputs: int,
    outputs: int,
    size: int = 3,
    *,
    stride: int = 1,
    padding: int | tuple[int, int, int, int] = 1,
    groups: int = 1,
    bias: bool = False,
) -> nn.Sequential:
    """Return reflection, convolution, norm over the whole picture, leaky ReLU."""
    return nn.Sequential(
        nn.ReflectionPad2d(padding),
        nn.Conv2d(inputs, outputs, size, stride, groups=groups, bias=bias),
        nn.GroupNorm(1, outputs),
        nn.LeakyReLU(0.2),
    )


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=True)


def _measure(state: State) -> Config:
    return {"width": int(state["block_a.0.1.weight"].shape[:1].numel())}


ANIMEGAN = Family(
    name="animegan",
    title="AnimeGANv2 of bryandlee/animegan2-pytorch",
    marks=("block_a.0.1.weight", "block_c.1.layers.0.1.weight", "out_layer.0.weight"),
    measure=_measure,
    allowed={"width": range(1, 257)},
    usual={"width": 32},
    build=AnimeGan,
    image=picture(-1.0, 1.0, least=LEAST_SIDE),
)
