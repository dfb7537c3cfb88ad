"""What a short training learned, as a number: beside the untrained network and a trivial answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
Net = Callable[..., Tensor]
Styling = TrainStep | LibraryStep | AdainStep | RegionsStep | TranslateStep


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
        return _translated(step, nets, photos)
    if isinstance(step, SampleStep):
        return _sampled(step, nets)
    if isinstance(step, TrainStep | LibraryStep | AdainStep | RegionsStep | TranslateStep):
        return _styled(step, nets, photos)
    raise RecipeError(f"Nothing is measured for `{step.step}`.", "Measure another step.")


def _translated(
    step: PairsStep | DiffuseStep, nets: tuple[nn.Module, nn.Module], photos: Path
) -> Learned:
    pairs = Pairs(Photos.below(photos, Silent()), step.task)
    drawn = [pairs.crop(generator(SEED, number), PAIR_PX) for number in range(PAIRS)]
    source, target = (torch.stack(list(side)) for side in zip(*drawn, strict=True))

    def off(net: Net) -> float:
        return float((net(2 * source - 1).clamp(-1, 1) / 2 + 0.5 - target).abs().mean())

    return Learned(
        "distance from the target",
        off(nets[0]),
        off(nets[1]),
        float((source - target).abs().mean()),
    )


def _sampled(step: SampleStep, nets: tuple[nn.Module, nn.Module]) -> Learned:
    real, labels = _real(step)
    draw = generator(SEED, 1)

    def off(net: nn.Module) -> float:
        if step.model == "ddpm":
            inputs: tuple[Tensor, ...] = (torch.randn(real.shape, generator=draw),)
        else:
            noise, ones = torch.randn(DRAWN, step.noise, generator=draw), torch.ones(DRAWN)
            more: dict[str, tuple[Tensor, ...]] = {"cgan": (labels,), "dcgan": ()}
            inputs = (noise, *more.get(step.model, (noise, 0 * ones, ones)))
        drawn = torch.cat(
            [net(*rows) for rows in zip(*(torch.split(one, 48) for one in inputs), strict=True)]
        )
        # Pictures of a class are compared with those of that class.
        groups = [
            sliced(drawn[labels == label], real[labels == label]) for label in torch.unique(labels)
        ]
        return sum(groups) / len(groups)

    mean = real.mean(0, keepdim=True).expand_as(real)
    return Learned("distance from real pictures", off(nets[0]), off(nets[1]), sliced(mean, real))


def _real(step: SampleStep) -> tuple[Tensor, Tensor]:
    draws = [generator(SEED, 100 + number) for number in range(DRAWN)]
    if step.classes:
        pictures = [style_pixels(style) for style in step.classes.values()]
        labels = torch.arange(DRAWN) % len(pictures)
        crops = [
            crop_of(pictures[int(label)], draw, step.side_px)
            for label, draw in zip(labels, draws, strict=True)
        ]
        return 2 * torch.stack(crops) - 1, labels
    assert step.photos is not None
    photos = Photos.below(step.photos, Silent())
    crops = [photos.crop(draw, step.side_px, zoom=ZOOM, strange=False) for draw in draws]
    return 2 * torch.stack(crops) - 1, torch.zeros(DRAWN, dtype=torch.int64)


def sliced(drawn: Tensor, real: Tensor) -> float:
    """Return the sliced Wasserstein distance of two equally large sets of pictures (N, 3, S, S).

    Mean over random directions of the mean distance between sorted projections; scaled so that
    pictures that differ by 1 in every pixel, all alike, are about 1 apart (Bonneel et al. 2015).
    """
    flat = [pictures.clamp(-1, 1).flatten(1) for pictures in (drawn, real)]
    directions = torch.randn(flat[0].shape[1], DIRECTIONS, generator=generator(SEED, 2))
    rows = [(pictures @ directions / flat[0].shape[1] ** 0.5).sort(0).values for pictures in flat]
    return float((rows[0] - rows[1]).abs().mean())


def _styled(
    step: Styling,
    nets: tuple[nn.Module, nn.Module],
    photos: Path,
) -> Learned:
    held = Photos.below(photos, Silent())
    crops = [held.crop(generator(SEED, n), STYLE_PX, strange=False) for n in range(PAIRS)]
    content = torch.stack(crops)
    styles = _styles(step)

    def off(draw: Callable[[int, Tensor], Tensor]) -> float:
        distances = []
        for number, style in enumerate(styles):
            loss = StyleContentLoss(style)
            drawn = draw(number, style).clamp(0, 1)[..., :STYLE_PX, :STYLE_PX]
            distances.append(float(loss(drawn, content, generator(SEED, 3))["style"]))
        return sum(distances) / len(distances)

    trained, fresh = (off(_drawing(step, net, content, len(styles))) for net in nets)
    return Learned("distance from the style", trained, fresh, off(lambda *_: content))


def _styles(step: Styling) -> list[Tensor]:
    named: list[Style] = []
    if isinstance(step, LibraryStep):
        named = list(step.styles.values())
    elif isinstance(step, RegionsStep):
        named = [step.outside, step.inside]
    elif isinstance(step, TrainStep) and step.style is not None:
        named = [step.style]
    elif isinstance(step, AdainStep | TranslateStep):
        folder = step.styles if isinstance(step, AdainStep) else step.paintings
        pictures = Photos.below(folder, Silent())
        named = [Style(picture=path) for path in pictures.paths[:2]]
    return [style_pixels(style) for style in named]


def _drawing(
    step: Styling,
    net: nn.Module,
    content: Tensor,
    count: int,
) -> Callable[[int, Tensor], Tensor]:
    """Return what draws style ``number``, whose picture is the second argument."""
    if isinstance(step, LibraryStep):
        rows = torch.eye(count)
        return lambda number, _: net(content, rows[number].expand(len(content), -1))
    if isinstance(step, RegionsStep):
        shape = (len(content), *content.shape[2:], 1)
        masks = [torch.full(shape, level, dtype=torch.uint8) for level in (0, int(WHITE))]
        return lambda number, _: net(content, masks[number])
    if isinstance(step, AdainStep):
        return lambda _, style: net(
            content,
            net.encode_style(style[None]).expand(len(content), -1),  # type: ignore[operator]
        )
    if isinstance(step, TranslateStep):
        return lambda *_: net(2 * content - 1) / 2 + 0.5
    return lambda *_: net(content * 255) / 255
