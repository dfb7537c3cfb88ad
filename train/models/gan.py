"""Train the GANs of labels, of styles and of windows: logistic losses, R1, an average of weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.model_steps import SampleStep
from stylepress.train.families.cgan import CganGenerator
from stylepress.train.families.stylegan import Mapper, StyleGenerator
from stylepress.train.families.swin import SwinGenerator
from stylepress.train.models.generators import Config
from stylepress.train.models.sample import SHOWN, ZOOM
from stylepress.train.photos import Photos
from stylepress.train.trainer.fit import Iteration, Objective, Training, fit
from stylepress.train.trainer.part import Part
from stylepress.train.trainer.plan import Session, TrainingSummary

BETAS = (0.0, 0.99)
PENALTY_EVERY = 8
"""R1 is paid at every so many steps, so many times as dear (Karras et al. 2020, section 3.2)."""
MIXED = 0.5
"""Share of drawn pictures whose finer layers have another style."""
Draw = Callable[[nn.Module, Iteration], tuple[Tensor, Tensor]]
"""Draw this process's pictures with a generator; return them and their labels."""


def train_gan(
    photos: Photos, classes: Mapping[str, Tensor], step: SampleStep, session: Session
) -> tuple[nn.Module, Config, TrainingSummary]:
    """Train a generator of ``step.model``; return the average of its weights, and its config.

    Losses are the non-saturating ones of Goodfellow et al. 2014 with the gradient penalty R1 of
    Mescheder et al. 2018 (arXiv 1801.04406). ``classes`` are the pictures of a cgan by name,
    (3, H, W) in [0, 1]: crops of them are what it learns to draw, by their number.

    Raises:
        TrainingError: the loss stopped being finite.
        FrameError: not one photo can be read.
    """
    torch.manual_seed(step.seed or 0)
    config = _config(step)
    parts = _parts(step, config, max(1, len(classes)))
    draw = _draw_labelled(step, len(classes)) if classes else _draw_styled(step)

    def draw_better(now: Iteration) -> dict[str, Tensor]:
        with now.autocast():
            judged = now.net("judging")(*draw(now.net("drawing"), now)).float()
        return {"fooled": F.softplus(-judged).mean()}

    def judge(now: Iteration) -> dict[str, Tensor]:
        real, label = now.batch
        with now.autocast():
            with torch.no_grad():
                drawn, asked = draw(now.net("drawing"), now)
            both = torch.cat([real, drawn.float()]), torch.cat([label, asked])
            true, wrong = now.net("judging")(*both).float().chunk(2)
        now.watch("judged_real", true.sigmoid())
        now.watch("judged_drawn", wrong.sigmoid())
        terms = {"real": F.softplus(-true).mean(), "drawn": F.softplus(wrong).mean()}
        if step.penalty and now.number % PENALTY_EVERY == 0:
            terms["penalty"] = PENALTY_EVERY * step.penalty / 2 * _steepness(now)
        return terms

    training = Training(
        parts=parts,
        objectives=[
            Objective(judge, trains=("judging",)),
            Objective(draw_better, trains=("drawing",)),
        ],
        sample=_sample(photos, list(classes.values()), step.side_px),
        preview=lambda: _preview(parts[0].average, step, session, max(1, len(classes))),
    )
    summary = fit(training, step, session, title=f"Training {step.model}")
    average = parts[0].average
    assert average is not None
    mapping = getattr(average, "mapping", None)
    if isinstance(mapping, Mapper):
        mapping.measure_average()
    return average.eval(), config, summary


def _steepness(now: Iteration) -> Tensor:
    """Return R1: how steep the discriminator is at real pictures, squared, a mean.

    It is minimised together with the losses, never alone: it does not depend on the last biases,
    and a team would wait for their gradients for ever.
    """
    real = now.batch[0].clone().requires_grad_()
    judged = now.net("judging")(real, now.batch[1])
    (slope,) = torch.autograd.grad(judged.sum(), real, create_graph=True)
    return slope.square().flatten(1).sum(1).mean()


