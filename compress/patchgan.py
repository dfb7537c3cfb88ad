"""An optional discriminator of patches beside the terms of a distillation; it is off by default.

That a student needs none is the finding of OMGD (Ren et al. 2021, arXiv 2108.06908): the teacher's
picture is there to be compared with. For teachers whose texture is noise that nothing can
copy place by place, a discriminator asks for texture of the kind instead.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stylepress.compress.terms import Comparison
from stylepress.train.families.norms import drawn_weights
from stylepress.train.models.generators import BETAS, PatchJudge
from stylepress.train.trainer.fit import Iteration, Objective
from stylepress.train.trainer.part import Part, Schedule

NAME = "patchgan"
WIDTH = 32
LEARNING_RATE = 2e-4


class PatchGan:
    """A 70x70 PatchGAN on photo and picture together, and what it and the student minimise.

    Isola et al. 2017 (arXiv 1611.07004), with least squares. It learns at every step, from the
    pictures that the student has just drawn; the student minds it where features are compared.
    """

    def __init__(self, weight: float, schedule: Schedule) -> None:
        self.weight = weight
        self._judge = PatchJudge(WIDTH, inputs=6)
        drawn_weights(self._judge)
        self._schedule = schedule
        self._pairs: tuple[Tensor, Tensor] | None = None

    def part(self) -> Part:
        """Return the discriminator as a part of a training."""
        descent = torch.optim.Adam(self._judge.parameters(), lr=LEARNING_RATE, betas=BETAS)
        return Part(NAME, self._judge, descent, self._schedule, clip_norm=None)

    def term(self, now: Iteration, comparison: Comparison) -> dict[str, Tensor]:
        """Return how far patches of the student's pictures are from passing as the teacher's."""
        with now.autocast():
            judged = now.net(NAME)(_pair(comparison.content, comparison.output)).float()
        return {NAME: self.weight * (judged - 1).square().mean()}

    def note(self, comparison: Comparison) -> None:
        """Keep the pictures of this step, for the discriminator to learn from."""
        content = comparison.content
        real, drawn = _pair(content, comparison.target), _pair(content, comparison.output)
        self._pairs = real, drawn.detach()

    @property
    def objective(self) -> Objective:
        """What the discriminator minimises."""
        return Objective(self._judging, trains=(NAME,))

    def _judging(self, now: Iteration) -> dict[str, Tensor]:
        if self._pairs is None:
            raise RuntimeError("the student draws before it is judged")
        with now.autocast():
            true, wrong = now.net(NAME)(torch.cat(self._pairs)).float().chunk(2)
        now.watch(f"{NAME}_teacher", true)
        now.watch(f"{NAME}_student", wrong)
        return {"judge": 0.5 * ((true - 1).square().mean() + wrong.square().mean())}


def _pair(content: Tensor, picture: Tensor) -> Tensor:
    """Put a photo and a picture in [0, 1] on top of each other, in [-1, 1]: (N, 6, H, W)."""
    return torch.cat([content, picture], 1) * 2 - 1
