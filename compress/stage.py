"""The second step: a student distilled from a teacher's checkpoint."""

from __future__ import annotations

from pathlib import Path

from stylepress.artifact import Artifact
from stylepress.compress.distil import DistilOptions, Teacher, distil_student, save_student
from stylepress.errors import RecipeError
from stylepress.steps import DistilStep
from stylepress.train.board import open_board
from stylepress.train.loop import LoopOptions, Run, fast_precision, joined_team
from stylepress.train.stage import album, style_pixels
from stylepress.train.student import PRESETS
from stylepress.train.weights.checkpoint import load_network
from stylepress.work import Work


def distil(source: Artifact, step: DistilStep, out: Path, work: Work) -> Artifact:
    """Distil a student from the checkpoint ``source`` and save it, folded, in ``out``.

    Only the first process of a torchrun team writes.

    Raises:
        TrainingError: the loss stopped being finite.
        FrameError: no photos.
    """
    if step.photos is None:
        raise RecipeError("A student is distilled on photos. Add `photos: FOLDER`.")
    loaded = load_network(source.folder)
    style = style_pixels(step.style) if step.style is not None else None
    photos = album(step.photos, work)
    options = distil_options(step, seed=step.seed or 0)
    with joined_team(work.environ) as team:
        board = open_board(work.board, team, work.progress)
        run = Run(work.folder, work.progress, resume=work.resume, team=team, board=board)
        net, loss = distil_student(
            Teacher(loaded.module, loaded.image, style), photos, PRESETS[step.preset], options, run
        )
        if team.rank != 0:
            raise SystemExit(0)  # the first process carries on alone
        return save_student(
            net, out, name=work.name, options=options, parent=source.digest, loss=loss
        )


def distil_options(step: DistilStep, *, seed: int) -> DistilOptions:
    """Return what a recipe's ``distil`` section asks for."""
    return DistilOptions(
        loop=LoopOptions(
            steps=step.steps,
            batch=step.batch,
            learning_rate=step.learning_rate,
            seed=seed,
            save_every=step.save_every,
            sample_every=step.sample_every,
            precision=fast_precision(),
        ),
        crop_px=step.crop_px,
        pool=step.pool,
        pool_px=step.pool_px,
        frame_weight=step.frame_weight,
        style_weight=step.style_weight,
        to_style=step.to_style,
        content_weight=step.content_weight,
        grid_weight=step.grid_weight,
        feature_weight=step.feature_weight,
        taps=step.taps,
        noise_weight=step.noise_weight,
        noise_level=step.noise_level,
        twin_shift=step.twin_shift,
        freeze_norm_share=step.freeze_norm_share,
    )
