"""What the trainer is told and tells: numbers of a step, the session around it, the summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from stylepress.progress import Progress, Silent
from stylepress.train.trainer.device import Device
from stylepress.train.trainer.team import Team


class Plan(Protocol):
    """The numbers that a trainer reads of a recipe's step; ``batch`` counts all processes."""

    @property
    def steps(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def seed(self) -> int | None: ...
    @property
    def save_every(self) -> int: ...
    @property
    def sample_every(self) -> int: ...


class Board(Protocol):
    """Where curves and preview pictures go; TensorBoard's SummaryWriter is one."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Draw one point of a curve."""

    def add_image(self, tag: str, img_tensor: Tensor, global_step: int) -> None:
        """Show one (3, H, W) picture in [0, 1]."""


@dataclass(frozen=True)
class Session:
    """Where a training lives, who takes part, and who watches.

    ``identity`` is everything that decides the result, as JSON values: a saved state is gone on
    with only when nothing of it changed. ``resume`` asks to go on from the state in ``folder``.
    ``pictures`` is where a teacher's pictures are kept for trainings on the same ones.
    """

    folder: Path
    identity: Mapping[str, Any] = field(default_factory=dict)
    resume: bool = False
    progress: Progress = field(default_factory=Silent)
    team: Team = field(default_factory=Team)
    device: Device = field(default_factory=Device)
    board: Board | None = None
    pictures: Path | None = None


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """What came of a training.

    ``loss`` and ``terms`` are means over the last tenth of the steps. ``images_per_s`` counts all
    processes and ``waiting_share`` is the part of the time in which this one waited for data;
    both are None when a finished training was resumed and nothing was left to do.
    """

    loss: float
    terms: Mapping[str, float]
    steps: int
    device: str
    images_per_s: float | None
    waiting_share: float | None

    def line(self) -> str:
        """Tell how fast it went, and where."""
        if self.images_per_s is None or self.waiting_share is None:
            return f"All {self.steps} steps were done before; loss {self.loss:.4f}."
        return (
            f"{self.images_per_s:.1f} images/s on {self.device}; "
            f"{100 * self.waiting_share:.1f} % of the time waiting for data."
        )
