"""The loss of a distillation as a list of named terms: what a student's pictures lack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from stylepress.steps import DistilStep
from stylepress.train.style_loss import (
    STYLE_PX,
    content_distance,
    random_crop,
    sliced_wasserstein,
)

RIM = 8
"""Pixels at the edge that a comparison with a shifted picture leaves out, where padding shows."""


@dataclass(frozen=True)
class Comparison:
    """What a term may look at.

    Pictures are (N, 3, H, W) float32 in [0, 1]; ``output`` may exceed it. ``twin`` is the
    student's picture of the team's first sample, noisy and moved by ``shift`` (down, right)
    pixels, None on the other processes; ``twin_share`` undoes that those count it as nothing.
    ``style`` is (3, h, w) in [0, 1]. ``guesses`` and ``features`` are pairs of feature maps.
    ``draw`` is the same on all processes. ``redraw`` is what the student makes of other pictures.
    """

    output: Tensor
    content: Tensor
    target: Tensor
    draw: torch.Generator
    style: Tensor | None = None
    twin: Tensor | None = None
    twin_share: float = 1.0
    shift: tuple[int, int] = (0, 0)
    guesses: Sequence[Tensor] = ()
    features: Sequence[Tensor] = ()
    redraw: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class Term:
    """One named term: how much it weighs in a step (0 leaves it out), and its scalar distance.

    ``weight`` is told whether there is a style picture.
    """

    name: str
    weight: Callable[[DistilStep, bool], float]
    distance: Callable[[Comparison], Tensor]


def to_style_share(step: DistilStep) -> float:
    """Return the share of the style terms that looks at the style picture."""
    return step.to_style or 0.0


def weighted(terms: Sequence[Term], step: DistilStep, comparison: Comparison) -> dict[str, Tensor]:
    """Return each term that weighs, times its weight, as scalars."""
    styled = comparison.style is not None
    weights = {term.name: term.weight(step, styled) for term in terms}
    return {
        term.name: weights[term.name] * term.distance(comparison)
        for term in terms
        if weights[term.name]
    }


def steadiness(comparison: Comparison) -> Tensor:
    """Distance of the first sample's picture to that of its noisy, moved twin."""
    if comparison.twin is None:
        return comparison.output.new_zeros(())
    apart = unsteadiness(comparison.output[:1], comparison.twin, comparison.shift)
    return comparison.twin_share * apart


def to_style_picture(comparison: Comparison) -> Tensor:
    """Style distance to a random square of the style picture."""
    if comparison.style is None:
        return comparison.output.new_zeros(())
    square = random_crop(comparison.style, STYLE_PX, comparison.draw)[None]
    return sliced_wasserstein(comparison.output, square, comparison.draw)


def frame_distance(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference at full, half and quarter size, each counted equally."""
    total = (output - target).abs().mean()
    for _ in range(2):
        output, target = F.avg_pool2d(output, 2), F.avg_pool2d(target, 2)
        total = total + (output - target).abs().mean()
    return total / 3


def edge_distance(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of the differences between neighbours, across plus down."""
    apart = output - target
    return apart.diff(dim=-1).abs().mean() + apart.diff(dim=-2).abs().mean()


def unsteadiness(output: Tensor, twin: Tensor, shift: tuple[int, int]) -> Tensor:
    """Mean absolute difference of ``twin`` to ``output`` moved by ``shift`` (down, right) pixels.

    Without the rim, where padding shows, and where the moved picture came round.
    """
    rim = max(RIM, *shift)
    apart = twin - output.roll(shift, dims=(2, 3))
    return apart[..., rim:-rim, rim:-rim].abs().mean()


def grid_pattern(image: Tensor) -> Tensor:
    """Return what of (N, 3, H, W) is locked to a 4-pixel grid: (N, 48, H/32, W/32).

    The mean of each of the 16 phases over windows of 32 pixels, less the mean of all phases: what
    a strided network prints where it should not. H and W are multiples of 32, or cut to it.
    """
    height, width = (side // 32 * 32 for side in image.shape[-2:])
    phases = F.avg_pool2d(F.pixel_unshuffle(image[..., :height, :width], 4), 8)
    split = phases.view(len(image), image.shape[1], 16, height // 32, width // 32)
    pattern: Tensor = (split - split.mean(2, keepdim=True)).flatten(1, 2)
    return pattern


def feature_distance(guesses: Sequence[Tensor], features: Sequence[Tensor]) -> Tensor:
    """Mean squared error in units of each picture's variance in a layer, at the smaller size.

    So one weight serves layers of any scale. Guesses may hold more samples than features.
    """
    terms: list[Tensor] = []
    for guess, goal in zip(guesses, features, strict=True):
        mine, theirs = _same_size(guess[: len(goal)].float(), goal.float())
        spread = theirs.flatten(1).var(dim=1).clamp_min(1e-6)
        terms.append(((mine - theirs).square().flatten(1).mean(1) / spread).mean())
    return torch.stack(terms).mean()


def _same_size(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    height = min(first.shape[-2], second.shape[-2])
    width = min(first.shape[-1], second.shape[-1])
    size = (height, width)
    return F.adaptive_avg_pool2d(first, size), F.adaptive_avg_pool2d(second, size)


NOISE = Term("noise", lambda step, _: step.noise_weight, steadiness)
TERMS: tuple[Term, ...] = (
    NOISE,
    Term(
        "frame",
        lambda step, _: step.frame_weight or 0.0,
        lambda c: frame_distance(c.output, c.target),
    ),
    Term(
        "content",
        lambda step, _: step.content_weight or 0.0,
        lambda c: content_distance(c.output, c.content),
    ),
    Term(
        "grid",
        lambda step, _: step.grid_weight,
        lambda c: (grid_pattern(c.output) - grid_pattern(c.target)).square().mean(),
    ),
    Term(
        "style",
        lambda step, styled: (step.style_weight or 0.0) * (1 - to_style_share(step) * styled),
        lambda c: sliced_wasserstein(c.output, c.target, c.draw),
    ),
    Term(
        "to_style",
        lambda step, styled: (step.style_weight or 0.0) * to_style_share(step) * styled,
        to_style_picture,
    ),
    Term(
        "features",
        lambda step, _: step.feature_weight,
        lambda c: feature_distance(c.guesses, c.features),
    ),
    Term(
        "range",
        lambda _step, _: 1.0,
        lambda c: (F.relu(-c.output) + F.relu(c.output - 1)).mean(),
    ),
)
"""What every distillation weighs; a step's extra terms come behind them."""

PIXEL_TERMS: tuple[Term, ...] = (
    NOISE,
    Term("frame", lambda _step, _: 1.0, lambda c: frame_distance(c.output, c.target)),
    Term("edges", lambda step, _: step.edge_weight, lambda c: edge_distance(c.output, c.target)),
)
"""What the first steps weigh, when a step compares pixels alone."""
