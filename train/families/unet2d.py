"""The U-Net of denoising diffusion models, key-compatible with UNet2DModel of diffusers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.ports import Port
from stylepress.train.families.diffusion import Noise, consistent, ddim
from stylepress.train.weights.family import Config, Family, Graphs, NetworkGraph, State, picture

CONSISTENCY = "consistency"
"""What a network predicts that goes from any noise to the picture in one guess."""
TIME_WIDTHS = 4
"""The time embedding is so many times as wide as the first level."""
OLD_ATTENTION = {
    r"\.query\.(weight|bias)$": r".to_q.\1",
    r"\.key\.(weight|bias)$": r".to_k.\1",
    r"\.value\.(weight|bias)$": r".to_v.\1",
    r"\.proj_attn\.(weight|bias)$": r".to_out.0.\1",
}
"""What attention layers were called in the first files of diffusers."""


class UNet2D(nn.Module):
    """Map noisy pictures (N, 3, S, S) and a time step to what the network predicts of them.

    Ho et al. 2020 (arXiv 2006.11239) as diffusers builds it. ``channels`` of each level and the
    levels that attend (``1`` in ``attends_down`` and ``attends_up``) are texts, so that a config is
    plain values. ``forward`` of noise alone draws: (N, 3, S, S) to RGB in [-1, 1], by
    ``sampling`` steps of DDIM; with a ``time`` it predicts, as it is trained. ``inputs`` are the
    channels that ``predict`` takes: more than 3 where something stands beside the noisy picture.
    One that predicts ``consistency`` guesses the picture at each step, from (N, 3 * sampling, S, S).
    """

    def __init__(self, **config: Any) -> None:
        super().__init__()
        self.config = config
        widths = [int(width) for width in config["channels"].split(",")]
        self.first, time = widths[0], TIME_WIDTHS * widths[0]
        shape = _Shape(time, config["groups"], float(config["eps"]), config["head"])
        self.conv_in = nn.Conv2d(config.get("inputs", 3), widths[0], 3, padding=1)
        self.time_embedding = TimeEmbedding(widths[0], time)
        downs = zip(pairwise([widths[0], *widths]), config["attends_down"], strict=True)
        last = len(widths) - 1
        self.down_blocks = nn.ModuleList(
            Down(ends, shape, config, attends=mark == "1", halves=level < last)
            for level, (ends, mark) in enumerate(downs)
        )
        self.mid_block = Middle(widths[-1], shape, attends=bool(config["attends_mid"]))
        backward = widths[::-1]
        below = [backward[0], *backward]
        above = [*backward[1:], backward[-1]]
        ups = zip(below, backward, above, config["attends_up"], strict=False)
        self.up_blocks = nn.ModuleList(
            Up((came, goes, skipped), shape, config, attends=mark == "1", doubles=level < last)
            for level, (came, goes, skipped, mark) in enumerate(ups)
        )
        self.conv_norm_out = nn.GroupNorm(config["groups"], widths[0], shape.eps)
        self.conv_out = nn.Conv2d(widths[0], 3, 3, padding=1)
        self.noise = Noise(
            config["times"], config["schedule"], float(config["beta_0"]), float(config["beta_1"])
        )

    def forward(self, noise: Tensor, time: Tensor | None = None) -> Tensor:
        if time is not None:
            return self.predict(noise, time)
        config = self.config
        if config["predicts"] == CONSISTENCY:
            return consistent(self.predict, noise, self.noise, config["sampling"])
        return ddim(self.predict, noise, self.noise, config["sampling"], config["predicts"])

    def predict(self, x: Tensor, time: Tensor) -> Tensor:
        """Predict noise (or velocity, or the picture; of a consistency model velocity) at ``time``, (N,) float32 in 0..times - 1."""
        embedded = self.time_embedding(self._waves(time))
        x = self.conv_in(x)
        kept = [x]
        for down in self.down_blocks:
            x = down(x, embedded, kept)
        x = self.mid_block(x, embedded)
        for up in self.up_blocks:
            x = up(x, embedded, kept)
        drawn: Tensor = self.conv_out(F.silu(self.conv_norm_out(x)))
        return drawn

    def _waves(self, time: Tensor) -> Tensor:
        half = self.first // 2
        powers = torch.arange(half, dtype=torch.float32, device=time.device)
        rates = torch.exp(-math.log(10000) * powers / (half - self.config["freq_shift"]))
        angles = time[:, None] * rates
        waves = [angles.sin(), angles.cos()]
        return torch.cat(waves[::-1] if self.config["flip"] else waves, 1)


class _Shape:
    """What all blocks of a network have in common."""

    def __init__(self, time: int, groups: int, eps: float, head: int) -> None:
        self.time, self.groups, self.eps, self.head = time, groups, eps, head


class TimeEmbedding(nn.Module):
    """Two linear layers, SiLU between them."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(inputs, width), nn.Linear(width, width)

    def forward(self, waves: Tensor) -> Tensor:
        y: Tensor = self.linear_2(F.silu(self.linear_1(waves)))
        return y


