"""What every training of a sampler shares: pictures made noisy at the rungs of a ladder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stylepress.model_steps import ShortenStep
from stylepress.train.families.diffusion import Ladder, Predict, picture_and_noise
from stylepress.train.families.unet2d import CONSISTENCY, UNet2D
from stylepress.train.models.sample import SHOWN, drawn_row, small_crop
from stylepress.train.photos import Photos
from stylepress.train.trainer.fit import Iteration, Objective, Training, fit
from stylepress.train.trainer.part import Part, warm_linear
from stylepress.train.trainer.plan import Session
from stylepress.train.weights.families import FAMILIES

FAMILY = FAMILIES["unet2d"]


@dataclass(frozen=True)
class Noisy:
    """Pictures ``clean`` and ``noise``, (N, 3, S, S), mixed to ``x`` at the rungs (N,) of a ladder.

    ``left`` is what is left of the pictures there, (N, 1, 1, 1); ``time`` is (N,) float32.
    """

    clean: Tensor
    noise: Tensor
    x: Tensor
    rung: Tensor
    left: Tensor
    time: Tensor


Aim = Callable[[Predict, Noisy], dict[str, Tensor]]
"""From what a student predicts and a noisy batch to named scalar terms."""


@dataclass(frozen=True)
class Phase:
    """One training of several: its title, the name of its state, its steps, its ladder."""

    title: str
    name: str
    steps: int
    rungs: int


def rebuilt(net: UNet2D, **change: object) -> UNet2D:
    """Return a copy of a network with some of its config changed, and all of its weights."""
    config = {**net.config, **change}
    copy = FAMILY.network(config, net.state_dict(), "the student")
    assert isinstance(copy, UNet2D)
    return copy


def taught(
    net: UNet2D, aim: Aim, photos: Photos, step: ShortenStep, session: Session, phase: Phase
) -> UNet2D:
    """Train ``net`` in place on crops with noise at the rungs of its ladder; return its average.

    Raises:
        TrainingError: the loss stopped being finite.
    """
    torch.manual_seed(step.seed or 0)
    net.train().requires_grad_(True)
    descent = torch.optim.Adam(net.parameters(), lr=step.learning_rate)
    part = Part("net", net, descent, warm_linear(phase.steps), ema=step.average)
    ladder = Ladder.of(net.noise, phase.rungs)
    side = net.config["size"]

    def terms(now: Iteration) -> dict[str, Tensor]:
        def predict(x: Tensor, time: Tensor) -> Tensor:
            with now.autocast():
                predicted: Tensor = now.net("net")(x, time)
            return predicted.float()

        return aim(predict, _noisy(now, ladder, step.batch))

    draws = net.config["sampling"] if net.config["predicts"] == CONSISTENCY else 1
    seed = torch.Generator().manual_seed(0)
    shown = torch.randn(SHOWN, 3 * draws, side, side, generator=seed).to(session.device.place)
    training = Training(
        parts=[part],
        objectives=[Objective(terms, trains=("net",))],
        sample=lambda draw: (small_crop(photos, draw, side),),
        preview=lambda: drawn_row(net, shown),
    )
    own = replace(
        session,
        folder=session.folder / phase.name,
        identity={**session.identity, "phase": phase.name},
    )
    fit(training, step.model_copy(update={"steps": phase.steps}), own, title=phase.title)
    average = part.average
    assert isinstance(average, UNet2D)
    return average.eval()


def frozen(net: UNet2D, session: Session) -> Predict:
    """Return what a network at rest predicts, on the session's device."""
    session.device.hold(net.eval().requires_grad_(False))

    @torch.no_grad()
    def predict(x: Tensor, time: Tensor) -> Tensor:
        with session.device.autocast():
            return net.predict(x, time).float()

    return predict


def stepped(
    predict: Predict, x: Tensor, rung: Tensor, ladder: Ladder, predicts: str
) -> tuple[Tensor, Tensor]:
    """Return ``x`` after one step of DDIM from the rungs (N,), and the picture guessed there."""
    left, later = (_wide(ladder.left.to(x.device)[at]) for at in (rung, rung + 1))
    predicted = predict(x, ladder.times.to(x.device)[rung].float())
    clean, around = picture_and_noise(x, predicted, left, predicts)
    return later.sqrt() * clean + (1 - later).sqrt() * around, clean


def _noisy(now: Iteration, ladder: Ladder, batch: int) -> Noisy:
    (clean,) = now.batch
    whole = torch.randn((batch, *clean.shape[1:]), generator=now.draw)
    rungs = torch.randint(len(ladder.times), (batch,), generator=now.draw)
    mine = slice(now.team.rank * len(clean), (now.team.rank + 1) * len(clean))
    noise, rung = whole[mine].to(clean.device), rungs[mine]
    left = _wide(ladder.left[rung]).to(clean.device)
    time = ladder.times[rung].float().to(clean.device)
    x = left.sqrt() * clean + (1 - left).sqrt() * noise
    return Noisy(clean, noise, x, rung.to(clean.device), left, time)


def _wide(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
