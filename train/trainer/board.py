"""Where a training is watched: curves in TensorBoard, preview pictures as PNG files too."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch
from PIL import Image
from torch import Tensor

from stylepress.progress import Progress
from stylepress.replace import replacing_file
from stylepress.train.trainer.plan import Board, Session
from stylepress.train.trainer.team import Team


@contextmanager
def open_board(folder: Path, team: Team, progress: Progress) -> Iterator[Board | None]:
    """Yield a writer into ``folder``, or None for all but the first process of a team.

    Without tensorboard a warning tells what is missing, and training goes on.
    """
    if not team.leads:
        yield None
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tensorboard's own deprecations are not the user's
            from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        progress.warn(
            "tensorboard is not installed, so no curves are kept. "
            'Install it with `pip install "stylepress[train]"`.'
        )
        yield None
        return
    progress.say(f"Curves: tensorboard --logdir {folder}")
    with SummaryWriter(str(folder)) as writer:
        yield cast("Board", writer)


def previews(session: Session) -> Path:
    """Return the folder of a training's preview pictures."""
    return session.folder / "previews"


def show_preview(picture: Tensor, done: int, session: Session) -> None:
    """Write a (3, H, W) picture in [0, 1] below the session's folder and on its board."""
    shown = picture.detach().float().clamp(0, 1).cpu()
    levels = shown.mul(255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    with replacing_file(previews(session) / f"{done:07}.png") as beside:
        Image.fromarray(levels).save(beside)
    if session.board is not None:
        session.board.add_image("preview", shown, done)