class Resnet(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x))) + time)))."""

    def __init__(self, inputs: int, outputs: int, shape: _Shape) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(shape.groups, inputs, shape.eps)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time_emb_proj = nn.Linear(shape.time, outputs)
        self.norm2 = nn.GroupNorm(shape.groups, outputs, shape.eps)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x)))
        y = y + self.time_emb_proj(F.silu(time))[:, :, None, None]
        y = self.conv2(F.silu(self.norm2(y)))
        result: Tensor = y + (x if self.conv_shortcut is None else self.conv_shortcut(x))
        return result


class Attention(nn.Module):
    """x + attention of every position to every other, in heads of ``shape.head`` channels."""

    def __init__(self, channels: int, shape: _Shape) -> None:
        super().__init__()
        self.heads = max(1, channels // shape.head) if shape.head else 1
        self.group_norm = nn.GroupNorm(shape.groups, channels, shape.eps)
        self.to_q, self.to_k = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        _, channels, height, width = x.shape
        rows = self.group_norm(x).flatten(2).transpose(1, 2)
        q, k, v = (
            layer(rows).unflatten(2, (self.heads, channels // self.heads)).transpose(1, 2)
            for layer in (self.to_q, self.to_k, self.to_v)
        )
        shares = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(channels // self.heads), -1)
        mixed = self.to_out[0]((shares @ v).transpose(1, 2).flatten(2))
        y: Tensor = x + mixed.transpose(1, 2).unflatten(2, (height, width))
        return y


class Halving(nn.Module):
    """Strided convolution to half the size; ``padding`` 0 adds a row and a column at the end."""

    def __init__(self, channels: int, padding: int) -> None:
        super().__init__()
        self.padding = padding
        self.conv = nn.Conv2d(channels, channels, 3, 2, padding)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x if self.padding else F.pad(x, (0, 1, 0, 1)))
        return y


class Doubling(nn.Module):
    """Nearest upsampling, convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return y


class Down(nn.Module):
    """A level on the way down; what it makes is kept for the way up."""

    def __init__(
        self,
        ends: tuple[int, int],
        shape: _Shape,
        config: Mapping[str, Any],
        *,
        attends: bool,
        halves: bool,
    ) -> None:
        super().__init__()
        inputs, outputs = ends
        each = [inputs] + [outputs] * (config["layers"] - 1)
        self.resnets = nn.ModuleList(Resnet(width, outputs, shape) for width in each)
        if attends:
            self.attentions = nn.ModuleList(Attention(outputs, shape) for _ in each)
        if halves:
            self.downsamplers = nn.ModuleList([Halving(outputs, config["padding"])])
        self.attends, self.halves = attends, halves

    def forward(self, x: Tensor, time: Tensor, kept: list[Tensor]) -> Tensor:
        for number, resnet in enumerate(self.resnets):
            x = resnet(x, time)
            x = self.attentions[number](x) if self.attends else x
            kept.append(x)
        if self.halves:
            x = self.downsamplers[0](x)
            kept.append(x)
        return x


