"""Means and covariances of features over positions, and the Frechet distance between two."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Gaussian(NamedTuple):
    """A mean (C,) and a covariance (C, C), float64."""

    mean: Tensor
    covariance: Tensor


def gaussian(activation: Tensor) -> Gaussian:
    """Take the positions of (C, H, W) as samples; H*W is at least 2."""
    samples = activation.flatten(1).double()
    mean = samples.mean(1)
    apart = samples - mean[:, None]
    return Gaussian(mean, apart @ apart.T / (samples.shape[1] - 1))


def frechet(one: Gaussian, two: Gaussian) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Dowson & Landau 1982)."""
    values, vectors = torch.linalg.eigh(one.covariance)
    root = vectors @ torch.diag(values.clamp_min(0).sqrt()) @ vectors.T
    between = torch.linalg.eigvalsh(root @ two.covariance @ root).clamp_min(0).sqrt().sum()
    traces = one.covariance.trace() + two.covariance.trace()
    return float((one.mean - two.mean).square().sum() + traces - 2 * between)


def relative_frechet(one: Gaussian, aim: Gaussian) -> float:
    """The distance over trace + |mean|^2 of the aim: 0 is equal, 1 about as far as a black picture."""
    return frechet(one, aim) / float(aim.covariance.trace() + aim.mean.square().sum())
