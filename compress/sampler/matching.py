"""The beginning of a student: the teacher's weights, in velocity, with fewer blocks where asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Self

from stylepress.compress.sampler.ladder import FAMILY, Aim, Noisy, frozen
from stylepress.compress.terms import feature_distance
from stylepress.errors import RecipeError
from stylepress.model_steps import ShortenStep
from stylepress.train.families.diffusion import Predict, picture_and_noise
from stylepress.train.families.unet2d import UNet2D
from stylepress.train.trainer.plan import Session

LEAST_LEFT = 1e-3
"""Where less of a picture is left, what a teacher of noise says of it is a quotient of rounding."""
NUMBERED = re.compile(r"^(down|up)_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.")


def begun(teacher: UNet2D, blocks: int | None) -> UNet2D:
    """Return a student of velocity that begins with the teacher's weights.

    With fewer ``blocks`` a level keeps the first of its blocks on the way down, and on the way up
    the first and the last, which is where the widths change (Kim et al. 2023, arXiv 2305.15798).

    Raises:
        RecipeError: more blocks than the teacher has.
    """
    full = teacher.config["layers"]
    if blocks is not None and blocks > full:
        raise RecipeError(
            f"`blocks` is {blocks}, and a level of the model has {full}.", "Ask for fewer."
        )
    kept = blocks or full
    config = {**teacher.config, "predicts": "v_prediction", "layers": kept}
    net = FAMILY.network(config, _copied(teacher.state_dict(), full, kept), "the student")
    assert isinstance(net, UNet2D)
    return net


def needed(teacher: UNet2D, blocks: int | None) -> bool:
    """Say whether a student must learn to match its teacher before anything else."""
    fewer = blocks is not None and blocks < int(teacher.config["layers"])
    return fewer or bool(teacher.config["predicts"] != "v_prediction")


def matching(teacher: UNet2D, student: UNet2D, step: ShortenStep, session: Session) -> Aim:
    """Return the aim of a student that shall predict what its teacher does, in velocity.

    Where next to nothing is left of the picture a teacher of noise knows nothing of it, and the
    pictures themselves are the aim. Where blocks went, what the levels hold is compared too.
    """
    predict = frozen(teacher, session)
    predicts = teacher.config["predicts"]
    fewer = student.config["layers"] < teacher.config["layers"]

    def aim(student_predicts: Predict, noisy: Noisy) -> dict[str, Tensor]:
        signal, noise = noisy.left.sqrt(), (1 - noisy.left).sqrt()
        with (
            Levels(teacher if fewer else None) as theirs,
            Levels(student if fewer else None) as own,
        ):
            clean, around = picture_and_noise(
                noisy.x, predict(noisy.x, noisy.time), noisy.left, predicts
            )
            guess = student_predicts(noisy.x, noisy.time)
        known = noisy.left > LEAST_LEFT
        velocity = torch.where(
            known, signal * around - noise * clean, signal * noisy.noise - noise * noisy.clean
        )
        terms = {"velocity": F.mse_loss(guess, velocity)}
        if fewer and step.feature_weight:
            terms["features"] = step.feature_weight * feature_distance(own.held, theirs.held)
        return terms

    return aim


class Levels:
    """While it is open, it keeps what the levels of a network make, in their order."""

    def __init__(self, net: UNet2D | None) -> None:
        self._net, self._hooks = net, ExitStack()
        self.held: list[Tensor] = []

    def __enter__(self) -> Self:
        net = self._net
        blocks: list[nn.Module] = (
            [] if net is None else [*net.down_blocks, net.mid_block, *net.up_blocks]
        )
        for block in blocks:
            self._hooks.callback(block.register_forward_hook(self._keep).remove)
        return self

    def __exit__(self, *_: object) -> None:
        self._hooks.close()

    def _keep(self, _block: nn.Module, _inputs: tuple[object, ...], output: Tensor) -> None:
        self.held.append(output)


def _copied(state: Mapping[str, Tensor], full: int, kept: int) -> dict[str, Tensor]:
    """Return the weights of the blocks that stay, by their new numbers."""
    weights = {}
    for key, value in state.items():
        match = NUMBERED.match(key)
        if match is None:
            weights[key] = value
            continue
        way, _, _, number = match.groups()
        place = int(number)
        if way == "up" and place == full:
            place = kept
        elif place >= kept:
            continue
        weights[key[: match.start(4)] + str(place) + key[match.end(4) :]] = value
    return weights