class Middle(nn.Module):
    """Two residual blocks, attention between them."""

    def __init__(self, width: int, shape: _Shape, *, attends: bool) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(Resnet(width, width, shape) for _ in range(2))
        self.attends = attends
        if attends:
            self.attentions = nn.ModuleList([Attention(width, shape)])

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        x = self.resnets[0](x, time)
        x = self.attentions[0](x) if self.attends else x
        y: Tensor = self.resnets[1](x, time)
        return y


class Up(nn.Module):
    """A level on the way up: takes back what was kept, last first."""

    def __init__(
        self,
        ends: tuple[int, int, int],
        shape: _Shape,
        config: Mapping[str, Any],
        *,
        attends: bool,
        doubles: bool,
    ) -> None:
        super().__init__()
        came, width, skipped = ends
        layers = config["layers"] + 1
        inputs = [came, *[width] * (layers - 1)]
        beside = [*[width] * (layers - 1), skipped]
        self.resnets = nn.ModuleList(
            Resnet(one + other, width, shape) for one, other in zip(inputs, beside, strict=True)
        )
        if attends:
            self.attentions = nn.ModuleList(Attention(width, shape) for _ in inputs)
        if doubles:
            self.upsamplers = nn.ModuleList([Doubling(width)])
        self.attends, self.doubles = attends, doubles

    def forward(self, x: Tensor, time: Tensor, kept: list[Tensor]) -> Tensor:
        for number, resnet in enumerate(self.resnets):
            x = resnet(torch.cat([x, kept.pop()], 1), time)
            x = self.attentions[number](x) if self.attends else x
        y: Tensor = self.upsamplers[0](x) if self.doubles else x
        return y


def _measure(_state: State) -> Config:
    return {}  # what counts stands in the files beside the weights


def _graphs(config: Mapping[str, Any]) -> Graphs:
    meaning = "independent normal numbers, mean 0 and deviation 1"
    side = config["size"]
    draws = config["sampling"] if config["predicts"] == CONSISTENCY else 1
    noise = Port(
        name="noise", shape=("batch", 3 * draws, side, side), dtype="float32", meaning=meaning
    )
    return {"sample": NetworkGraph("sampler", inputs=(noise,))}


USUAL: Mapping[str, Any] = {
    "channels": "128,256,256,256",
    "attends_down": "0100",
    "attends_up": "0010",
    "attends_mid": 1,
    "layers": 2,
    "size": 32,
    "head": 0,
    "groups": 32,
    "eps": "1e-06",
    "flip": 0,
    "freq_shift": 1,
    "padding": 0,
    "predicts": "epsilon",
    "times": 1000,
    "schedule": "linear",
    "beta_0": "0.0001",
    "beta_1": "0.02",
    "sampling": 10,
}
NUMBER = re.compile(r"\d{1,3}(\.\d{1,12})?(e-\d{1,2})?")
UNET2D = Family(
    name="unet2d",
    title="the U-Net of a DDPM folder of diffusers (UNet2DModel)",
    marks=(
        "conv_in.weight",
        "time_embedding.linear_1.weight",
        "down_blocks.0.resnets.0.time_emb_proj.weight",
    ),
    measure=_measure,
    allowed={
        "channels": re.compile(r"\d{1,4}(,\d{1,4}){0,7}"),
        "attends_down": re.compile(r"[01]{1,8}"),
        "attends_up": re.compile(r"[01]{1,8}"),
        "attends_mid": (0, 1),
        "layers": range(1, 9),
        "size": range(4, 1025),
        "head": range(1025),
        "groups": range(1, 257),
        "eps": NUMBER,
        "flip": (0, 1),
        "freq_shift": (0, 1),
        "padding": (0, 1),
        "predicts": ("epsilon", "v_prediction", "sample", CONSISTENCY),
        "times": range(2, 10_001),
        "schedule": ("linear", "scaled_linear", "squaredcos_cap_v2"),
        "beta_0": NUMBER,
        "beta_1": NUMBER,
        "sampling": range(1, 101),
    },
    usual=USUAL,
    build=UNet2D,
    image=picture(-1.0, 1.0),
    renamed=OLD_ATTENTION,
    needs="Name its folder: sizes, time steps and padding stand in the `config.json` there.",
    graphs=_graphs,
)
