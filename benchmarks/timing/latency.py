"""Latency of several systems, measured in turns so that a drifting machine is fair to all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from stylepress.benchmarks.timing.loop import Clock, closed_loop
from stylepress.progress import Progress


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure.

    In each of ``rounds`` every system has one turn, of at least ``turn_s`` seconds or
    ``most_calls`` calls, whichever is less, and at least one call. Each is run ``warm_up`` times
    before the first round.
    """

    rounds: int = 10
    turn_s: float = 0.2
    most_calls: int = 64
    warm_up: int = 2


@dataclass(frozen=True, slots=True)
class Timing:
    """What one system took: milliseconds of every call, by round."""

    rounds_ms: tuple[tuple[float, ...], ...]

    @property
    def round_medians_ms(self) -> tuple[float, ...]:
        """The median of each round: what ratios are taken of."""
        return tuple(median(calls) for calls in self.rounds_ms)

    @property
    def median_ms(self) -> float:
        return median(self.round_medians_ms)

    @property
    def calls(self) -> int:
        return sum(map(len, self.rounds_ms))


def measure(
    systems: Mapping[str, Callable[[Any], object]],
    next_sample: Callable[[], Any],
    *,
    plan: Plan,
    progress: Progress,
    clock: Clock | None = None,
) -> dict[str, Timing]:
    """Time how each system runs samples, in turns, the order reversed from round to round (ABC, CBA, ABC, ...).

    A turn begins with an untimed call, which wakes sleeping threads and fills the caches that the
    system before has emptied; a system that needs longer than a turn for one call is spared it.
    """
    clock = clock or Clock()
    rounds: dict[str, list[tuple[float, ...]]] = {name: [] for name in systems}

    def turn(name: str, turn_s: float, most: int) -> Sequence[int]:
        run = systems[name]
        return closed_loop(run, next_sample, least_s=turn_s, most_count=most, clock=clock)

    least_ns = {
        name: min([turn(name, 0, 1)[0] for _ in range(plan.warm_up)] or [0]) for name in systems
    }
    progress.start(f"Measuring {len(systems)} systems in turns", plan.rounds * len(systems))
    for number in range(plan.rounds):
        for name in systems if number % 2 == 0 else reversed(list(systems)):
            if least_ns[name] < 1e9 * plan.turn_s:
                systems[name](next_sample())
            taken = turn(name, plan.turn_s, plan.most_calls)
            least_ns[name] = min(taken)
            rounds[name].append(tuple(call / 1e6 for call in taken))
            progress.advance(note=name)
    progress.finish()
    return {name: Timing(tuple(own)) for name, own in rounds.items()}
