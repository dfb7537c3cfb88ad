"""A decoder that begins as the inverse of its encoder: layer by layer, by least squares."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import unfold

from stylepress.progress import Progress
from stylepress.train.families.adain import AdaIn

ROWS = 40_000
"""Places that a layer is fitted on; the widest has 4609 unknowns for each of its outputs."""
RIDGE = 1e-3
"""On the mean square of the inputs: how much a small residual is worth in weights."""


@torch.no_grad()
def invert(net: AdaIn, pictures: Tensor, draw: torch.Generator, progress: Progress) -> None:
    """Give ``net.decoder`` weights that draw ``pictures`` again out of their features.

    ``pictures`` is (N, 3, H, W) float32 in [0, 1]. Each convolution, from the
    deepest on, is the ridge regression from 3x3 patches of what the layers before it drew to what
    the encoder had at the mirrored place: no gradient is followed, and no layer adds to the errors
    of another without seeing them. A decoder narrower than its encoder mirrors some of its channels.
    """
    targets = _mirrored(net.encoder, pictures)
    x = targets.pop()
    layers = [layer for layer in net.decoder if isinstance(layer, nn.Conv2d)]
    progress.start("Inverting the encoder", len(layers))
    for layer in net.decoder:
        if isinstance(layer, nn.Conv2d):
            _fit(layer, x, targets.pop(), draw)
            progress.advance()
        x = layer(x)
    progress.finish()


def _mirrored(encoder: nn.Sequential, pictures: Tensor) -> list[Tensor]:
    """Return the pictures and what each layer makes of them, pooled where a pool follows."""
    stages, x = [pictures], pictures
    for layer in encoder:
        x = layer(x)
        if isinstance(layer, nn.ReLU):
            stages.append(x)
        elif isinstance(layer, nn.MaxPool2d):
            stages[-1] = x
    return stages


def _fit(layer: nn.Conv2d, x: Tensor, target: Tensor, draw: torch.Generator) -> None:
    """Solve for the weights and the bias that map ``x``, padded by 1, to ``target``."""
    chosen = torch.linspace(0, target.shape[1] - 1, layer.out_channels).round().long()
    # Pooling rounds up, so that what is drawn may be a little larger.
    x = x[..., : target.shape[2] + 2, : target.shape[3] + 2]
    target = target[:, chosen].flatten(2)
    places = target.shape[2]
    count = min(places, max(1, ROWS // len(x)))
    unknown = 9 * x.shape[1] + 1
    squares = torch.zeros(unknown, unknown, device=x.device)
    products = torch.zeros(unknown, layer.out_channels, device=x.device)
    for padded, wanted in zip(x, target, strict=True):
        at = torch.randperm(places, generator=draw)[:count].to(x.device)
        patches = unfold(padded[None], 3)[0, :, at].T
        rows = torch.cat([patches, torch.ones_like(patches[:, :1])], 1)
        squares += rows.T @ rows
        products += rows.T @ wanted[:, at].T
    ridge = RIDGE * squares.diagonal()[:-1].mean()
    # The last row is the bias, which costs nothing.
    squares.diagonal()[:-1].add_(ridge)
    solved = torch.linalg.solve(squares.double(), products.double()).float()
    layer.weight.copy_(solved[:-1].T.reshape(layer.weight.shape))
    cast("nn.Parameter", layer.bias).copy_(solved[-1])