class Judge(nn.Module):
    """Map (N, 3, S, S) in [-1, 1] and labels (N,) to (N,): how real each looks, unbounded.

    Residual halvings down to 4x4. The label weighs the features that the score is made of
    (projection, Miyato and Koyama 2018, arXiv 1802.05637). No norm: a picture is judged alone.
    """

    def __init__(self, ups: int, width: int, classes: int) -> None:
        super().__init__()
        widths = [min(width * 2**level, 8 * width) for level in range(ups + 1)]
        self.enter = nn.Conv2d(3, width, 1)
        self.halvings = nn.ModuleList(
            Halving(inputs, outputs) for inputs, outputs in pairwise(widths)
        )
        self.last = nn.Conv2d(widths[-1], widths[-1], 4)
        self.score = nn.Linear(widths[-1], 1)
        self.label = nn.Embedding(classes, widths[-1])
        nn.init.zeros_(self.label.weight)

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        x = F.leaky_relu(self.enter(image), 0.2)
        for halving in self.halvings:
            x = halving(x)
        features = F.leaky_relu(self.last(x).flatten(1), 0.2)
        judged: Tensor = self.score(features)[:, 0] + (self.label(label) * features).sum(1)
        return judged


class Halving(nn.Module):
    """Two convolutions beside a 1x1 one, to half the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.second = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.beside = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.second(F.leaky_relu(self.first(x), 0.2)), 0.2)
        halved: Tensor = (F.avg_pool2d(y, 2) + self.beside(F.avg_pool2d(x, 2))) * 0.5**0.5
        return halved


GENERATORS: Mapping[str, Callable[..., nn.Module]] = {
    "cgan": CganGenerator,
    "stylegan": StyleGenerator,
    "swin": SwinGenerator,
}


def _config(step: SampleStep) -> dict[str, Any]:
    config = {"noise": step.noise, "width": step.width, "ups": step.side_px.bit_length() - 3}
    return {**config, "classes": ",".join(step.classes)} if step.classes else config


def _parts(step: SampleStep, config: Config, classes: int) -> list[Part]:
    """Return the generator, with the average of its weights, and the discriminator."""
    drawing = GENERATORS[step.model](**config)
    judging = Judge(config["ups"], step.width, classes)
    rate = step.learning_rate
    return [
        Part("drawing", drawing, torch.optim.Adam(drawing.parameters(), rate, BETAS),
             clip_norm=None, ema=step.average),
        Part("judging", judging, torch.optim.Adam(judging.parameters(), rate, BETAS),
             clip_norm=None),
    ]  # fmt: skip


def _draw_labelled(step: SampleStep, classes: int) -> Draw:
    def draw(net: nn.Module, now: Iteration) -> tuple[Tensor, Tensor]:
        noise = torch.randn(step.batch, step.noise, generator=now.draw)
        label = now.share(torch.randint(classes, (step.batch,), generator=now.draw))
        return net(now.share(noise), label), label

    return draw


def _draw_styled(step: SampleStep) -> Draw:
    def draw(net: nn.Module, now: Iteration) -> tuple[Tensor, Tensor]:
        noise = torch.randn(2, step.batch, step.noise, generator=now.draw)
        mixing = now.share((torch.rand(step.batch, generator=now.draw) < MIXED).float())
        drawn = net(now.share(noise[0]), now.share(noise[1]), mixing, torch.ones_like(mixing))
        return drawn, torch.zeros(len(drawn), dtype=torch.int64, device=drawn.device)

    return draw


def _sample(
    photos: Photos, pictures: list[Tensor], side: int
) -> Callable[[torch.Generator], tuple[Tensor, Tensor]]:
    def sample(draw: torch.Generator) -> tuple[Tensor, Tensor]:
        if not pictures:
            crop = photos.crop(draw, side, zoom=ZOOM, strange=False)
            return 2 * crop - 1, torch.zeros((), dtype=torch.int64)
        label = torch.randint(len(pictures), (), generator=draw)
        return 2 * crop_of(pictures[int(label)], draw, side) - 1, label

    return sample


def crop_of(picture: Tensor, draw: torch.Generator, side: int) -> Tensor:
    """Draw a square of a picture (3, H, W), four times as large as it comes out: (3, S, S)."""
    window = min(4 * side, *picture.shape[1:])
    places = torch.rand(2, generator=draw).tolist()
    top, left = (int(p * (n - window + 1)) for p, n in zip(places, picture.shape[1:], strict=True))
    square = picture[None, :, top : top + window, left : left + window]
    return F.interpolate(square, (side, side), mode="area")[0]


def _preview(net: nn.Module | None, step: SampleStep, session: Session, classes: int) -> Tensor:
    assert net is not None
    count = max(SHOWN, classes)
    noise = torch.randn(count, step.noise, generator=torch.Generator().manual_seed(0))
    noise = noise.to(session.device.place)
    label, ones = torch.arange(count, device=noise.device) % classes, torch.ones_like(noise[:, 0])
    more = (label,) if step.model == "cgan" else (noise, torch.zeros_like(ones), ones)
    with torch.no_grad():
        drawn = net(noise, *more).float()
    return torch.cat([*drawn], 2) / 2 + 0.5
