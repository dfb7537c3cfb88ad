"""The losses of a training: kept on the device, fetched every few steps, checked and summed."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from stylepress.errors import TrainingError
from stylepress.train.trainer.plan import Board, Plan
from stylepress.train.trainer.state import Reached, what_is_left
from stylepress.train.trainer.team import Team

TAIL = 0.1
"""Share of the steps, at the end, whose mean is the loss that is reported."""


class Ledger:
    """Loss terms by step; ``reached`` sums up those of the tail."""

    def __init__(self, plan: Plan, reached: Reached, team: Team, board: Board | None) -> None:
        self.reached = reached
        self._team, self._board = team, board
        self._tail_from = min(plan.steps - 1, int(plan.steps * (1 - TAIL)))
        self._pending: list[tuple[int, dict[str, Tensor], dict[str, Tensor]]] = []

    def note(
        self, number: int, terms: dict[str, Tensor], watched: dict[str, Tensor] | None = None
    ) -> None:
        """Keep the terms of one step, and what is only watched; scalars on the device."""
        self._pending.append((number, terms, watched or {}))

    def settle(self, state: Path) -> float:
        """Fetch what is pending, mean over the team; return the latest total.

        Raises:
            TrainingError: a loss is not finite.
        """
        flat = [one for _, *both in self._pending for group in both for one in group.values()]
        values = iter(self._team.mean(torch.stack(flat).tolist() if flat else []))
        total = 0.0
        for number, terms, watched in self._pending:
            fetched = {name: next(values) for name in terms}
            shown = {f"loss/{name}": value for name, value in fetched.items()}
            shown |= {f"output/{name}": next(values) for name in watched}
            total = sum(fetched.values())
            if not math.isfinite(total):
                raise TrainingError(*_not_finite(number, fetched, state))
            if number >= self._tail_from:
                self.reached.add(fetched)
            for tag, value in shown.items() if self._board else ():
                self._board.add_scalar(tag, value, number)  # type: ignore[union-attr]
        self._pending.clear()
        return total


def _not_finite(number: int, terms: dict[str, float], state: Path) -> tuple[str, str]:
    shown = ", ".join(f"{name} {value}" for name, value in terms.items())
    return (
        f"The loss stopped being finite at step {number} ({shown}). {what_is_left(state)}",
        "Train again with a lower `learning_rate`.",
    )
