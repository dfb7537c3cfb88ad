"""Train a library of styles: one network, a loss a style, a style drawn at random each step."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stylepress.model_steps import LibraryStep
from stylepress.train.families.library import StyleLibrary
from stylepress.train.photos import Photos
from stylepress.train.style_loss import ImageLoss
from stylepress.train.teacher import to_unit_range
from stylepress.train.trainer.feed import generator
from stylepress.train.trainer.fit import Iteration, Objective, Training, fit
from stylepress.train.trainer.part import Part, warm_linear
from stylepress.train.trainer.plan import Session, TrainingSummary
from stylepress.train.transformer import TransformerNet

ROWS_RATE = 5.0
"""Learning rate of gains and offsets, in that of the layers: each is trained at its style's turns."""


def train_library(
    photos: Photos,
    losses: Mapping[str, ImageLoss],
    step: LibraryStep,
    session: Session,
    *,
    start: nn.Module | None = None,
) -> tuple[StyleLibrary, TrainingSummary]:
    """Train one network on all styles of ``losses``; return it on the CPU.

    Each step takes the next style in turn, so that all get equally many. The network begins as
    ``start`` where that is a TransformerNet of its size: it draws one of the styles already, and
    the others have a good part of its layers in common.

    Raises:
        TrainingError: the loss stopped being finite.
        FrameError: not one photo can be read.
    """
    torch.manual_seed(step.seed or 0)
    net = StyleLibrary(",".join(losses), step.width, step.blocks)
    nn.init.constant_(net.last.conv2d.bias, 0.5)  # type: ignore[arg-type]
    if isinstance(start, TransformerNet) and (start.width, start.blocks) == (net.width, net.blocks):
        begin_as(net, start)
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

    # Strange crops make up for patches that do not tell how photos look: features and teachers do.
    strange = step.loss != "vgg"
    descent = torch.optim.Adam(_groups(net, step.learning_rate), lr=step.learning_rate)
    part = Part("net", net, descent, warm_linear(step.steps))
    training = Training(
        parts=[part],
        objectives=[Objective(terms, trains=("net",))],
        sample=lambda draw: (photos.crop(draw, step.crop_px, strange=strange),),
        preview=preview,
    )
    return net, fit(training, step, session, title="Training the library of styles")


def _groups(net: StyleLibrary, rate: float) -> list[dict[str, Any]]:
    """Return the weights of the layers, and the gains and offsets of styles with their own rate."""
    rows, shared = list[nn.Parameter](), list[nn.Parameter]()
    for name, weight in net.named_parameters():
        (rows if name.endswith((".gain", ".offset")) else shared).append(weight)
    return [{"params": shared}, {"params": rows, "lr": ROWS_RATE * rate}]


@torch.no_grad()
def begin_as(library: StyleLibrary, net: TransformerNet) -> None:
    """Let every style of ``library`` be drawn as ``net`` draws, exactly; ``net`` is of 0..255."""
    unit = to_unit_range(copy.deepcopy(net))
    residuals = [unit.get_submodule(f"res{number}") for number in range(1, net.blocks + 1)]
    layers = [*library.down, *library.first, *library.second, *library.up]
    convs = [
        *(unit.conv1, unit.conv2, unit.conv3),
        *(one.get_submodule("conv1") for one in residuals),
        *(one.get_submodule("conv2") for one in residuals),
        *(unit.deconv1, unit.deconv2),
    ]
    norms = [
        *(unit.in1, unit.in2, unit.in3),
        *(one.get_submodule("in1") for one in residuals),
        *(one.get_submodule("in2") for one in residuals),
        *(unit.in4, unit.in5),
    ]
    for layer, conv, norm in zip(layers, convs, norms, strict=True):
        layer.get_submodule("conv").load_state_dict(conv.state_dict())
        for row, value in (("gain", "weight"), ("offset", "bias")):
            rows = layer.get_parameter(row)
            rows.copy_(norm.get_parameter(value).expand_as(rows))
    library.last.load_state_dict(unit.deconv3.state_dict())
