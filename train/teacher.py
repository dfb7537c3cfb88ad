"""Train a TransformerNet on one style picture: the teacher that students are distilled from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

import stylepress
from stylepress.artifact import Artifact
from stylepress.train.loop import LoopOptions, Run, Step, autocast, fit
from stylepress.train.photos import Photos
from stylepress.train.style_loss import ImageLoss
from stylepress.train.transformer import TransformerNet
from stylepress.train.weights.checkpoint import save_checkpoint
from stylepress.train.weights.families import FAMILIES


@dataclass(frozen=True, slots=True)
class TeacherOptions:
    """The network and its training; ``crop_px`` is the side of the training squares."""

    loop: LoopOptions = field(
        default_factory=lambda: LoopOptions(2000, batch=1, learning_rate=1.5e-3, seed=1)
    )
    width: int = 32
    blocks: int = 5
    crop_px: int = 256


def train_teacher(
    photos: Photos, loss: ImageLoss, options: TeacherOptions, run: Run
) -> tuple[TransformerNet, float]:
    """Train from scratch; return the network in its public 0..255 range and the final loss.

    The network works on [0, 1] while it learns, where its default initialisation is sane, and is
    folded to 0..255 afterwards: scaling the first kernel by 1/255 and the last by 255 is exact.

    Raises:
        TrainingError: the loss stopped being finite.
        FrameError: not one photo can be read.
    """
    torch.manual_seed(options.loop.seed)
    net = TransformerNet(options.width, options.blocks)
    nn.init.constant_(_bias(net.deconv3.conv2d), 0.5)

    def losses(module: nn.Module, step: Step) -> dict[str, Tensor]:
        content = torch.stack([photos.crop(draw, options.crop_px) for draw in step.samples()])
        with autocast(step.options.precision, content.device):
            output = module(content)
        return loss(output.float(), content, step.shared())

    if run.sample is None:
        shown = photos.crop(torch.Generator().manual_seed(options.loop.seed), options.crop_px)
        run = replace(run, sample=side_by_side(shown))
    final = fit(net, losses, options.loop, run, title="Training the teacher")
    return to_public_range(net).eval(), final


def side_by_side(photo: Tensor) -> Callable[[nn.Module], Tensor]:
    """Return what draws a (3, H, W) photo in [0, 1] beside what a network makes of it."""

    def drawn(module: nn.Module) -> Tensor:
        training = module.training
        with torch.no_grad():
            output = module.eval()(photo[None])[0, :, : photo.shape[1], : photo.shape[2]]
        module.train(training)
        return torch.cat([photo, output.float()], dim=2)

    return drawn


def save_teacher(
    net: TransformerNet, folder: Path, *, name: str, options: TeacherOptions, loss: float
) -> Artifact:
    """Write a trained teacher as a checkpoint artifact."""
    return save_checkpoint(
        net,
        folder,
        family="transformer",
        config={"width": net.width, "blocks": net.blocks},
        spec=FAMILIES["transformer"].image,
        made_by={"step": "train", "stylepress": stylepress.__version__, **asdict(options)},
        name=name,
        numbers={"loss": loss},
    )


def to_public_range(net: TransformerNet) -> TransformerNet:
    """Fold a network of [0, 1] images into one of 0..255 images, in place and exactly."""
    with torch.no_grad():
        net.conv1.conv2d.weight /= 255
        net.deconv3.conv2d.weight *= 255
        _bias(net.deconv3.conv2d).mul_(255)
    return net


def _bias(conv: nn.Conv2d) -> Tensor:
    if conv.bias is None:
        raise TypeError("a TransformerNet convolution has a bias")
    return conv.bias
