"""The first stage: a recipe's teacher, trained or loaded, as a checkpoint artifact."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

import stylepress
from stylepress.artifact import Artifact
from stylepress.errors import RecipeError
from stylepress.recipe import Recipe, Style, TrainStep
from stylepress.train.board import open_board
from stylepress.train.loop import LoopOptions, Run, fast_precision, joined_team
from stylepress.train.patterns import draw
from stylepress.train.perceptual import PerceptualLoss, load_vgg16
from stylepress.train.photos import Photos, read_style
from stylepress.train.style_loss import ImageLoss, StyleContentLoss
from stylepress.train.teacher import TeacherOptions, save_teacher, train_teacher
from stylepress.train.weights.checkpoint import load_teacher, save_checkpoint
from stylepress.train.weights.standard import require_weights
from stylepress.work import Work


def load_stage(checkpoint: Path, folder: Path, *, name: str) -> Artifact:
    """Turn somebody's weights of a known family into a checkpoint artifact in ``folder``.

    Raises:
        CheckpointError: unsafe, damaged, not finite, or of no known family.
    """
    loaded = load_teacher(checkpoint)
    return save_checkpoint(
        loaded.module,
        folder,
        family=loaded.family,
        config=loaded.config,
        spec=loaded.image,
        made_by={"step": "load", "stylepress": stylepress.__version__, "from": checkpoint.name},
        name=name,
        parent=loaded.digest,
    )


def train_stage(recipe: Recipe, folder: Path, work: Work) -> Artifact:
    """Train the recipe's teacher on its style and photos, and save it in ``folder``.

    Only the first process of a torchrun team writes.

    Raises:
        TrainingError: the loss stopped being finite.
        FrameError: no photos, or a style picture that cannot be read.
    """
    step = recipe.training
    if step is None or recipe.style is None:
        raise RecipeError(
            "This recipe loads its teacher, so there is nothing to train. "
            "Give it `teacher: {train: {}}` and a `style`."
        )
    options = TeacherOptions(
        loop=LoopOptions(
            steps=step.steps,
            batch=step.batch,
            learning_rate=step.learning_rate,
            seed=recipe.seed,
            save_every=step.save_every,
            sample_every=step.sample_every,
            precision=fast_precision(),
        ),
        width=step.width,
        blocks=step.blocks,
        crop_px=step.crop_px,
    )
    photos = Photos.below(recipe.photos, work.progress)
    loss = _loss(step, style_pixels(recipe.style), work)
    with joined_team(work.environ) as team:
        board = open_board(work.board, team, work.progress)
        run = Run(work.folder, work.progress, resume=work.resume, team=team, board=board)
        net, final = train_teacher(photos, loss, options, run)
        if team.rank != 0:
            raise SystemExit(0)  # the first process carries on alone
        return save_teacher(net, folder, name=recipe.name, options=options, loss=final)


def style_pixels(style: Style) -> Tensor:
    """Return the recipe's style picture: (3, H, W) float32 in [0, 1].

    Raises:
        FrameError: the file cannot be read.
    """
    if style.picture is not None:
        return read_style(style.picture)
    drawn = torch.from_numpy(draw(style.pattern or "", seed=style.seed, size=style.size))
    return (drawn.float() / 255).permute(2, 0, 1).contiguous()


def _loss(step: TrainStep, style: Tensor, work: Work) -> ImageLoss:
    if step.loss == "swd":
        content_weight = 0.1 if step.content_weight is None else step.content_weight
        return StyleContentLoss(
            style,
            style_weight=step.style_weight,
            content_weight=content_weight,
            palette_weight=step.palette_weight,
            style_px=step.style_px,
        )
    found = require_weights("vgg16", explicit=step.vgg, env=work.environ, home=work.home)
    if not found.genuine:
        work.progress.warn(f"{found.path.name} is not the published VGG-16; losses will differ.")
    content_weight = 1.0 if step.content_weight is None else step.content_weight
    return PerceptualLoss(
        load_vgg16(found.path),
        style,
        content_weight=1e5 * content_weight,
        style_weight=1e10 * step.style_weight,
    )
