"""Noise of a diffusion model: its schedule, how pictures are made noisy, and DDIM back to them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

COSINE_OFFSET = 0.008
LARGEST_BETA = 0.999


class Noise:
    """How much of a picture is left at each of ``times`` steps: ``left``, (times,) float32.

    ``shares`` are the same as numbers. ``left`` is the product of all 1 - beta so far (alpha bar of Ho et al. 2020). ``schedule`` is
    ``linear`` in beta, ``scaled_linear`` in its root, or ``squaredcos_cap_v2`` (Nichol and
    Dhariwal 2021, arXiv 2102.09672, equation 17).
    """

    def __init__(self, times: int, schedule: str, beta_0: float, beta_1: float) -> None:
        self.times = times
        if schedule == "linear":
            betas = torch.linspace(beta_0, beta_1, times, dtype=torch.float64)
        elif schedule == "scaled_linear":
            betas = torch.linspace(beta_0**0.5, beta_1**0.5, times, dtype=torch.float64).square()
        else:
            ends = torch.arange(times + 1, dtype=torch.float64) / times
            cosines = torch.cos((ends + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2)
            betas = (1 - cosines[1:].square() / cosines[:-1].square()).clamp(max=LARGEST_BETA)
        self.left = (1 - betas).cumprod(0).float()
        self.shares: list[float] = [] if self.left.is_meta else self.left.tolist()

    def added(self, pictures: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """Return pictures (N, C, H, W) with noise of the steps ``times``, (N,) int64."""
        left = self.left.to(pictures.device)[times].view(-1, 1, 1, 1)
        return left.sqrt() * pictures + (1 - left).sqrt() * noise

    def velocity(self, pictures: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """Return what a v-predicting network aims at (Salimans and Ho 2022, arXiv 2202.00512)."""
        left = self.left.to(pictures.device)[times].view(-1, 1, 1, 1)
        return left.sqrt() * noise - (1 - left).sqrt() * pictures


def ddim(
    predict: Callable[[Tensor, Tensor], Tensor],
    noise: Tensor,
    schedule: Noise,
    steps: int,
    predicts: str,
) -> Tensor:
    """Draw pictures from normal noise by ``steps`` steps without randomness, clipped to [-1, 1].

    Song et al. 2021 (arXiv 2010.02502), equation 12 with sigma 0; the steps are spread so that
    the last of all times is among them.
    """
    x, stride = noise, schedule.times / steps
    chosen = [round(schedule.times - number * stride) - 1 for number in range(steps)]
    for number, time in enumerate(chosen):
        left = schedule.shares[time]
        later = schedule.shares[chosen[number + 1]] if number + 1 < steps else 1.0
        at = torch.full((x.shape[0],), float(time), device=x.device)
        clean, around = _parted(x, predict(x, at), left, predicts)
        x = math.sqrt(later) * clean + math.sqrt(1 - later) * around
    return x


def _parted(x: Tensor, predicted: Tensor, left: float, predicts: str) -> tuple[Tensor, Tensor]:
    """Tell picture, clipped, and noise of ``x`` apart."""
    signal, noise = math.sqrt(left), math.sqrt(1 - left)
    if predicts == "epsilon":
        clean, around = (x - noise * predicted) / signal, predicted
    elif predicts == "v_prediction":
        clean, around = signal * x - noise * predicted, signal * predicted + noise * x
    else:
        clean, around = predicted, (x - signal * predicted) / noise
    return clean.clamp(-1, 1), around
