"""One picture by optimisation (Gatys, Ecker & Bethge 2016): the reference for every network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from stylepress.errors import FrameError, TrainingError
from stylepress.progress import Progress
from stylepress.train.features.distances import (
    CONTENT_LAYER,
    STYLE_LAYERS,
    STYLE_SIDE,
    out_of_range,
    relative_gap,
    style_distance,
    style_grams,
    total_variation,
)
from stylepress.train.features.vgg import LEAST_SIDE, Vgg

SHOW_EVERY = 10
LIMIT_SIDE = 4096


@dataclass(frozen=True, slots=True)
class OptimiseOptions:
    """How one picture is optimised.

    ``side`` is the shorter side of the result in pixels. The picture is optimised at ``levels``
    sizes, each twice the one before, ``steps`` times at the smallest and half as often at each
    next: what is large is settled where it is cheap. Weights are relative, so they mean the same
    for every style; ``content_weight`` 0.05 puts style first, 0.15 keeps the subject.
    """

    side: int = 512
    levels: int = 3
    steps: int = 120
    content_weight: float = 0.05
    variation_weight: float = 0.02
    range_weight: float = 0.5
    optimizer: Literal["adam", "lbfgs"] = "adam"
    learning_rate: float = 0.03


@dataclass(frozen=True, slots=True)
class Optimised:
    """The picture, (3, H, W) float32 in [0, 1], and how far it is from what it aims at."""

    picture: Tensor
    style_distance: float
    content_distance: float


Show = Callable[[Tensor], None]


def optimise(
    vgg: Vgg,
    content: Tensor,
    style: Tensor,
    options: OptimiseOptions,
    progress: Progress,
    show: Show | None = None,
) -> Optimised:
    """Optimise the pixels of ``content`` until their VGG statistics are those of ``style``.

    Both are (3, H, W) float32 RGB in [0, 1], on the device of ``vgg``. ``show`` gets the picture,
    clamped, every ten steps. Nothing is random.

    Raises:
        FrameError: a side below 16 pixels, or a result with one above 4096.
        TrainingError: the loss stopped being finite.
    """
    sizes = _sizes(content, options)
    picture = content
    progress.start("Optimising the picture", sum(count for _, count in sizes))
    try:
        for size, count in sizes:
            target = _resized(content, size)
            aims = _Aims.of(vgg, target, style, min(size))
            start = _resized(picture, size).clamp(0, 1)
            picture = _descend(vgg, start, aims, count, (options, progress, show))
    finally:
        progress.finish()
    picture = picture.clamp(0, 1)
    final = _Aims.of(vgg, _resized(content, sizes[-1][0]), style, STYLE_SIDE)
    with torch.no_grad():
        drawn = vgg(picture[None], STYLE_LAYERS)
    return Optimised(
        picture,
        float(style_distance(drawn, final.grams)),
        float(relative_gap(drawn[CONTENT_LAYER], final.content)),
    )


@dataclass(frozen=True, slots=True)
class _Aims:
    """What a picture is drawn to: Gram matrices of the style, features of the photo."""

    grams: dict[str, Tensor]
    content: Tensor

    @classmethod
    def of(cls, vgg: Vgg, content: Tensor, style: Tensor, side: int) -> _Aims:
        with torch.no_grad():
            features = vgg(content[None], (CONTENT_LAYER,))[CONTENT_LAYER]
        return cls(style_grams(vgg, style, min(side, STYLE_SIDE)), features)


def _sizes(content: Tensor, options: OptimiseOptions) -> list[tuple[tuple[int, int], int]]:
    """Return (height, width) and the number of steps of each level, the smallest first."""
    scale = options.side / min(content.shape[-2:])
    sizes = []
    for level in reversed(range(options.levels)):
        height, width = (round(length * scale / 2**level) for length in content.shape[-2:])
        steps = max(1, options.steps >> (options.levels - 1 - level))
        sizes.append(((height, width), steps))
    if min(sizes[0][0]) < LEAST_SIDE or max(sizes[-1][0]) > LIMIT_SIDE:
        (low, _), (high, _) = sizes[0], sizes[-1]
        raise FrameError(
            f"Optimising would go from {low[1]}x{low[0]} to {high[1]}x{high[0]} pixels, where "
            f"{LEAST_SIDE} to {LIMIT_SIDE} a side can be.",
            "Choose another --size or fewer --levels.",
        )
    return sizes


def _descend(
    vgg: Vgg,
    start: Tensor,
    aims: _Aims,
    count: int,
    how: tuple[OptimiseOptions, Progress, Show | None],
) -> Tensor:
    options, progress, show = how
    image = start[None].clone().requires_grad_()
    if options.optimizer == "adam":
        optimizer: torch.optim.Optimizer = torch.optim.Adam([image], lr=options.learning_rate)
    else:
        optimizer = torch.optim.LBFGS([image], lr=1, max_iter=1, history_size=20)

    def evaluate() -> Tensor:
        optimizer.zero_grad()
        features = vgg(image, STYLE_LAYERS)
        loss = style_distance(features, aims.grams).sum()
        loss = (
            loss
            + options.content_weight * relative_gap(features[CONTENT_LAYER], aims.content).sum()
        )
        loss = loss + options.variation_weight * total_variation(image)
        loss = loss + options.range_weight * out_of_range(image)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    for number in range(count):
        if options.optimizer == "adam":
            late = min(1.0, 2 * (count - number) / count)
            optimizer.param_groups[0]["lr"] = options.learning_rate * late
        loss = float(optimizer.step(evaluate))  # type: ignore[arg-type]
        if not torch.isfinite(image.detach()).all():
            raise TrainingError(
                f"The picture stopped being finite at step {number} ({options.optimizer}, loss "
                f"{loss}).",
                "Use `--optimizer adam`, or a smaller --learning-rate.",
            )
        progress.advance(1, f"loss {loss:.4f}")
        if show is not None and number % SHOW_EVERY == 0:
            show(image.detach()[0].clamp(0, 1))
    return image.detach()[0]


def _resized(picture: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(picture.shape[-2:]) == size:
        return picture
    resized: Tensor = F.interpolate(
        picture[None], size, mode="bicubic", antialias=True, align_corners=False
    )[0]
    return resized
