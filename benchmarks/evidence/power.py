"""How often `stylepress compare` cries wolf, and how often it sees one, on modelled machines.

Each trial runs the whole procedure that ships, looks, extension and confirmation, on fresh pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from stylepress.benchmarks.check import Verdict
from stylepress.benchmarks.evidence.row import Row
from stylepress.benchmarks.evidence.setting import Setting
from stylepress.benchmarks.verdict.rule import DELTA, Key, Paired, Rule, decide
from stylepress.benchmarks.verdict.runs import LookName, orders
from stylepress.benchmarks.verdict.session import PairPlan

TRIALS, KEY = 400, ("trial", "p50")
VERDICTS: tuple[Verdict, ...] = ("FAIL", "PASS", "INCONCLUSIVE")
Pair = tuple[float, float]
"""What both arms took: (base, new)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What `stylepress compare` is told: pairs, limit as a share, whether it may extend."""

    pairs: int = 10
    delta: float = DELTA
    extend: bool = True

    @property
    def words(self) -> str:
        """The options, as documents write them."""
        extend = "" if self.extend else " --no-extend"
        return f"`--pairs {self.pairs} --delta {100 * self.delta:g}{extend}`"


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
ADVICE: tuple[tuple[Noise, Settings, tuple[float, ...]], ...] = (
    (LOCKED, Settings(6, 0.03, extend=False), (0, 0.03, 0.04, 0.05)),
    (DESKTOP, Settings(), (0, 0.05, 0.075, 0.10)),
    (SHARED, Settings(20, 0.10), (0, 0.10, 0.15, 0.25)),
)
"""Settings for each kind of machine, and the true slowdowns to try them with."""


def rows(setting: Setting | None = None, *, trials: int = TRIALS) -> Iterator[Row]:
    """Return the share of trials that end with each verdict, for each machine and slowdown."""
    for noise, settings, slowdowns in ADVICE:
        for slower in slowdowns:
            ends = verdicts(noise, settings, slower, trials)
            for verdict in VERDICTS:
                share = 100 * ends.count(verdict) / trials
                yield Row(
                    verdict, share, "%", f"+{100 * slower:g} %", noise.name, settings.words,
                    note=f"{trials} trials",
                )  # fmt: skip


def verdicts(noise: Noise, settings: Settings, slower: float, trials: int) -> list[Verdict | None]:
    """Run the whole procedure so many times; return what each trial ended with.

    The new arm takes longer by a share, ``slower``; arms take turns as they do in a session.
    """
    rule, ends = Rule.assumed(settings.delta), []
    for trial in range(trials):
        rng = np.random.default_rng((11, trial))

        def figures(part: LookName, keys: Sequence[Key], pairs: int) -> dict[Key, Paired]:
            times = noise(rng, 2 * pairs)  # noqa: B023
            both = in_turns(times, seed=int(rng.integers(1 << 30)))  # noqa: B023
            base, new = zip(*both, strict=True)
            return {key: Paired(base, tuple(n * (1 + slower) for n in new), rule) for key in keys}

        ended = decide(figures, [KEY], plan=PairPlan(pairs=settings.pairs, extend=settings.extend))
        ends.append(ended[KEY].verdict)
    return ends


def in_turns(times: Sequence[float] | np.ndarray, *, seed: int) -> list[Pair]:
    """Give runs that follow each other to two arms by turns (ABBA, BAAB): (base, new) pairs."""
    pairs = []
    for number, order in enumerate(orders(len(times) // 2, seed=seed)):
        first, second = float(times[2 * number]), float(times[2 * number + 1])
        pairs.append((first, second) if order[0] == "base" else (second, first))
    return pairs
