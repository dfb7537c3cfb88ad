"""What a step of a training costs beside the loop that a good engineer would write for it alone.

Two networks that learn against each other, in our trainer and in a bare loop, by turns: the same
networks, losses, optimisers and crops.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.benchmarks.evidence.row import Row
from stylepress.benchmarks.evidence.setting import Setting
from stylepress.model_steps import PairsStep, SampleStep
from stylepress.progress import Silent
from stylepress.train.families.dcgan import DcganDiscriminator, DcganGenerator
from stylepress.train.models.generators import PatchJudge, fresh_parts, generator_of
from stylepress.train.models.pairs import train_pairs
from stylepress.train.models.sample import BETAS, small_crop, train_dcgan
from stylepress.train.pairs import Pairs
from stylepress.train.photos import Photos
from stylepress.train.trainer.plan import Session

STEP = "time of a step over that of a hand-written loop"
WAITING = "share of the time that waits for data"
TURNS = 7
DCGAN = SampleStep(
    model="dcgan", side_px=64, width=32, batch=32, steps=30, seed=1, sample_every=10_000,
    precision="fp32",
)  # fmt: skip
PAIRS = PairsStep(
    width=12, blocks=2, judge_width=12, crop_px=128, batch=2, steps=30, seed=1,
    sample_every=10_000, precision="fp32",
)  # fmt: skip
Speeds = tuple[float, float]
"""Seconds a step, and the share of them that waited for data."""


def rows(
    setting: Setting, *, turns: int = TURNS, dcgan: SampleStep = DCGAN, pairs: PairsStep = PAIRS
) -> Iterator[Row]:
    """Time both trainings by turns; medians of the ratio of neighbours."""
    photos = Photos.below(setting.recipes / "photos" / "train", Silent())
    torch.set_num_threads(setting.threads)
    ways: Mapping[str, tuple[Callable[[], Speeds], Callable[[], float]]] = {
        "DCGAN": (
            lambda: _ours(setting, "dcgan", lambda s: train_dcgan(photos, dcgan, s)[2], dcgan),
            lambda: _bare_dcgan(photos, dcgan),
        ),
        "pix2pix": (
            lambda: _ours(
                setting,
                "pairs",
                lambda s: train_pairs(Pairs(photos, pairs.task), pairs, s)[3],
                pairs,
            ),
            lambda: _bare_pairs(Pairs(photos, pairs.task), pairs),
        ),
    }
    for subject, (ours, bare) in ways.items():
        ratios, waits = [], []
        for _ in range(turns):
            before, (mine, wait), after = bare(), ours(), bare()
            ratios.append(2 * mine / (before + after))
            waits.append(wait)
        note = f"{turns} turns, {min(ratios):.2f} to {max(ratios):.2f}"
        yield Row(STEP, median(ratios), "x", subject, note=note)
        yield Row(WAITING, 100 * median(waits), "%", subject, note=note)


def _ours(
    setting: Setting,
    name: str,
    trained: Callable[[Session], object],
    step: SampleStep | PairsStep,
) -> Speeds:
    folder = setting.work / name
    folder.mkdir(exist_ok=True)
    summary = trained(Session(folder))
    rate = getattr(summary, "images_per_s", None) or float("nan")
    return step.batch / rate, getattr(summary, "waiting_share", None) or 0.0


def _descents(nets: tuple[nn.Module, nn.Module], rate: float) -> list[torch.optim.Adam]:
    return [torch.optim.Adam(net.parameters(), lr=rate, betas=BETAS) for net in nets]


def _bare_dcgan(photos: Photos, step: SampleStep) -> float:
    """Return the seconds a step of DCGAN as its paper's loop is written."""
    ups = step.side_px.bit_length() - 3
    drawing = DcganGenerator(step.noise, step.width, ups)
    judging = DcganDiscriminator(step.width, ups)
    draws, judges = _descents((drawing, judging), step.learning_rate)
    draw, loss = torch.Generator().manual_seed(0), F.binary_cross_entropy_with_logits
    began = time.perf_counter()
    for _ in range(step.steps):
        real = torch.stack([small_crop(photos, draw, step.side_px) for _ in range(step.batch)])
        judges.zero_grad()
        with torch.no_grad():
            false = drawing(torch.randn(step.batch, step.noise))
        true, wrong = judging(real), judging(false)
        _down(loss(true, torch.ones_like(true)) + loss(wrong, torch.zeros_like(wrong)), judges)
        draws.zero_grad()
        judging.requires_grad_(False)
        found = judging(drawing(torch.randn(step.batch, step.noise)))
        _down(loss(found, torch.ones_like(found)), draws)
        judging.requires_grad_(True)
    return (time.perf_counter() - began) / step.steps


def _bare_pairs(pairs: Pairs, step: PairsStep) -> float:
    """Return the seconds a step of pix2pix as its repository's loop is written."""
    drawing, judging = generator_of(step)[0], PatchJudge(step.judge_width, inputs=6)
    fresh_parts({"drawing": drawing, "judging": judging}, step)
    draws, judges = _descents((drawing, judging), step.learning_rate)
    draw = torch.Generator().manual_seed(0)
    began = time.perf_counter()
    for _ in range(step.steps):
        crops = [pairs.crop(draw, step.crop_px) for _ in range(step.batch)]
        source, target = (2 * torch.stack(list(side)) - 1 for side in zip(*crops, strict=True))
        judging.requires_grad_(False)
        draws.zero_grad()
        picture = drawing(source)
        fooled = (judging(torch.cat([source, picture], 1)) - 1).square().mean()
        _down(fooled + step.pixel_weight * F.l1_loss(picture, target), draws)
        judging.requires_grad_(True)
        judges.zero_grad()
        both = torch.cat([torch.cat([source, target], 1), torch.cat([source, picture.detach()], 1)])
        true, wrong = judging(both).chunk(2)
        _down(0.5 * ((true - 1).square().mean() + wrong.square().mean()), judges)
    return (time.perf_counter() - began) / step.steps


def _down(loss: Tensor, descent: torch.optim.Optimizer) -> None:
    torch.autograd.backward(loss)
    descent.step()
