"""AdaIN: any picture as style, in the layout of naoto0804/pytorch-AdaIN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stylepress.ports import Port
from stylepress.train.weights.family import Config, Family, Graphs, NetworkGraph, State, picture

LEAST_SIDE = 16
EPS = 1e-5
STAGES = (4, 11, 18, 31)
"""Behind so many modules of the encoder come relu1_1, relu2_1, relu3_1 and relu4_1."""


class AdaIn(nn.Module):
    """Map (N, 3, H, W) float32 RGB in [0, 1] and a style (N, 16 * width) to the same range.

    Huang and Belongie 2017 (arXiv 1703.06868): features of VGG-19 at relu4_1 get, channel by
    channel, mean and deviation of those of the style picture, and a decoder draws from them.
    Reflection everywhere; H and W come out up to 7 pixels larger. ``width`` 64 is VGG's, and
    that of the published ``decoder``; a narrower one is quicker.
    """

    def __init__(self, width: int = 64, decoder: int = 64) -> None:
        super().__init__()
        self.width, self.decoder_width = width, decoder
        self.encoder, self.decoder = encoder_of(width), decoder_of(8 * width, decoder)

    def forward(self, image: Tensor, style: Tensor) -> Tensor:
        drawn: Tensor = self.decoder(restyled(self.encoder(image), style))
        return drawn

    def encode_style(self, image: Tensor) -> Tensor:
        """Map style pictures (N, 3, H, W) in [0, 1] to (N, 2C): means, then deviations."""
        return statistics(self.encoder(image))

    def stages(self, image: Tensor) -> list[Tensor]:
        """Return the features at relu1_1, relu2_1, relu3_1 and relu4_1."""
        taken, x = [], image
        for number, layer in enumerate(self.encoder, 1):
            x = layer(x)
            if number in STAGES:
                taken.append(x)
        return taken


def statistics(features: Tensor) -> Tensor:
    """Return mean and deviation of each channel of (N, C, H, W): (N, 2C)."""
    mean = features.mean((2, 3))
    apart = features - mean[:, :, None, None]
    count = features.shape[2] * features.shape[3]
    variance = apart.square().sum((2, 3)) / (count - 1)
    return torch.cat([mean, (variance + EPS).sqrt()], 1)


def restyled(features: Tensor, style: Tensor) -> Tensor:
    """Give (N, C, H, W) the means and deviations of ``style``, (N, 2C)."""
    mean, deviation = statistics(features)[:, :, None, None].chunk(2, 1)
    style_mean, style_deviation = style[:, :, None, None].chunk(2, 1)
    return (features - mean) / deviation * style_deviation + style_mean


def encoder_of(width: int) -> nn.Sequential:
    """Return VGG-19 to relu4_1; its first layer mixes RGB in [0, 1] to what VGG takes."""
    layers: list[nn.Module] = [nn.Conv2d(3, 3, 1)]
    inputs = 3
    for block, (outputs, count) in enumerate(
        [(width, 2), (2 * width, 2), (4 * width, 4), (8 * width, 1)]
    ):
        layers += [nn.MaxPool2d(2, ceil_mode=True)] if block else []
        for _ in range(count):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(inputs, outputs, 3), nn.ReLU()]
            inputs = outputs
    return nn.Sequential(*layers)


def decoder_of(features: int, width: int) -> nn.Sequential:
    """Return the mirror image of an encoder, ``width`` at its end, nearest upsampling for pools."""
    layers: list[nn.Module] = []

    def convolution(inputs: int, outputs: int) -> None:
        layers.extend([nn.ReflectionPad2d(1), nn.Conv2d(inputs, outputs, 3), nn.ReLU()])

    def double() -> None:
        layers.append(nn.Upsample(scale_factor=2.0))

    convolution(features, 4 * width)
    double()
    for _ in range(3):
        convolution(4 * width, 4 * width)
    convolution(4 * width, 2 * width)
    double()
    convolution(2 * width, 2 * width)
    convolution(2 * width, width)
    double()
    convolution(width, width)
    convolution(width, 3)
    return nn.Sequential(*layers[:-1])


def style_port(width: int) -> Port:
    """Return the port of a style: what ``encode_style`` gives, and the frame graph takes."""
    return Port(
        name="style",
        shape=("batch", 16 * width),
        dtype="float32",
        meaning="a style picture as means and deviations of its features, from `encode_style`",
    )


def _measure(state: State) -> Config:
    width = int(state["encoder.2.weight"].shape[:1].numel())
    return {"width": width, "decoder": int(state["decoder.28.weight"].shape[1:2].numel())}


def _graphs(config: Mapping[str, Any]) -> Graphs:
    style = style_port(config["width"])
    return {
        "frame": NetworkGraph("frame", inputs=(style,)),
        "encode_style": NetworkGraph("encoder", "encode_style", outputs=(style,)),
    }


def _used(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Leave out what the published encoder has behind relu4_1."""
    deepest = STAGES[-1]
    return {
        key: tensor
        for key, tensor in state.items()
        if not (key.startswith("encoder.") and _number(key) >= deepest)
    }


def _number(key: str) -> int:
    part = key.split(".")[1]
    return int(part) if part.isdigit() else 0


ADAIN = Family(
    name="adain",
    title="AdaIN of naoto0804/pytorch-AdaIN (encoder and decoder)",
    marks=("encoder.0.weight", "encoder.2.weight", "encoder.29.weight", "decoder.28.weight"),
    measure=_measure,
    allowed={"width": range(1, 129), "decoder": range(1, 129)},
    usual={"width": 64, "decoder": 64},
    build=AdaIn,
    image=picture(0.0, 1.0, least=LEAST_SIDE),
    tidied=_used,
    graphs=_graphs,
)
