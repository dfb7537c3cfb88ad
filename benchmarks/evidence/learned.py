"""What a short training learned, as a number: beside the untrained network and a trivial answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor, nn

from stylepress.errors import RecipeError
from stylepress.model_steps import (
    AdainStep,
    DiffuseStep,
    LibraryStep,
    ModelStep,
    PairsStep,
    RegionsStep,
    SampleStep,
    TranslateStep,
)
from stylepress.progress import Silent
from stylepress.step_fields import Style
from stylepress.steps import TrainStep
from stylepress.train.families.regions import WHITE
from stylepress.train.models.gan import crop_of
from stylepress.train.models.sample import ZOOM
from stylepress.train.pairs import Pairs
from stylepress.train.photos import Photos
from stylepress.train.stage import style_pixels
from stylepress.train.style_loss import StyleContentLoss
from stylepress.train.trainer.feed import generator

SEED = 7
PAIRS, PAIR_PX = 8, 96
"""Pairs of held-out photos that a translator is judged on."""
DRAWN = 192
"""Pictures that a sampler is judged on."""
DIRECTIONS = 128
STYLE_PX = 128
Styling = TrainStep | LibraryStep | AdainStep | RegionsStep | TranslateStep
Judged = tuple[str, Callable[[nn.Module], float], float]
"""What is measured, how far a network is off, and how far a trivial answer is."""


@dataclass(frozen=True, slots=True)
class Learned:
    """A distance, the smaller the better: of the trained network, a fresh one, a trivial answer."""

    what: str
    trained: float
    fresh: float
    trivial: float

    @property
    def better(self) -> bool:
        """Whether training paid: nearer than both."""
        return self.trained < min(self.fresh, self.trivial)

    def line(self) -> str:
        """Write it as a cell of a table."""
        word = "" if self.better else ", **not learned**"
        return f"{self.what} {self.trained:.3g} ({self.fresh:.3g}, {self.trivial:.3g}){word}"


@torch.no_grad()
def learned(
    step: TrainStep | ModelStep, nets: tuple[nn.Module, nn.Module], photos: Path
) -> Learned:
    """Judge a trained network and a fresh one of the same config, in this order.

    ``photos`` is a folder of pictures that no training saw. Translators: mean distance a value
    from the target of pairs, and of the input itself. Samplers: sliced Wasserstein distance between
    pixels of drawn and of real pictures, and of the mean picture. Styles: patch distance to the style
    picture, and of the photo itself.

    Raises:
        RecipeError: nothing is measured for such a step.
    """
    if isinstance(step, PairsStep | DiffuseStep):
        what, off, trivial = _translated(step, photos)
    elif isinstance(step, SampleStep):
        what, off, trivial = _sampled(step)
    elif isinstance(step, TrainStep | LibraryStep | AdainStep | RegionsStep | TranslateStep):
        what, off, trivial = _styled(step, photos)
    else:
        raise RecipeError(f"Nothing is measured for `{step.step}`.", "Measure another step.")
    return Learned(what, off(nets[0]), off(nets[1]), trivial)


def _translated(step: PairsStep | DiffuseStep, photos: Path) -> Judged:
    pairs = Pairs(Photos.below(photos, Silent()), step.task)
    drawn = [pairs.crop(generator(SEED, number), PAIR_PX) for number in range(PAIRS)]
    source, target = (torch.stack(list(side)) for side in zip(*drawn, strict=True))

    def off(net: nn.Module) -> float:
        return float((net(2 * source - 1).clamp(-1, 1) / 2 + 0.5 - target).abs().mean())

    return "distance from the target", off, float((source - target).abs().mean())


def _sampled(step: SampleStep) -> Judged:
    """Pictures of a class are compared with those of that class."""
    real, labels = _real(step)
    draw = generator(SEED, 1)

    def inputs() -> tuple[Tensor, ...]:
        if step.model == "ddpm":
            return (torch.randn(real.shape, generator=draw),)
        noise, ones = torch.randn(DRAWN, step.noise, generator=draw), torch.ones(DRAWN)
        more: dict[str, tuple[Tensor, ...]] = {"cgan": (labels,), "dcgan": ()}
        return (noise, *more.get(step.model, (noise, 0 * ones, ones)))

    def off(net: nn.Module) -> float:
        batches = zip(*(torch.split(one, 48) for one in inputs()), strict=True)
        drawn = torch.cat([net(*rows) for rows in batches])
        kinds = [labels == label for label in torch.unique(labels)]
        return fmean(sliced(drawn[kind], real[kind]) for kind in kinds)

    trivial = sliced(real.mean(0, keepdim=True).expand_as(real), real)
    return "distance from real pictures", off, trivial


def _real(step: SampleStep) -> tuple[Tensor, Tensor]:
    """Return crops in [-1, 1], (N, 3, side, side), and their classes, 0 where there are none."""
    draws = [generator(SEED, 100 + number) for number in range(DRAWN)]
    pictures = [style_pixels(style) for style in (step.classes or {}).values()]
    labels = torch.arange(DRAWN) % max(1, len(pictures))
    if pictures:
        drawn = zip(labels.tolist(), draws, strict=True)
        crops = [crop_of(pictures[label], draw, step.side_px) for label, draw in drawn]
    else:
        assert step.photos is not None
        photos = Photos.below(step.photos, Silent())
        crops = [photos.crop(draw, step.side_px, zoom=ZOOM, strange=False) for draw in draws]
    return 2 * torch.stack(crops) - 1, labels


def sliced(drawn: Tensor, real: Tensor) -> float:
    """Return the sliced Wasserstein distance of two equally large sets of pictures (N, 3, S, S).

    Mean over random directions of the mean distance between sorted projections; scaled so that
    pictures that differ by 1 in every pixel, all alike, are about 1 apart (Bonneel et al. 2015).
    """
    flat = [pictures.clamp(-1, 1).flatten(1) for pictures in (drawn, real)]
    directions = torch.randn(flat[0].shape[1], DIRECTIONS, generator=generator(SEED, 2))
    rows = [(pictures @ directions / flat[0].shape[1] ** 0.5).sort(0).values for pictures in flat]
    return float((rows[0] - rows[1]).abs().mean())


def _styled(step: Styling, photos: Path) -> Judged:
    held = Photos.below(photos, Silent())
    crops = [held.crop(generator(SEED, n), STYLE_PX, strange=False) for n in range(PAIRS)]
    content, styles = torch.stack(crops), [style_pixels(style) for style in _styles(step)]

    def far(pictures: Iterable[Tensor]) -> float:
        return fmean(
            float(
                StyleContentLoss(style)(
                    drawn.clamp(0, 1)[..., :STYLE_PX, :STYLE_PX], content, generator(SEED, 3)
                )["style"]
            )
            for style, drawn in zip(styles, pictures, strict=True)
        )

    def off(net: nn.Module) -> float:
        return far(_drawn(step, net, content, styles))

    return "distance from the style", off, far([content] * len(styles))


def _styles(step: Styling) -> list[Style]:
    if isinstance(step, LibraryStep):
        return list(step.styles.values())
    if isinstance(step, RegionsStep):
        return [step.outside, step.inside]
    if isinstance(step, TrainStep):
        return [] if step.style is None else [step.style]
    folder = step.styles if isinstance(step, AdainStep) else step.paintings
    return [Style(picture=path) for path in Photos.below(folder, Silent()).paths[:2]]


def _drawn(
    step: Styling, net: nn.Module, content: Tensor, styles: Sequence[Tensor]
) -> Iterator[Tensor]:
    """Yield what a network makes of photos (N, 3, H, W) in [0, 1] in each style."""
    count = len(content)
    for number, style in enumerate(styles):
        if isinstance(step, LibraryStep):
            yield net(content, torch.eye(len(styles))[number].expand(count, -1))
        elif isinstance(step, RegionsStep):
            level = (0, int(WHITE))[number]
            yield net(content, torch.full((count, *content.shape[2:], 1), level, dtype=torch.uint8))
        elif isinstance(step, AdainStep):
            code = net.encode_style(style[None])  # type: ignore[operator]
            yield net(content, code.expand(count, -1))
        elif isinstance(step, TranslateStep):
            yield net(2 * content - 1) / 2 + 0.5
        else:
            yield net(content * 255) / 255
