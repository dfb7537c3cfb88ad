"""Consistency distillation: from any point of the way to the picture at its end, in one guess."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from stylepress.compress.sampler.ladder import Aim, Noisy, Phase, frozen, rebuilt, stepped, taught
from stylepress.model_steps import ShortenStep
from stylepress.train.families.diffusion import Ladder, Predict
from stylepress.train.families.unet2d import CONSISTENCY, UNet2D
from stylepress.train.photos import Photos
from stylepress.train.trainer.plan import Session

HUBER = 0.00054
"""Times the root of the numbers in a picture: where the loss turns from square to absolute."""


def made_consistent(
    net: UNet2D, photos: Photos, step: ShortenStep, session: Session, steps: int
) -> Iterator[UNet2D]:
    """Yield the student that guesses the picture from any noise.

    Song et al. 2023 (arXiv 2303.01469), algorithm 2. ``net`` predicts velocity v, and
    left^(1/2) x - (1 - left)^(1/2) v is x itself where nothing but the picture is left: what the
    paper asks of a consistency function needs no further weights.
    """
    rungs = step.teacher_sampling
    phase = Phase(f"Consistency over {rungs} steps", "consistent", steps, rungs)
    student = rebuilt(net, predicts=CONSISTENCY, sampling=step.sampling)
    yield taught(student, consistency(net, rungs, session), photos, step, session, phase)


def consistency(teacher: UNet2D, rungs: int, session: Session) -> Aim:
    """Return the aim of a student: the same picture from here and from one teacher's step ahead."""
    predict = frozen(teacher, session)
    ladder = Ladder.of(teacher.noise, rungs)

    def aim(student_predicts: Predict, noisy: Noisy) -> dict[str, Tensor]:
        ahead, _ = stepped(predict, noisy.x, noisy.rung, ladder, "v_prediction")
        last = (noisy.rung + 1 == rungs).view(-1, 1, 1, 1)
        following = (noisy.rung + 1).clamp(max=rungs - 1)
        with torch.no_grad():  # no average: Song and Dhariwal 2023, arXiv 2310.14189
            _, guessed = stepped(student_predicts, ahead, following, ladder, CONSISTENCY)
        wanted = torch.where(last, ahead, guessed)
        velocity = student_predicts(noisy.x, noisy.time)
        guess = noisy.left.sqrt() * noisy.x - (1 - noisy.left).sqrt() * velocity
        return {"consistency": pseudo_huber(guess, wanted)}

    return aim


def pseudo_huber(guess: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean over pictures of (|guess - wanted|^2 + c^2)^(1/2) - c, a number of a picture."""
    scale = HUBER * math.sqrt(guess[0].numel())
    squares = (guess - wanted).square().flatten(1).sum(1)
    return ((squares + scale**2).sqrt() - scale).mean() / math.sqrt(guess[0].numel())
