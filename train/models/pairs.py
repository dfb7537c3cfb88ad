"""Train pix2pix: what a picture becomes is shown by pairs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.model_steps import PairsStep
from stylepress.train.families.unet import UnetGenerator
from stylepress.train.models.generators import (
    Config,
    PatchJudge,
    fresh_parts,
    generator_of,
)
from stylepress.train.pairs import Pairs
from stylepress.train.trainer.feed import generator
from stylepress.train.trainer.fit import Iteration, Objective, Training, fit
from stylepress.train.trainer.plan import Session, TrainingSummary


def train_pairs(
    pairs: Pairs, step: PairsStep, session: Session
) -> tuple[nn.Module, str, Config, TrainingSummary]:
    """Train a generator on pairs; return it with its family and config.

    Isola et al. 2017 (arXiv 1611.07004), equation 4: the discriminator sees the input beside what
    is judged, and the generator stays near the target in L1. Losses are least squares, as in its
    repository's ``--gan_mode lsgan``, and dropout is left out.

    Raises:
        TrainingError: the loss stopped being finite.
        FrameError: not one picture can be read.
    """
    torch.manual_seed(step.seed or 0)
    drawing, family, config = _generator(step)
    judging = PatchJudge(step.judge_width, inputs=6)
    drawn: list[Tensor] = []

    def draw_nearer(now: Iteration) -> dict[str, Tensor]:
        source, target = now.batch
        with now.autocast():
            picture = now.net("drawing")(source)
            judged = now.net("judging")(torch.cat([source, picture], 1)).float()
        drawn[:] = [picture.detach().float()]
        return {
            "fooled": (judged - 1).square().mean(),
            "pixels": step.pixel_weight * F.l1_loss(picture.float(), target),
        }

    def judge(now: Iteration) -> dict[str, Tensor]:
        source, target = now.batch
        beside = torch.cat([torch.cat([source, target], 1), torch.cat([source, drawn[0]], 1)])
        with now.autocast():
            true, wrong = now.net("judging")(beside).float().chunk(2)
        now.watch("judged_real", true)
        now.watch("judged_drawn", wrong)
        return {"judge": 0.5 * ((true - 1).square().mean() + wrong.square().mean())}

    def sample(draw: torch.Generator) -> tuple[Tensor, ...]:
        return tuple(2 * side - 1 for side in pairs.crop(draw, step.crop_px))

    shown = [side[None] for side in sample(generator(step.seed or 0, 0))]

    def preview() -> Tensor:
        source, target = (side.to(session.device.place) for side in shown)
        with torch.no_grad():
            return torch.cat([source[0], drawing(source)[0].float(), target[0]], 2) / 2 + 0.5

    training = Training(
        parts=fresh_parts({"drawing": drawing, "judging": judging}, step),
        objectives=[
            Objective(draw_nearer, trains=("drawing",)),
            Objective(judge, trains=("judging",)),
        ],
        sample=sample,
        preview=preview,
    )
    summary = fit(training, step, session, title="Training pix2pix")
    return drawing.eval(), family, config, summary


def _generator(step: PairsStep) -> tuple[nn.Module, str, Config]:
    if step.model == "resnet":
        return generator_of(step)
    # A batch of one has the statistics of one picture: so it is tested too.
    config = {"width": step.width, "downs": step.downs, "norm": "batch", "statistics": "picture"}
    return UnetGenerator(step.width, step.downs), "unet", config
