"""Train two styles into one network, and a mask that says where which is drawn."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylepress.model_steps import RegionsStep
from stylepress.train.families.regions import WHITE, RegionStyles
from stylepress.train.photos import Photos
from stylepress.train.style_loss import ImageLoss
from stylepress.train.trainer.feed import generator
from stylepress.train.trainer.fit import Iteration, Objective, Training, fit
from stylepress.train.trainer.part import Part, adam, warm_linear
from stylepress.train.trainer.plan import Session, TrainingSummary

TURNS = 3
"""Steps in turn: the style outside alone, that inside alone, both in one picture."""


def train_regions(
    photos: Photos, losses: tuple[ImageLoss, ImageLoss], step: RegionsStep, session: Session
) -> tuple[RegionStyles, TrainingSummary]:
    """Train on the losses of the styles outside and inside; return the network on the CPU.

    Under a black and under a white mask it learns one style each. Under a drawn mask its picture
    shall be, on each side, what it draws of that style alone.

    Raises:
        TrainingError: the loss stopped being finite.
        FrameError: not one photo can be read.
    """
    torch.manual_seed(step.seed or 0)
    net = RegionStyles(step.width, step.blocks)
    nn.init.constant_(net.last.conv2d.bias, 0.5)  # type: ignore[arg-type]

    def terms(now: Iteration) -> dict[str, Tensor]:
        content, mask = now.batch
        turn = now.number % TURNS
        drawing = now.net("net")
        if turn < 2:
            with now.autocast():
                drawn = drawing(content, torch.full_like(mask, turn * int(WHITE)))
            return losses[turn](drawn.float(), content, now.draw)
        with torch.no_grad(), now.autocast():
            apart = [net(content, torch.full_like(mask, level)) for level in (0, int(WHITE))]
        with now.autocast():
            drawn = drawing(content, mask)
        target = composed(apart[0].float(), apart[1].float(), mask)
        return {"border": step.border_weight * F.l1_loss(drawn.float(), target)}

    def sample(draw: torch.Generator) -> tuple[Tensor, ...]:
        return photos.crop(draw, step.crop_px), drawn_mask(draw, step.crop_px)

    shown = [tensor[None] for tensor in sample(generator(step.seed or 0, 0))]

    def preview() -> Tensor:
        content, mask = (tensor.to(session.device.place) for tensor in shown)
        with torch.no_grad():
            drawn = net(content, mask)[0].float()
        return torch.cat([content[0], mask[0].permute(2, 0, 1).expand(3, -1, -1) / WHITE, drawn], 2)

    training = Training(
        parts=[Part("net", net, adam(net, step.learning_rate), warm_linear(step.steps))],
        objectives=[Objective(terms, trains=("net",))],
        sample=sample,
        preview=preview,
    )
    return net, fit(training, step, session, title="Training two styles and their regions")


def composed(outside: Tensor, inside: Tensor, mask: Tensor) -> Tensor:
    """Lay one picture (N, 3, H, W) over another where a mask (N, H, W, 1) uint8 is white."""
    share = mask.permute(0, 3, 1, 2).float() / WHITE
    return outside + share * (inside - outside)


def drawn_mask(draw: torch.Generator, side: int) -> Tensor:
    """Draw a mask of smooth shapes, (S, S, 1) uint8: 0 and 255, soft at the borders between."""
    small = torch.randn(1, 1, 5, 5, generator=draw)
    waves = F.interpolate(small, (side, side), mode="bicubic", align_corners=False)
    return (waves * 8 + 0.5).clamp(0, 1).mul(WHITE).round().to(torch.uint8)[0].permute(1, 2, 0)
