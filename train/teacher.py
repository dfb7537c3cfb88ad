"""Train a TransformerNet on one style picture: the teacher that students are distilled from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

import stylepress
from stylepress.artifact import Artifact
from stylepress.steps import TrainStep, recorded
from stylepress.train.photos import Photos
from stylepress.train.style_loss import ImageLoss
from stylepress.train.temporal import inconsistency, movement, ramp
from stylepress.train.trainer.feed import generator
from stylepress.train.trainer.fit import Iteration, Objective, Training, fit
from stylepress.train.trainer.part import Part, adam, warm_linear
from stylepress.train.trainer.plan import Session, TrainingSummary
from stylepress.train.transformer import TransformerNet
from stylepress.train.weights.checkpoint import save_checkpoint
from stylepress.train.weights.families import FAMILIES


def train_teacher(
    photos: Photos,
    loss: ImageLoss,
    step: TrainStep,
    session: Session,
    *,
    start: TransformerNet | None = None,
) -> tuple[TransformerNet, TrainingSummary]:
    """Train from scratch or from ``start``; return the network in its public 0..255 range, on the CPU.

    The network works on [0, 1] while it learns, where its default initialisation is sane, and is
    folded to 0..255 afterwards: scaling the first kernel by 1/255 and the last by 255 is exact.

    Raises:
        TrainingError: the loss stopped being finite.
        FrameError: not one photo can be read.
    """
    torch.manual_seed(step.seed or 0)
    if start is None:
        net = TransformerNet(step.width, step.blocks)
        nn.init.constant_(_bias(net.deconv3.conv2d), 0.5)
    else:
        net = to_unit_range(start.train().requires_grad_(True))

    def terms(now: Iteration) -> dict[str, Tensor]:
        (content,) = now.batch
        if not step.temporal_weight:
            with now.autocast():
                output = now.net("net")(content)
            return loss(output.float(), content, now.draw)
        move = movement((content.shape[-2], content.shape[-1]), now.draw, content.device)
        with now.autocast():
            both = now.net("net")(torch.cat([content, move.seen(content)]))
        output, second = both.float().split(len(content))
        unrest = inconsistency(output, second, content, move)
        weight = step.temporal_weight * ramp(now.number, step.steps)
        return loss(output, content, now.draw) | {"temporal": weight * unrest}

    part = Part("net", net, adam(net, step.learning_rate), warm_linear(step.steps))
    preview = side_by_side(photos.crop(generator(step.seed or 0, 0), step.crop_px))
    training = Training(
        parts=[part],
        objectives=[Objective(terms, trains=("net",))],
        sample=lambda draw: (photos.crop(draw, step.crop_px),),
        preview=lambda: preview(net),
    )
    summary = fit(training, step, session, title="Training the teacher")
    return to_public_range(net).eval(), summary


def side_by_side(photo: Tensor) -> Callable[[nn.Module], Tensor]:
    """Return what draws a (3, H, W) photo in [0, 1] beside what a network makes of it."""

    def drawn(module: nn.Module) -> Tensor:
        training = module.training
        held = photo.to(next(module.parameters()).device)
        with torch.no_grad():
            output = module.eval()(held[None])[0, :, : held.shape[1], : held.shape[2]]
        module.train(training)
        return torch.cat([held, output.float()], dim=2)

    return drawn


def save_teacher(
    net: TransformerNet, folder: Path, *, name: str, step: TrainStep, summary: TrainingSummary
) -> Artifact:
    """Write a trained teacher as a checkpoint artifact."""
    return save_checkpoint(
        net,
        folder,
        family="transformer",
        config={"width": net.width, "blocks": net.blocks},
        spec=FAMILIES["transformer"].image,
        made_by={"stylepress": stylepress.__version__, **recorded(step)},
        name=name,
        numbers={"loss": summary.loss},
    )


def to_public_range(net: TransformerNet) -> TransformerNet:
    """Fold a network of [0, 1] images into one of 0..255 images, in place and exactly."""
    with torch.no_grad():
        net.conv1.conv2d.weight /= 255
        net.deconv3.conv2d.weight *= 255
        _bias(net.deconv3.conv2d).mul_(255)
    return net


def to_unit_range(net: TransformerNet) -> TransformerNet:
    """Undo ``to_public_range``: fold a network of 0..255 images into one of [0, 1] images."""
    with torch.no_grad():
        net.conv1.conv2d.weight *= 255
        net.deconv3.conv2d.weight /= 255
        _bias(net.deconv3.conv2d).div_(255)
    return net


def _bias(conv: nn.Conv2d) -> Tensor:
    if conv.bias is None:
        raise TypeError("a TransformerNet convolution has a bias")
    return conv.bias
