"""The whole procedure that ships, tried many times on one figure: what each trial ended with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stylepress.benchmarks.verdict.comparison import LookName
from stylepress.benchmarks.verdict.rule import (
    DELTA,
    Decision,
    Key,
    Paired,
    Rule,
    Source,
    Verdict,
    decide,
)

PAIRS, TRIALS = 10, 100
KEY: Key = ("trial", "p50")

Pair = tuple[float, float]
"""What both arms took: (base, new)."""
Draw = Callable[[LookName, int], list[Pair]]
"""Where one trial gets its pairs from: so many for a look, the extension, the confirmation."""
Machine = Callable[[int], Draw]
"""What is tried: from the number of a trial to its pairs."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What `stylepress compare` is told: pairs, limit as a share, whether it may extend."""

    pairs: int = PAIRS
    delta: float = DELTA
    extend: bool = True


def decisions(machine: Machine, settings: Settings, trials: int) -> list[Decision]:
    """Run looks at the pairs, extension and confirmation, so many times."""
    rule = Rule.assumed(settings.delta)
    return [
        decide(_source(machine(trial), rule), [KEY], pairs=settings.pairs, extend=settings.extend)[
            KEY
        ]
        for trial in range(trials)
    ]


def verdicts(machine: Machine, settings: Settings, trials: int) -> list[Verdict | None]:
    """Return what each trial ended with."""
    return [made.verdict for made in decisions(machine, settings, trials)]


def failed_share(machine: Machine, trials: int = TRIALS) -> float:
    """Share of trials that end with FAIL, with the settings that ship."""
    return verdicts(machine, Settings(), trials).count("FAIL") / trials


def _source(draw: Draw, rule: Rule) -> Source:
    def source(part: LookName, keys: Sequence[Key], pairs: int) -> dict[Key, Paired]:
        base, new = zip(*draw(part, pairs), strict=True)
        return {key: Paired(base, new, rule) for key in keys}

    return source
