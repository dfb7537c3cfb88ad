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
from stylepress.benchmarks.verdict.session import LookName, PairPlan

TRIALS, KEY = 400, ("trial", "p50")
VERDICTS: tuple[Verdict, ...] = ("FAIL", "PASS", "INCONCLUSIVE")
Pair = tuple[float, float]
"""What both arms took: (base, new)."""


@dataclass(frozen=True, slots=True)
class Noise:
    """A model of a machine, as relative deviations.

    ``spread`` is that of a process, which keeps it for a run (``heavy``: with the tails of Student's
    t); ``walk`` how far the machine drifts over a run, ``spikes`` how many of its turns others slow
    down. Both of these fall on both arms of a pair, turn by turn.
    """

    name: str
    spread: float
    walk: float
    spikes: float
    heavy: bool = False

    def pairs(self, rng: np.random.Generator, count: int, rounds: int) -> list[Pair]:
        """Draw what both arms take in so many pairs: their middle round, each round ABBA."""
        shape = (count, 4 * rounds)
        own = rng.standard_t(3, (count, 2)) if self.heavy else rng.normal(size=(count, 2))
        walk = rng.normal(0, self.walk / (2 * rounds) ** 0.5, shape).cumsum(1)
        spikes = (rng.random(shape) < self.spikes) * rng.exponential(0.10, shape)
        turns = np.exp(walk + spikes).reshape(count, rounds, 4)
        times = np.stack([turns[..., [0, 3]].mean(2), turns[..., [1, 2]].mean(2)], 2)
        times *= np.exp(self.spread * own)[:, None]
        middle = np.argsort(times[..., 1] / times[..., 0], axis=1)[:, rounds // 2]
        return [(float(base), float(new)) for base, new in times[np.arange(count), middle]]


LOCKED = Noise("board with locked clocks", 0.005, 0.0, 0.0)
DESKTOP = Noise("desktop", 0.015, 0.004, 0.05)
SHARED = Noise("shared runner", 0.05, 0.02, 0.10, heavy=True)
ADVICE: tuple[tuple[Noise, PairPlan, float, tuple[float, ...]], ...] = (
    (LOCKED, PairPlan(pairs=6, extend=False), 0.03, (0, 0.03, 0.04, 0.05)),
    (DESKTOP, PairPlan(), DELTA, (0, 0.05, 0.075, 0.10)),
    (SHARED, PairPlan(pairs=20), 0.10, (0, 0.10, 0.15, 0.25)),
)
"""Settings for each kind of machine, the limit as a share, and the true slowdowns to try them with."""


def rows(setting: Setting | None = None, *, trials: int = TRIALS) -> Iterator[Row]:
    """Return the share of trials that end with each verdict, for each machine and slowdown."""
    for noise, plan, delta, slowdowns in ADVICE:
        extend = "" if plan.extend else " --no-extend"
        words = f"`--pairs {plan.pairs} --delta {100 * delta:g}{extend}`"
        for slower in slowdowns:
            ends = verdicts(noise, plan, Rule.assumed(delta), slower, trials)
            for verdict in VERDICTS:
                share = 100 * ends.count(verdict) / trials
                yield Row(
                    verdict, share, "%", f"+{100 * slower:g} %", noise.name, words,
                    note=f"{trials} trials",
                )  # fmt: skip


def verdicts(
    noise: Noise, plan: PairPlan, rule: Rule, slower: float, trials: int
) -> list[Verdict | None]:
    """Run the whole procedure so many times; return what each trial ended with.

    The new arm takes longer by a share, ``slower``; arms take turns as they do in a session.
    """
    ends = []
    for trial in range(trials):
        rng = np.random.default_rng((11, trial))

        def figures(part: LookName, keys: Sequence[Key], pairs: int) -> dict[Key, Paired]:
            both = noise.pairs(rng, pairs, plan.rounds)  # noqa: B023
            base, new = zip(*both, strict=True)
            return {key: Paired(base, tuple(n * (1 + slower) for n in new), rule) for key in keys}

        ends.append(decide(figures, [KEY], plan=plan)[KEY].verdict)
    return ends
