"""Train a library of styles: one network, a loss a style, a style drawn at random each step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from stylepress.model_steps import LibraryStep
from stylepress.train.families.library import StyleLibrary
from stylepress.train.photos import Photos
from stylepress.train.style_loss import ImageLoss
from stylepress.train.trainer.feed import generator
from stylepress.train.trainer.fit import Iteration, Objective, Training, fit
from stylepress.train.trainer.part import Part, adam, warm_linear
from stylepress.train.trainer.plan import Session, TrainingSummary


def train_library(
    photos: Photos, losses: Mapping[str, ImageLoss], step: LibraryStep, session: Session
) -> tuple[StyleLibrary, TrainingSummary]:
    """Train one network on all styles of ``losses``; return it on the CPU.

    Each step takes the next style in turn, so that all get equally many.

    Raises:
        TrainingError: the loss stopped being finite.
        FrameError: not one photo can be read.
    """
    torch.manual_seed(step.seed or 0)
    net = StyleLibrary(",".join(losses), step.width, step.blocks)
    nn.init.constant_(net.last.conv2d.bias, 0.5)  # type: ignore[arg-type]
    names = list(losses)
    rows = torch.eye(len(names))

    def terms(now: Iteration) -> dict[str, Tensor]:
        (content,) = now.batch
        turn = now.number % len(names)
        style = rows[turn].to(content.device).expand(len(content), -1)
        with now.autocast():
            output = now.net("net")(content, style)
        height, width = content.shape[-2:]
        drawn = output.float()[..., :height, :width]
        # Of a style that is not looked at, gains and offsets stand still: their gradient is 0.
        return losses[names[turn]](drawn, content, now.draw)

    shown = photos.crop(generator(step.seed or 0, 0), step.crop_px)[None]

    def preview() -> Tensor:
        content = shown.to(session.device.place).expand(len(names), -1, -1, -1)
        with torch.no_grad():
            drawn = net(content, rows.to(content.device)).float()
        return torch.cat([content[0], *drawn], 2)

    part = Part("net", net, adam(net, step.learning_rate), warm_linear(step.steps))
    training = Training(
        parts=[part],
        objectives=[Objective(terms, trains=("net",))],
        sample=lambda draw: (photos.crop(draw, step.crop_px),),
        preview=preview,
    )
    return net, fit(training, step, session, title="Training the library of styles")
