"""What the test of teams runs, alone and under torchrun: a GAN with batch norms, a StyleGAN2."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.errors import TrainingError
from stylepress.model_steps import SampleStep
from stylepress.terminal import Terminal
from stylepress.train.models.gan import train_gan
from stylepress.train.photos import Photos
from stylepress.train.trainer.fit import Iteration, Objective, Training, fit
from stylepress.train.trainer.part import Part, adam
from stylepress.train.trainer.plan import Session
from stylepress.train.trainer.team import Team, joined_team
from tests.train.test_trainer import Numbers

PHOTOS = Path(__file__).parents[2] / "recipes" / "photos" / "train"


def pictures(draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """A picture of one colour, and noise."""
    return torch.rand(3, 1, 1, generator=draw).expand(3, 8, 8), torch.randn(4, generator=draw)


def judge(now: Iteration) -> dict[str, Tensor]:
    """Score real above fake, with a gradient penalty.

    The discriminator runs twice before its one backward pass.
    """
    real, noise = now.batch
    score, fake = now.net("discriminator"), now.net("generator")(noise)
    real = real.clone().requires_grad_()
    scores = score(real)
    (slope,) = torch.autograd.grad(scores.sum(), real, create_graph=True)
    return {
        "real": F.softplus(-scores).mean(),
        "fake": F.softplus(score(fake)).mean(),
        "slope": slope.square().flatten(1).sum(1).mean(),
    }


def forge(now: Iteration) -> dict[str, Tensor]:
    """Make the discriminator, which stands still, say real."""
    fake = now.net("generator")(now.batch[1])
    return {"fooled": F.softplus(-now.net("discriminator")(fake)).mean()}


def gan() -> Training:
    """Two networks with batch norms, each with its optimizer."""
    torch.manual_seed(0)
    generator = nn.Sequential(
        nn.Linear(4, 48, bias=False),
        nn.BatchNorm1d(48),
        nn.ReLU(),
        nn.Unflatten(1, (3, 4, 4)),
        nn.Upsample(8),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(216, 1),
    )
    return Training(
        parts=[
            Part("generator", generator, adam(generator, 1e-3), ema=0.9),
            Part("discriminator", discriminator, torch.optim.SGD(discriminator.parameters(), 0.1)),
        ],
        objectives=[Objective(judge, ("discriminator",)), Objective(forge, ("generator",))],
        sample=pictures,
    )


def trained(folder: Path, team: Team, steps: int = 6) -> tuple[dict[str, Tensor], float]:
    """Train it; return all weights by part, and the loss."""
    training = gan()
    session = Session(folder, team=team, progress=Terminal(sys.stdout, sys.stderr))
    summary = fit(training, Numbers(steps=steps, batch=4), session, title="")
    weights = {
        f"{part.name}.{key}": value.float()
        for part in training.parts
        for key, value in part.module.state_dict().items()
    }
    return weights, summary.loss


def sampled(folder: Path, team: Team) -> dict[str, Tensor]:
    """Train a small StyleGAN2, penalty and average included; return the averaged weights."""
    step = SampleStep(
        model="stylegan", side_px=16, width=4, noise=8, batch=4, steps=2,
        learning_rate=1e-4, photos=PHOTOS, precision="fp32", seed=1,
    )  # fmt: skip
    session = Session(folder, team=team)
    net, _, _ = train_gan(Photos.below(PHOTOS, session.progress), {}, step, session)
    return {key: value.float() for key, value in net.state_dict().items()}


def main(folder: Path, mode: str) -> None:
    """Train as one of a team, with ``long`` for hours; in the end the second process fails."""
    with joined_team(os.environ) as team:
        weights, loss = trained(folder, team, 10_000_000 if mode == "long" else 6)
        styles = sampled(folder / "styles", team)
        if team.leads:
            save_file(styles, folder / "styles.safetensors")
            save_file({**weights, "loss": torch.tensor(loss)}, folder / "weights.safetensors")
        team.wait()
        if team.rank == 1:
            raise TrainingError("The second process has had enough. Give it a rest.")
        team.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
