"""Train a diffusion model on pairs: it learns to draw the target while it sees the input."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from stylepress.model_steps import DiffuseStep
from stylepress.train.families.conditioned import ConditionedDiffusion
from stylepress.train.models.generators import Config
from stylepress.train.pairs import Pairs
from stylepress.train.trainer.feed import generator
from stylepress.train.trainer.fit import Iteration, Objective, Training, fit
from stylepress.train.trainer.part import Part, warm_linear
from stylepress.train.trainer.plan import Session, TrainingSummary


def train_diffuse(
    pairs: Pairs, step: DiffuseStep, session: Session
) -> tuple[ConditionedDiffusion, Config, TrainingSummary]:
    """Train on pairs; return the average of its weights, and its config.

    Saharia et al. 2022 (arXiv 2111.05826), with the velocity of Salimans and Ho 2022 (arXiv
    2202.00512), which stays defined where nothing but noise is left: few steps begin there.

    Raises:
        TrainingError: the loss stopped being finite.
        FrameError: not one picture can be read.
    """
    torch.manual_seed(step.seed or 0)
    config = {
        key: getattr(step, key) for key in ("width", "levels", "sampling", "schedule", "predicts")
    }
    net = ConditionedDiffusion(**config)
    descent = torch.optim.Adam(net.parameters(), lr=step.learning_rate)
    part = Part("net", net, descent, warm_linear(step.steps), ema=step.average)
    schedule = net.unet.noise

    def terms(now: Iteration) -> dict[str, Tensor]:
        source, target = now.batch
        whole = torch.randn((step.batch, *target.shape[1:]), generator=now.draw)
        times = torch.randint(schedule.times, (step.batch,), generator=now.draw)
        noise, time = now.share(whole), now.share(times)
        noisy = schedule.added(target, noise, time)
        wanted = (
            schedule.velocity(target, noise, time) if step.predicts == "v_prediction" else noise
        )
        with now.autocast():
            predicted = now.net("net")(source, noisy, time.float())
        return {step.predicts: F.mse_loss(predicted.float(), wanted)}

    def sample(draw: torch.Generator) -> tuple[Tensor, ...]:
        return tuple(2 * side - 1 for side in pairs.crop(draw, step.crop_px))

    shown = [side[None] for side in sample(generator(step.seed or 0, 0))]

    def preview() -> Tensor:
        source, target = (side.to(session.device.place) for side in shown)
        assert part.average is not None
        with torch.no_grad():
            drawn = part.average(source).float()
        return torch.cat([source[0], drawn[0], target[0]], 2) / 2 + 0.5

    training = Training(
        parts=[part],
        objectives=[Objective(terms, trains=("net",))],
        sample=sample,
        preview=preview,
    )
    summary = fit(training, step, session, title="Training the diffusion model that stylizes")
    assert isinstance(part.average, ConditionedDiffusion)
    return part.average.eval(), config, summary
