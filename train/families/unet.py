"""The U-Net generator of pix2pix."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stylepress.train.families.norms import (
    NORMS,
    STATISTICS,
    batch_norm_remark,
    norm_of,
    without_idle_statistics,
)
from stylepress.train.families.padding import to_multiple
from stylepress.train.weights.family import Config, Family, State, picture

WIDEST = 8
"""No level has more than so many times the channels of the first."""


class UnetGenerator(nn.Module):
    """Map (N, 3, H, W) float32 RGB in [-1, 1] to the same, H and W rounded up to 2^downs.

    Isola et al. 2017 (arXiv 1611.07004): ``downs`` strided 4x4 convolutions, as many transposed
    ones, each level joined to its mirror image. Keys are those of the public checkpoints: each
    level lies inside the one before it. Dropout has no weights and is off.
    """

    def __init__(
        self, width: int = 64, downs: int = 8, norm: str = "batch", statistics: str = "picture"
    ) -> None:
        super().__init__()
        self.multiple = 2**downs
        widths = [min(2**level, WIDEST) * width for level in range(downs)]
        inner: nn.Module | None = None
        for level in reversed(range(1, downs)):
            inner = Level(widths[level - 1], widths[level], inner, norm, statistics)
        self.model = Outermost(width, inner or nn.Identity(), biased=norm == "instance")

    def forward(self, image: Tensor) -> Tensor:
        drawn: Tensor = self.model(to_multiple(image, self.multiple))
        return drawn


class Outermost(nn.Module):
    """The level that takes the picture: no norm, tanh at its end."""

    def __init__(self, width: int, inner: nn.Module, *, biased: bool) -> None:
        super().__init__()
        down = nn.Conv2d(3, width, 4, 2, 1, bias=biased)
        up = nn.ConvTranspose2d(2 * width, 3, 4, 2, 1)
        self.model = nn.Sequential(down, inner, nn.ReLU(), up, nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.model(x)
        return y


class Level(nn.Module):
    """A level inside: x beside what the levels below it make of x, (N, 2 * outer, H, W)."""

    def __init__(
        self, outer: int, width: int, inner: nn.Module | None, norm: str, statistics: str
    ) -> None:
        super().__init__()
        made, biased = norm_of(norm, statistics), norm == "instance"
        layers: list[nn.Module] = [nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(outer, width, 4, 2, 1, bias=biased)]
        layers += [made(width), inner] if inner is not None else []
        wide = 2 * width if inner is not None else width
        layers += [nn.ReLU(), nn.ConvTranspose2d(wide, outer, 4, 2, 1, bias=biased), made(outer)]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        # The published layers change x in place before it is joined. The ReLU behind the joint
        # takes out that difference.
        return torch.cat([x, self.model(x)], 1)


def _depth(state: State) -> int:
    """Count the strided convolutions along the nested keys."""
    downs, place = 1, "model.model.1."
    while f"{place}model.1.weight" in state and downs < 16:
        downs, place = downs + 1, f"{place}model.3."
    return downs


def _norm(state: State) -> str:
    return "instance" if "model.model.0.bias" in state else "batch"


def _measure(state: State) -> Config:
    return {
        "width": int(state["model.model.0.weight"].shape[:1].numel()),
        "downs": _depth(state),
        "norm": _norm(state),
        "statistics": "picture",
    }


UNET = Family(
    name="unet",
    title="the U-Net generator of pix2pix",
    marks=("model.model.0.weight", "model.model.1.model.1.weight", "model.model.3.weight"),
    measure=_measure,
    allowed={
        "width": range(1, 1025),
        "downs": range(2, 12),
        "norm": NORMS,
        "statistics": STATISTICS,
    },
    usual={"width": 64, "downs": 8, "norm": "batch", "statistics": "picture"},
    build=UnetGenerator,
    image=picture(-1.0, 1.0),
    tidied=lambda state: without_idle_statistics(state, _norm(state)),
    remark=batch_norm_remark,
)
