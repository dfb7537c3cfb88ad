"""TensorBoard: curves and sample pictures of a training run."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import cast

from stylepress.progress import Progress
from stylepress.train.loop import Board, Team


def open_board(folder: Path, team: Team, progress: Progress) -> Board | None:
    """Return a writer into ``folder``, or None for all but the first process of a team.

    Without tensorboard a warning tells what is missing, and training goes on.
    """
    if team.rank != 0:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tensorboard's own deprecations are not the user's
            from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        progress.warn(
            "tensorboard is not installed, so no curves are kept. "
            'Install it with `pip install "stylepress[train]"`.'
        )
        return None
    progress.say(f"Curves and samples: tensorboard --logdir {folder}")
    return cast("Board", SummaryWriter(str(folder)))
