"""Open the session of one training step: join the team, find the device, open the board."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

from stylepress.train.trainer.board import open_board
from stylepress.train.trainer.device import resolve_device
from stylepress.train.trainer.plan import Plan, Session
from stylepress.train.trainer.team import joined_team
from stylepress.work import Work


class Precise(Plan, Protocol):
    """A step that says how precisely its networks run."""

    @property
    def precision(self) -> Literal["auto", "fp32", "bf16", "fp16"]: ...


@contextmanager
def open_session(work: Work, step: Precise) -> Iterator[Session]:
    """Yield the session in which ``step`` is trained.

    Raises:
        RecipeError: no such device here.
    """
    with joined_team(work.environ) as team:
        device = resolve_device(work.device, step.precision, team)
        with open_board(work.board, team, work.progress) as board:
            yield Session(
                folder=work.folder,
                identity={**work.identity, "precision": device.precision},
                resume=work.resume,
                progress=work.progress,
                team=team,
                device=device,
                board=board,
            )
