"""How often `stylepress compare` says what, on modelled machines with known slowdowns.

The whole procedure that ships runs in each trial; only the times are drawn from a model of a
machine (`figures/noise.py`) instead of being measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stylepress.benchmarks.figures.noise import DESKTOP, LOCKED, SHARED, Noise, modelled
from stylepress.benchmarks.figures.procedure import Settings, verdicts
from stylepress.benchmarks.figures.result import Result
from stylepress.benchmarks.verdict.rule import Verdict

TRIALS = 400
VERDICTS: tuple[Verdict, ...] = ("FAIL", "PASS", "INCONCLUSIVE")


@dataclass(frozen=True, slots=True)
class Advice:
    """Settings for one kind of machine, and the true slowdowns to try them with."""

    noise: Noise
    settings: Settings
    slower: tuple[float, ...]

    @property
    def told(self) -> str:
        """The options, as they are written; defaults are left out."""
        words = [f"--pairs {self.settings.pairs}", f"--delta {100 * self.settings.delta:g}"]
        return " ".join([*words, *([] if self.settings.extend else ["--no-extend"])])


ADVICE = (
    Advice(LOCKED, Settings(6, 0.03, extend=False), (0, 0.03, 0.04, 0.05)),
    Advice(DESKTOP, Settings(), (0, 0.05, 0.075, 0.10)),
    Advice(SHARED, Settings(20, 0.10), (0, 0.10, 0.15, 0.25)),
)


def power_results(trials: int = TRIALS) -> Iterator[Result]:
    """Return the share of trials that end with each verdict, for each machine and slowdown."""
    for advice in ADVICE:
        for slower in advice.slower:
            found = verdicts(modelled(advice.noise, slower), advice.settings, trials)
            for verdict in VERDICTS:
                share = 100 * found.count(verdict) / trials
                yield Result(
                    f"+{100 * slower:g} %",
                    engine=advice.noise.name,
                    precision=advice.told,
                    size="",
                    figure=verdict,
                    value=share,
                    unit="%",
                    note=f"{trials} trials",
                )
