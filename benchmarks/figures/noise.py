"""Models of machines: what runs that follow each other take, drawn instead of measured.

The noise models of our research notes. Board with locked clocks: 0.5 % independent noise. Desktop:
1.5 %, a random walk of 0.4 % a run, and every twentieth run slower by an exponential of mean 10 %.
Shared runner: 5 % of Student's t with 3 degrees of freedom, a walk of 2 % a run, every tenth run
slower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stylepress.benchmarks.figures.procedure import KEY, Draw, Machine, Pair
from stylepress.benchmarks.verdict.comparison import LookName
from stylepress.benchmarks.verdict.order import orders
from stylepress.benchmarks.verdict.rule import ALPHA, Paired, Rule, judge


@dataclass(frozen=True, slots=True)
class Noise:
    """A model of a machine: relative deviations of runs that follow each other."""

    name: str
    spread: float
    walk: float
    spikes: float
    heavy: bool = False

    def __call__(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw what so many runs take, 1 for the undisturbed time."""
        own = rng.standard_t(3, count) if self.heavy else rng.normal(size=count)
        walk = np.cumsum(rng.normal(0, self.walk, count))
        spikes = (rng.random(count) < self.spikes) * rng.exponential(0.10, count)
        times: np.ndarray = np.exp(self.spread * own + walk + spikes)
        return times


LOCKED = Noise("board with locked clocks", 0.005, 0.0, 0.0)
DESKTOP = Noise("desktop", 0.015, 0.004, 0.05)
SHARED = Noise("shared runner", 0.05, 0.02, 0.10, heavy=True)


def modelled(noise: Noise, slower: float) -> Machine:
    """Return the model of a machine, in the order that ships; the new arm takes longer by a share."""

    def machine(trial: int) -> Draw:
        rng = np.random.default_rng((11, trial))

        def draw(part: LookName, count: int) -> list[Pair]:
            pairs = in_turns(noise(rng, 2 * count), seed=int(rng.integers(1 << 30)))
            return [(base, new * (1 + slower)) for base, new in pairs]

        return draw

    return machine


def in_turns(times: Sequence[float] | np.ndarray, *, seed: int) -> list[Pair]:
    """Give runs that follow each other to two arms by turns (ABBA, BAAB): (base, new) pairs."""
    found = []
    for number, order in enumerate(orders(len(times) // 2, seed=seed)):
        one, two = float(times[2 * number]), float(times[2 * number + 1])
        found.append((one, two) if order[0] == "base" else (two, one))
    return found


def in_halves(times: Sequence[float] | np.ndarray) -> list[Pair]:
    """Give the first half of runs to the base, the second to the new arm: (base, new) pairs."""
    half = len(times) // 2
    return [(float(one), float(two)) for one, two in zip(times[:half], times[-half:], strict=True)]


def control(noise: Noise, trials: int, *, turns: bool, pairs: int = 20) -> float:
    """Share of equal arms that FAIL a single look at the bare rule, in turns or one by one."""
    failed = 0
    for trial in range(trials):
        times = noise(np.random.default_rng((7, trial)), 2 * pairs)
        given = in_turns(times, seed=trial) if turns else in_halves(times)
        base, new = zip(*given, strict=True)
        figure = Paired(base, new, Rule())
        failed += judge({KEY: figure}, ALPHA)[KEY].verdict == "FAIL"
    return failed / trials
