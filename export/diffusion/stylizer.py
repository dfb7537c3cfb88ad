"""A pipeline as one network from pictures to pictures: code, add noise, draw, decode."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from stylepress.export.diffusion.folder import Pipeline
from stylepress.export.frame_graph import FRAME_SHAPE, LEVELS
from stylepress.ports import Port

CONTROL, HINT = "control", "hint"
SMALL = 1 << 14
"""Weights of fewer numbers stay float32: nothing is saved on them, and the exporter folds them."""


class Stylizer(nn.Module):
    """Redraw (N, 3, H, W) float32 in [-1, 1] by a prompt, at ``size``, and scale it back to H x W.

    ``network`` of a frame graph. The picture's latent is made noisy up to ``amount`` of the
    schedule and drawn in ``sampling`` steps without randomness (Song et al. 2021, arXiv
    2010.02502, equation 12 with sigma 0), or, for consistency models, made noisy again between
    steps (Luo et al. 2023, arXiv 2310.04378). The noise is the same for every picture, so that
    frames of a video do not flicker by it. ``more`` are control pictures, (N, h, w, 3) uint8, and
    their strengths, (N,), in the order of ``ports``. With ``guidance`` g above 1 the network is
    asked twice in one batch, and goes from the answer to ``parts.away`` g times as far as to that
    to the prompt (Ho and Salimans 2022, arXiv 2207.12598, in the form of diffusers).
    """

    noise: Tensor
    prompt: Tensor
    away: Tensor
    clock: Tensor

    def __init__(
        self,
        parts: Pipeline,
        size: tuple[int, int],
        *,
        sampling: int,
        amount: float,
        seed: int,
        guidance: float = 1.0,
        controlnet: nn.Module | None = None,
        adapter: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.unet: Any = parts.unet
        self.vae: Any = parts.vae
        self.controlnet, self.adapter = controlnet, adapter
        self.size, self.scaling, self.predicts = size, parts.scaling, parts.predicts
        self.consistency, self.guidance = parts.consistency, guidance
        first = max(1, round(amount * parts.noise.times))
        self.times = [round(first * (1 - number / sampling)) - 1 for number in range(sampling)]
        self.shares = [parts.noise.shares[time] for time in self.times]
        draw = torch.Generator().manual_seed(seed)
        latents = (1, parts.latent, size[0] // parts.shrink, size[1] // parts.shrink)
        self.register_buffer("noise", torch.randn(latents, generator=draw))
        self.register_buffer("prompt", parts.embedding.clone())
        away = parts.embedding if parts.away is None else parts.away
        self.register_buffer("away", away.clone())
        self.register_buffer("clock", torch.tensor(self.times, dtype=torch.float32))

    @property
    def ports(self) -> tuple[Port, ...]:
        """What the graph takes besides the frame and its strength."""
        parts = {CONTROL: self.controlnet, HINT: self.adapter}
        return tuple(
            port for name, part in parts.items() if part is not None for port in _control(name)
        )

    def forward(self, image: Tensor, *more: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        start = self._encoded(self._sized(image))
        # shape[0], not len(): the latter would fix the batch when the graph is traced.
        noise, prompt = self.noise.expand_as(start), self.prompt.expand(image.shape[0], -1, -1)
        control = more[:2] if self.controlnet is not None else ()
        hints = self._hints(*more[-2:]) if self.adapter is not None else None
        x = _mixed(start, noise, self.shares[0])
        clean = x
        for number, share in enumerate(self.shares):
            time = self.clock[number : number + 1]
            predicted = self._guided(x, time, prompt, control, hints)
            clean, around = _parted(x, predicted, share, self.predicts)
            if number + 1 < len(self.shares):
                x = _mixed(clean, noise if self.consistency else around, self.shares[number + 1])
        drawn: Tensor = self.vae.decode(clean / self.scaling).sample
        return F.interpolate(drawn, (height, width), mode="bilinear", align_corners=False)

    def _encoded(self, image: Tensor) -> Tensor:
        coded = self.vae.encode(image)
        # The mode, not a sample: equal frames have equal latents.
        latent: Tensor = (
            coded.latent_dist.mode() if hasattr(coded, "latent_dist") else coded.latents
        )
        return latent * self.scaling

    def _guided(
        self,
        x: Tensor,
        time: Tensor,
        prompt: Tensor,
        control: tuple[Tensor, ...],
        hints: list[Tensor] | None,
    ) -> Tensor:
        if self.guidance == 1:
            return self._predicted(x, time, prompt, control, hints)
        away = self.away.expand(x.shape[0], -1, -1)
        control = tuple(torch.cat([one, one]) for one in control)
        hints = hints and [torch.cat([one, one]) for one in hints]
        both = torch.cat([x, x]), time, torch.cat([away, prompt]), control, hints
        answers = self._predicted(*both)
        # Slices, because the exporter cannot split what it does not know the length of.
        repelled, attracted = answers[: x.shape[0]], answers[x.shape[0] :]
        return repelled + self.guidance * (attracted - repelled)

    def _predicted(
        self,
        x: Tensor,
        time: Tensor,
        prompt: Tensor,
        control: tuple[Tensor, ...],
        hints: list[Tensor] | None,
    ) -> Tensor:
        extra: dict[str, Any] = {}
        if self.controlnet is not None:
            picture, strength = control
            down, middle = self.controlnet(
                x, time, prompt, controlnet_cond=self._levels(picture), return_dict=False
            )
            share = strength[:, None, None, None]
            extra["down_block_additional_residuals"] = tuple(one * share for one in down)
            extra["mid_block_additional_residual"] = middle * share
        if hints is not None:
            # A list of its own: the UNet empties what it is handed.
            extra["down_intrablock_additional_residuals"] = list(hints)
        predicted: Tensor = self.unet(x, time, prompt, return_dict=False, **extra)[0]
        return predicted

    def _hints(self, picture: Tensor, strength: Tensor) -> list[Tensor]:
        if self.adapter is None:
            return []
        levels, own = self._levels(picture), self.adapter
        grey = getattr(own.config, "in_channels", 3) == 1
        maps = own(levels.mean(1, keepdim=True) if grey else levels)
        return [one * strength[:, None, None, None] for one in maps]

    def _levels(self, picture: Tensor) -> Tensor:
        """Bring (N, H, W, 3) uint8 to (N, 3, height, width) in [0, 1]."""
        return self._sized(picture.float().permute(0, 3, 1, 2) / LEVELS)

    def _sized(self, image: Tensor) -> Tensor:
        return F.interpolate(image, self.size, mode="bilinear", align_corners=False)


def _control(name: str) -> tuple[Port, Port]:
    meaning = "the picture that says what is where, RGB; black says nothing"
    picture = Port(
        name=name, shape=FRAME_SHAPE, dtype="uint8", low=0, high=LEVELS, default=0, meaning=meaning
    )
    strength = Port(
        name=f"{name}_strength",
        shape=("batch",),
        dtype="float32",
        low=0,
        high=2,
        default=1.0,
        meaning=f"how much `{name}` counts",
    )
    return picture, strength


def _mixed(clean: Tensor, noise: Tensor, share: float) -> Tensor:
    return math.sqrt(share) * clean + math.sqrt(1 - share) * noise


def _parted(x: Tensor, predicted: Tensor, share: float, predicts: str) -> tuple[Tensor, Tensor]:
    """Tell the picture and the noise of ``x`` apart; latents are not clipped."""
    signal, noise = math.sqrt(share), math.sqrt(1 - share)
    if predicts == "epsilon":
        return (x - noise * predicted) / signal, predicted
    if predicts == "v_prediction":
        return signal * x - noise * predicted, signal * predicted + noise * x
    return predicted, (x - signal * predicted) / noise


class _Widened(nn.Module):
    """float16 at rest, float32 where it is used."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight.float()


def halve(network: nn.Module) -> None:
    """Keep the large weights of a network as float16, in place; it computes in float32 as before."""
    for layer in list(network.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight.numel() >= SMALL:
            layer.weight.data = layer.weight.data.half()
            parametrize.register_parametrization(layer, "weight", _Widened(), unsafe=True)
