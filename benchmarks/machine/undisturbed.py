"""Measure a part while the machine is watched, and again when others disturbed it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Generic, Protocol, TypeVar

from stylepress.benchmarks.machine.timeline import Window
from stylepress.benchmarks.machine.watch import Validity
from stylepress.progress import Progress

Value = TypeVar("Value")


class Judge(Protocol):
    """What says whether a time that is over counts: a ``Watch``."""

    def judged(self, window: Window) -> Validity:
        """Judge what ran in a window."""


@dataclass(frozen=True, slots=True)
class Measured(Generic[Value]):
    """What was measured, and why it does not count; ``disturbed`` is empty when it does."""

    values: tuple[Value, ...]
    disturbed: tuple[str, ...]

    @property
    def why(self) -> str:
        """Why it does not count, in a line."""
        return "; ".join(self.disturbed)


def measured(
    what: str,
    make: Callable[[], Iterable[Value]],
    judge: Judge,
    *,
    progress: Progress,
    tries: int = 1,
) -> Measured[Value]:
    """Measure ``what`` until nobody disturbed it, ``tries`` times at most.

    The whole time is judged, its mean load among others: a short burst in a long part spoils some
    rounds of it, which medians over the rounds bear.
    """
    while True:
        began_ns = perf_counter_ns()
        values = tuple(make())
        found = Measured(values, judge.judged(Window(began_ns, perf_counter_ns())).reasons)
        tries -= 1
        if not found.disturbed or tries < 1:
            return found
        progress.warn(f"{what} is measured again: {found.why}.")
