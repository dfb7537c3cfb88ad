"""Train a CycleGAN: photos to paintings and back, without pairs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.model_steps import TranslateStep
from stylepress.train.models.generators import (
    Config,
    PatchJudge,
    fresh_parts,
    generator_of,
)
from stylepress.train.photos import Photos
from stylepress.train.trainer.feed import generator
from stylepress.train.trainer.fit import Iteration, Objective, Training, fit
from stylepress.train.trainer.part import Part
from stylepress.train.trainer.plan import Session, TrainingSummary


def train_translator(
    photos: Photos, paintings: Photos, step: TranslateStep, session: Session
) -> tuple[nn.Module, str, Config, TrainingSummary]:
    """Train two generators and two discriminators; return that from photos to paintings.

    Its family and its config come with it.

    Zhu et al. 2017 (arXiv 1703.10593): least squares for real and drawn (equation 1 with squares),
    what went there and back must be what it was (equation 2), and a picture of the aim stays.

    Raises:
        TrainingError: the loss stopped being finite.
        FrameError: not one picture of a folder can be read.
    """
    torch.manual_seed(step.seed or 0)
    made, family, config = generator_of(step)
    nets: dict[str, nn.Module] = {
        "to_paintings": made,
        "to_photos": generator_of(step)[0],
        "judge_paintings": PatchJudge(step.judge_width),
        "judge_photos": PatchJudge(step.judge_width),
    }
    parts = fresh_parts(nets, step)
    pools = {name: Pool(step.pool, step.crop_px) for name in ("paintings", "photos")}
    parts += [Part(f"pool_{name}", pool) for name, pool in pools.items()]
    drawn: dict[str, Tensor] = {}

    def sample(draw: torch.Generator) -> tuple[Tensor, ...]:
        sides = (photos, paintings)
        return tuple(2 * one.crop(draw, step.crop_px, strange=False) - 1 for one in sides)

    shown = sample(generator(step.seed or 0, 0))[0][None]

    def preview() -> Tensor:
        net = nets["to_paintings"]
        held = shown.to(session.device.place)
        with torch.no_grad():
            return torch.cat([held[0], net(held)[0].float()], 2) / 2 + 0.5

    training = Training(
        parts=parts,
        objectives=[
            Objective(_drawing(step, drawn), trains=("to_paintings", "to_photos")),
            Objective(_judging(pools, drawn), trains=("judge_paintings", "judge_photos")),
        ],
        sample=sample,
        preview=preview,
    )
    summary = fit(training, step, session, title="Training CycleGAN")
    return made.eval(), family, config, summary


def _drawing(step: TranslateStep, drawn: dict[str, Tensor]) -> Callable[..., dict[str, Tensor]]:
    """Return what the generators minimise; what they drew is kept in ``drawn`` for the judges."""

    def terms(now: Iteration) -> dict[str, Tensor]:
        photo, painting = now.batch
        there, back = now.net("to_paintings"), now.net("to_photos")
        with now.autocast():
            painted, seen = there(photo), back(painting)
            photo_again, painting_again = back(painted), there(seen)
            judged = now.net("judge_paintings")(painted), now.net("judge_photos")(seen)
            kept = there(painting), back(photo)
        drawn.update(paintings=painted.detach().float(), photos=seen.detach().float())
        cycle = F.l1_loss(photo_again.float(), photo) + F.l1_loss(painting_again.float(), painting)
        same = F.l1_loss(kept[0].float(), painting) + F.l1_loss(kept[1].float(), photo)
        return {
            "fooled": torch.stack([(one.float() - 1).square().mean() for one in judged]).sum(),
            "cycle": step.cycle_weight * cycle,
            "identity": step.cycle_weight * step.identity_weight * same,
        }

    return terms


def _judging(
    pools: dict[str, Pool], drawn: dict[str, Tensor]
) -> Callable[[Iteration], dict[str, Tensor]]:
    def terms(now: Iteration) -> dict[str, Tensor]:
        real = dict(zip(("photos", "paintings"), now.batch, strict=True))
        found = {}
        for name, pool in pools.items():
            false = pool(drawn[name], now.draw)
            with now.autocast():
                judged = now.net(f"judge_{name}")(torch.cat([real[name], false])).float()
            true, wrong = judged.chunk(2)
            now.watch(f"{name}_real", true)
            now.watch(f"{name}_drawn", wrong)
            found[f"judge_{name}"] = 0.5 * ((true - 1).square().mean() + wrong.square().mean())
        return found

    return terms


class Pool(nn.Module):
    """Drawn pictures of steps before: half of what is judged comes from there.

    Shrivastava et al. 2017 (arXiv 1612.07828), section 2.3. It is a module so that a saved state
    holds it.
    """

    def __init__(self, size: int, side: int) -> None:
        super().__init__()
        self.kept: Tensor
        self.count: Tensor
        self.register_buffer("kept", torch.zeros(size, 3, side, side))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, drawn: Tensor, draw: torch.Generator) -> Tensor:
        """Put (N, 3, H, W) into the pool; return as many, some of them older."""
        given = []
        for picture in drawn:
            size, count = len(self.kept), int(self.count)
            chance, place = torch.rand(2, generator=draw).tolist()
            if count < size:
                self.kept[count] = picture
                self.count += 1
                given.append(picture)
            elif size and chance < 0.5:
                at = int(place * size)
                given.append(self.kept[at].clone())
                self.kept[at] = picture
            else:
                given.append(picture)
        return torch.stack(given)
