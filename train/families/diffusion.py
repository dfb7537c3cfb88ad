"""Noise of a diffusion model: its schedule, how pictures are made noisy, and DDIM back to them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Predict = Callable[[Tensor, Tensor], Tensor]
"""From noisy pictures (N, C, H, W) and their times (N,) float32 to what a network predicts."""

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


@dataclass(frozen=True)
class Ladder:
    """The times at which a sampler of some steps asks its network, and what is left at each.

    ``times`` are (steps,) int64, the noisiest first; ``left`` are (steps + 1,) float32, the last
    of them 1, a picture without noise. The times of half as many steps are every second of these.
    """

    times: Tensor
    left: Tensor

    @classmethod
    def of(cls, schedule: Noise, steps: int) -> Ladder:
        """Spread the steps so that the last of all times is among them."""
        times = torch.tensor(times_of(schedule, steps))
        return cls(times, torch.cat([schedule.left[times], torch.ones(1)]))


def times_of(schedule: Noise, steps: int) -> list[int]:
    """Return the times of a sampler of ``steps`` steps, the noisiest first.

    >>> times_of(Noise(1000, "linear", 1e-4, 2e-2), 4)
    [999, 749, 499, 249]
    """
    stride = schedule.times / steps
    return [round(schedule.times - number * stride) - 1 for number in range(steps)]


def ddim(predict: Predict, noise: Tensor, schedule: Noise, steps: int, predicts: str) -> Tensor:
    """Draw pictures from normal noise by ``steps`` steps without randomness, clipped to [-1, 1].

    Song et al. 2021 (arXiv 2010.02502), equation 12 with sigma 0.
    """
    x, chosen = noise, times_of(schedule, steps)
    for number, time in enumerate(chosen):
        left, later = _ends(schedule, chosen, number)
        at = torch.full((x.shape[0],), float(time), device=x.device)
        clean, around = picture_and_noise(x, predict(x, at), left, predicts)
        x = math.sqrt(later) * clean + math.sqrt(1 - later) * around
    return x


def consistent(predict: Predict, noise: Tensor, schedule: Noise, steps: int) -> Tensor:
    """Draw pictures by ``steps`` guesses of the picture, with fresh noise before each.

    Song et al. 2023 (arXiv 2303.01469), algorithm 1. ``noise`` is (N, 3 * steps, H, W): three
    channels a step, so that nothing random is in the graph. The result is clipped to [-1, 1].
    """
    fresh, chosen = noise.chunk(steps, 1), times_of(schedule, steps)
    x = clean = fresh[0]
    for number, time in enumerate(chosen):
        left, later = _ends(schedule, chosen, number)
        at = torch.full((x.shape[0],), float(time), device=x.device)
        clean, _ = picture_and_noise(x, predict(x, at), left, "v_prediction")
        if number + 1 < steps:
            x = math.sqrt(later) * clean + math.sqrt(1 - later) * fresh[number + 1]
    return clean


def _ends(schedule: Noise, chosen: list[int], number: int) -> tuple[float, float]:
    """Return what is left of a picture before and after a step."""
    later = schedule.shares[chosen[number + 1]] if number + 1 < len(chosen) else 1.0
    return schedule.shares[chosen[number]], later


def picture_and_noise(
    x: Tensor, predicted: Tensor, left: float | Tensor, predicts: str
) -> tuple[Tensor, Tensor]:
    """Tell picture, clipped, and noise of ``x`` apart.

    ``left`` is a number, or (N, 1, 1, 1) where the samples are at different times.
    """
    signal, noise = left**0.5, (1 - left) ** 0.5
    if predicts == "epsilon":
        clean, around = (x - noise * predicted) / signal, predicted
    elif predicts == "sample":
        clean, around = predicted, (x - signal * predicted) / noise
    else:
        clean, around = signal * x - noise * predicted, signal * predicted + noise * x
    return clean.clamp(-1, 1), around
