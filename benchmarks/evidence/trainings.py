"""What a step of a training costs beside the loop that a good engineer would write for it alone.

In our trainer and in a bare loop, by turns: the same networks, losses, optimisers and crops.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.benchmarks.evidence.row import Row
from stylepress.benchmarks.evidence.setting import Setting
from stylepress.model_steps import PairsStep, SampleStep
from stylepress.progress import Silent
from stylepress.steps import DistilStep
from stylepress.train.families.dcgan import DcganDiscriminator, DcganGenerator
from stylepress.train.models.generators import PatchJudge, fresh_parts, generator_of
from stylepress.train.models.pairs import train_pairs
from stylepress.train.models.sample import BETAS, small_crop, train_dcgan
from stylepress.train.pairs import Pairs
from stylepress.train.photos import Photos
from stylepress.train.student import PRESETS, Student
from stylepress.train.trainer.fit import Iteration, Objective, Training, fit
from stylepress.train.trainer.part import Part, adam, warm_linear
from stylepress.train.trainer.plan import Session, TrainingSummary

TRAINING = "images/s of the trainer over a hand-written loop"
STEP = "time of a step over that of a hand-written loop"
WAITING = "share of the time that waits for data"
STUDENT = DistilStep(steps=16, crop_px=192, batch=2, seed=0)
DCGAN = SampleStep(
    model="dcgan", side_px=64, width=32, batch=32, steps=30, seed=1, sample_every=10_000,
    precision="fp32",
)  # fmt: skip
PAIRS = PairsStep(
    width=12, blocks=2, judge_width=12, crop_px=128, batch=2, steps=30, seed=1,
    sample_every=10_000, precision="fp32",
)  # fmt: skip
Step = DistilStep | SampleStep | PairsStep


class Way(NamedTuple):
    """A training in our trainer, and the seconds a step of the same in a loop written by hand."""

    step: Step
    ours: Callable[[Session], TrainingSummary]
    bare: Callable[[], float]


def figures(setting: Setting, step: DistilStep = STUDENT, *, turns: int = 3) -> Iterator[Row]:
    """Time the training of a student, whose loss is as cheap as one can be: nothing hides there.

    The trainer prepares crops ahead, and saves its state at the end.
    """
    photos = _photos(setting)
    way = Way(step, partial(_student, photos, step), partial(_bare_student, photos, step))
    ratios, _ = _by_turns(setting, way, turns)
    note = f"{turns} turns; student base, crops of {step.crop_px}, batch of {step.batch}"
    yield Row(TRAINING, 1 / median(ratios), note=note)


def rows(
    setting: Setting, *, turns: int = 7, dcgan: SampleStep = DCGAN, pairs: PairsStep = PAIRS
) -> Iterator[Row]:
    """Time two trainings of networks that learn against each other."""
    photos = _photos(setting)
    couples = Pairs(photos, pairs.task)
    ways = {
        "DCGAN": Way(
            dcgan,
            lambda session: train_dcgan(photos, dcgan, session)[2],
            lambda: _bare_dcgan(photos, dcgan),
        ),
        "pix2pix": Way(
            pairs,
            lambda session: train_pairs(couples, pairs, session)[3],
            lambda: _bare_pairs(couples, pairs),
        ),
    }
    for subject, way in ways.items():
        ratios, waits = _by_turns(setting, way, turns)
        note = f"{turns} turns, {min(ratios):.2f} to {max(ratios):.2f}"
        yield Row(STEP, median(ratios), "x", subject, note=note)
        yield Row(WAITING, 100 * median(waits), "%", subject, note=note)


def _photos(setting: Setting) -> Photos:
    torch.set_num_threads(setting.threads)
    return Photos.below(setting.recipes / "photos" / "train", Silent())


def _by_turns(setting: Setting, way: Way, turns: int) -> tuple[list[float], list[float]]:
    """Return, of each turn, our time of a step over that of its neighbours, and our share of waiting."""
    folder = setting.work / f"training-{way.step.step}"
    folder.mkdir(exist_ok=True)
    ratios, waits = list[float](), list[float]()
    for _ in range(turns):
        before, summary, after = way.bare(), way.ours(Session(folder)), way.bare()
        mine = way.step.batch / (summary.images_per_s or float("nan"))
        ratios.append(2 * mine / (before + after))
        waits.append(summary.waiting_share or 0.0)
    return ratios, waits


def _student(photos: Photos, step: DistilStep, session: Session) -> TrainingSummary:
    student = Student(PRESETS[step.preset])

    def terms(now: Iteration) -> dict[str, Tensor]:
        (crops,) = now.batch
        return {"frame": (now.net("student")(crops) - crops).square().mean()}

    descent, schedule = adam(student, 1e-3), warm_linear(step.steps)
    part = Part("student", student, descent, schedule, channels_last=True)
    objective = Objective(terms, ("student",))
    plan = Training([part], [objective], lambda draw: (photos.crop(draw, step.crop_px),))
    return fit(plan, step, session, title="Training in our trainer")


def _bare_student(photos: Photos, step: DistilStep) -> float:
    """Return the seconds a step of the loop that anybody would write."""
    student = Student(PRESETS[step.preset]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    descent, draw = torch.optim.Adam(student.parameters(), 1e-3), torch.Generator().manual_seed(0)
    began = time.perf_counter()
    for _ in range(step.steps):
        crops = torch.stack([photos.crop(draw, step.crop_px) for _ in range(step.batch)])
        descent.zero_grad()
        loss = (student(crops) - crops).square().mean()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        descent.step()
    return (time.perf_counter() - began) / step.steps


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
