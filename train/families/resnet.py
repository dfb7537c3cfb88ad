"""The ResNet generator of CycleGAN and pix2pix, and its antialiased form of CUT."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.train.families.norms import (
    NORMS,
    STATISTICS,
    batch_norm_remark,
    norm_of,
    without_idle_statistics,
)
from stylepress.train.families.padding import to_multiple
from stylepress.train.weights.family import Config, Family, State, picture

MULTIPLE = 4
LEAST_SIDE = 8
"""A quarter of it must be more than the pixel that reflection mirrors."""
BEFORE_BLOCKS = {False: 10, True: 12}
"""The index of the first residual block, without and with blurring layers."""


class ResnetGenerator(nn.Module):
    """Map (N, 3, H, W) float32 RGB in [-1, 1] to the same range, H and W rounded up to fours.

    Zhu et al. 2017 (arXiv 1703.10593): 7x7, two strided convolutions, ``blocks`` residual blocks,
    two transposed ones, 7x7, tanh. ``antialias`` blurs before it drops pixels and interpolates
    instead of transposing (CUT, Park et al. 2020, after Zhang 2019). ``dropout`` only moves keys:
    a picture is drawn without. Keys are those of the public checkpoints, ``model.N``.
    """

    def __init__(
        self,
        width: int = 64,
        blocks: int = 9,
        norm: str = "instance",
        statistics: str = "picture",
        dropout: bool = False,
        antialias: bool = False,
    ) -> None:
        super().__init__()
        made, biased = norm_of(norm, statistics), norm == "instance"
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7, bias=biased)]
        layers += [made(width), nn.ReLU()]
        for inputs in (width, 2 * width):
            stride = 1 if antialias else 2
            layers += [nn.Conv2d(inputs, 2 * inputs, 3, stride, 1, bias=biased)]
            layers += [made(2 * inputs), nn.ReLU()]
            layers += [BlurDown(2 * inputs)] if antialias else []
        layers += [Residual(4 * width, made, biased, dropout) for _ in range(blocks)]
        for inputs in (4 * width, 2 * width):
            if antialias:
                layers += [BlurUp(inputs), nn.Conv2d(inputs, inputs // 2, 3, 1, 1, bias=biased)]
            else:
                layers += [nn.ConvTranspose2d(inputs, inputs // 2, 3, 2, 1, 1, bias=biased)]
            layers += [made(inputs // 2), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        drawn: Tensor = self.model(to_multiple(image, MULTIPLE))
        return drawn


class Residual(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), reflection before each convolution."""

    def __init__(
        self, channels: int, norm: type[nn.Module] | object, biased: bool, dropout: bool
    ) -> None:
        super().__init__()
        assert callable(norm)
        layers: list[nn.Module] = [nn.ReflectionPad2d(1)]
        layers += [nn.Conv2d(channels, channels, 3, bias=biased), norm(channels), nn.ReLU()]
        layers += [nn.Dropout(0.5)] if dropout else []
        layers += [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=biased)]
        self.conv_block = nn.Sequential(*layers, norm(channels))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv_block(x)
        return x + y


class BlurDown(nn.Module):
    """Blur by the binomial kernel (1, 2, 1) and keep every second pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.filt: Tensor
        self.register_buffer("filt", binomial((1.0, 2.0, 1.0), channels))

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(padded, self.filt, stride=2, groups=len(self.filt))


class BlurUp(nn.Module):
    """Interpolate to the double size by the binomial kernel (1, 3, 3, 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.filt: Tensor
        self.register_buffer("filt", 4 * binomial((1.0, 3.0, 3.0, 1.0), channels))

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        # What repetition added comes out as two pixels a side, and one more at the end.
        y = F.conv_transpose2d(padded, self.filt, stride=2, padding=2, groups=len(self.filt))
        return y[:, :, 1:-1, 1:-1]


def binomial(taps: tuple[float, ...], channels: int) -> Tensor:
    """Return the separable kernel of ``taps`` with sum 1, once for each channel: (C, 1, k, k)."""
    row = torch.tensor(taps)
    kernel = row[:, None] * row
    return (kernel / kernel.sum()).repeat(channels, 1, 1, 1)


def _measure(state: State) -> Config:
    antialias = "model.7.filt" in state
    first = BEFORE_BLOCKS[antialias]
    # Dropout moves the second convolution by one; without it a BatchNorm's gains stand there.
    second = state.get(f"model.{first}.conv_block.6.weight")
    dropout = second is not None and second.ndim == 4
    blocks = 0
    while f"model.{first + blocks}.conv_block.1.weight" in state:
        blocks += 1
    return {
        "width": int(state["model.1.weight"].shape[:1].numel()),
        "blocks": blocks,
        "norm": _norm(state),
        "statistics": "picture",
        "dropout": int(dropout),
        "antialias": int(antialias),
    }


def _norm(state: State) -> str:
    return "batch" if "model.2.weight" in state else "instance"


def _tidied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return without_idle_statistics(state, _norm(state))


def _build(**config: int | str) -> ResnetGenerator:
    return ResnetGenerator(
        width=int(config["width"]),
        blocks=int(config["blocks"]),
        norm=str(config["norm"]),
        statistics=str(config["statistics"]),
        dropout=bool(config["dropout"]),
        antialias=bool(config["antialias"]),
    )


def _family(name: str, title: str, marks: tuple[str, ...], *, antialias: int) -> Family:
    return Family(
        name=name,
        title=title,
        marks=marks,
        measure=_measure,
        allowed={
            "width": range(1, 1025),
            "blocks": range(65),
            "norm": NORMS,
            "statistics": STATISTICS,
            "dropout": (0, 1),
            "antialias": (antialias,),
        },
        usual={
            "width": 64,
            "blocks": 9,
            "norm": "instance",
            "statistics": "picture",
            "dropout": 0,
            "antialias": antialias,
        },
        build=_build,
        image=picture(-1.0, 1.0, least=LEAST_SIDE),
        junk=re.compile(r"(^|\.)(n_averaged|num_batches_tracked)$"),
        tidied=_tidied,
        remark=batch_norm_remark,
    )


RESNET = _family(
    "resnet",
    "the ResNet generator of CycleGAN and pix2pix",
    ("model.1.weight", "model.4.weight", "model.10.conv_block.1.weight"),
    antialias=0,
)
CUT = _family(
    "cut",
    "the antialiased ResNet generator of CUT",
    ("model.1.weight", "model.7.filt", "model.12.conv_block.1.weight"),
    antialias=1,
)
