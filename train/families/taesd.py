"""The tiny autoencoder of Stable Diffusion (TAESD) as diffusers and its author lay it out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stylepress.ports import Port
from stylepress.train.families.padding import to_multiple
from stylepress.train.weights.family import Config, Family, Graphs, NetworkGraph, State, picture

MULTIPLE = 8
BLOCKS = 3
"""Residual blocks at each size but the largest, which has one."""


class TinyAutoencoder(nn.Module):
    """Map (N, 3, H, W) float32 RGB in [-1, 1] to what is left of it after coding, H and W in eights.

    ``encode`` gives the latent (N, latent, H/8, W/8), ``decode`` takes it. Keys are those of
    ``AutoencoderTiny`` in diffusers.
    """

    def __init__(self, width: int = 64, latent: int = 4) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(width, latent), Decoder(width, latent)

    def forward(self, image: Tensor) -> Tensor:
        return self.decode(self.encode(image))

    def encode(self, image: Tensor) -> Tensor:
        """Map pictures to latents."""
        latent: Tensor = self.encoder.layers(to_multiple(image, MULTIPLE) / 2 + 0.5)
        return latent

    def decode(self, latent: Tensor) -> Tensor:
        """Map latents to pictures eight times as large, not clamped."""
        drawn: Tensor = self.decoder.layers(3 * torch.tanh(latent / 3))
        return 2 * drawn - 1


class Encoder(nn.Module):
    """Three times half the size, residual blocks at each."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), Block(width)]
        for _ in range(3):
            layers += [nn.Conv2d(width, width, 3, 2, 1, bias=False)]
            layers += [Block(width) for _ in range(BLOCKS)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, latent, 3, padding=1))


class Decoder(nn.Module):
    """Three times the double size, residual blocks at each."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(latent, width, 3, padding=1), nn.ReLU()]
        for _ in range(3):
            layers += [Block(width) for _ in range(BLOCKS)]
            layers += [nn.Upsample(scale_factor=2.0)]
            layers += [nn.Conv2d(width, width, 3, padding=1, bias=False)]
        self.layers = nn.Sequential(*layers, Block(width), nn.Conv2d(width, 3, 3, padding=1))


class Block(nn.Module):
    """relu(x + three convolutions of x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.conv(x))


def own_decoder(state: State) -> dict[str, Tensor]:
    """Bring the keys of the author's decoder to those of diffusers, which has no clamp at 0.

    >>> list(own_decoder({"3.conv.0.weight": torch.zeros(1)}))
    ['decoder.layers.2.conv.0.weight']
    """
    keys = {}
    for key, tensor in state.items():
        number, _, rest = key.partition(".")
        keys[f"decoder.layers.{int(number) - 1}.{rest}"] = tensor
    return keys


def own_encoder(state: State) -> dict[str, Tensor]:
    """Bring the keys of the author's encoder to those of diffusers."""
    return {f"encoder.layers.{key}": tensor for key, tensor in state.items()}


def _measure(state: State) -> Config:
    first = state["decoder.layers.0.weight"]
    latent = int(first.shape[1]) if first.ndim == 4 else 0
    return {"width": int(first.shape[:1].numel()), "latent": latent}


def _graphs(config: Mapping[str, Any]) -> Graphs:
    latent = Port(
        name="latent",
        shape=("batch", config["latent"], "rows", "columns"),
        dtype="float32",
        meaning="the picture's code, an eighth of its size",
    )
    return {
        "frame": NetworkGraph("frame"),
        "encode": NetworkGraph("encoder", "encode", outputs=(latent,)),
        "decode": NetworkGraph("sampler", "decode", inputs=(latent,)),
    }


TAESD = Family(
    name="taesd",
    title="the tiny autoencoder of Stable Diffusion (AutoencoderTiny, TAESD)",
    marks=("encoder.layers.0.weight", "decoder.layers.0.weight", "decoder.layers.18.weight"),
    measure=_measure,
    allowed={"width": range(1, 513), "latent": range(1, 65)},
    usual={"width": 64, "latent": 4},
    build=TinyAutoencoder,
    image=picture(-1.0, 1.0),
    junk=re.compile(r"(^|\.)(n_averaged|num_batches_tracked|vae_(scale|shift))$"),
    graphs=_graphs,
)
