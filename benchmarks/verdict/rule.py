"""The rule: when a figure FAILs, when it PASSes, and when more pairs are needed to tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from stylepress.benchmarks.timing.interval import larger_p, paired_ratio
from stylepress.benchmarks.verdict.holm import holm
from stylepress.errors import RecipeError

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]
Name = TypeVar("Name")
DELTA, FLOOR = 0.05, 0.01
ALPHA, FIRST_ALPHA, SECOND_ALPHA = 0.05, 0.01, 0.04
ONCE_ALPHA = 0.02
"""Where there is one look and a failure cannot be measured again: of equal arms in rounds of one
process, with 0.05 up to 2 % failed on modelled machines, with 0.02 below 1 %."""
LEAST_EXTENDED = 8
"""Pairs below which no interval at 99 % exists, so no first look that could be extended."""
MOST_NEEDED = 10_000
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Rule:
    """What counts as worse: more than ``delta`` in size, more than ``floor`` with certainty.

    Both are shares, 0.05 for 5 %. ``floor`` is what two equal arms differ by on this machine.

    Raises:
        RecipeError: ``delta`` is no share above 0, or not twice the floor.
    """

    delta: float = DELTA
    floor: float = FLOOR

    def __post_init__(self) -> None:
        if not (math.isfinite(self.delta) and self.delta > 0 and self.floor >= 0):
            raise RecipeError(
                f"A limit of {100 * self.delta:g} % over a floor of {100 * self.floor:g} % judges "
                f"nothing. Give a limit above 0, e.g. `--delta 5`."
            )
        if self.delta < 2 * self.floor - ROUNDING:
            # Rounded up: what is named must be taken.
            least = math.ceil(2000 * self.floor - ROUNDING) / 10
            raise RecipeError(
                f"A limit of {100 * self.delta:.3g} % is less than twice the {100 * self.floor:.3g}"
                f" % that two equal arms differ by here. Give `--delta {least:g}` or "
                f"more, or measure the floor again on a quiet machine with more pairs."
            )

    @classmethod
    def assumed(cls, delta: float) -> Rule:
        """Return the rule where nobody measured the floor: 1 %, or half of a smaller limit."""
        return cls(delta, min(FLOOR, delta / 2))


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the data: after so many pairs, with this share of the error (two-sided)."""

    pairs: int
    alpha: float


@dataclass(frozen=True, slots=True)
class Paired:
    """One figure of both arms, pair by pair.

    ``larger_is_worse`` False for throughput. ``gated`` False for figures that are only shown.
    """

    base: tuple[float, ...]
    new: tuple[float, ...]
    rule: Rule
    gated: bool = True
    larger_is_worse: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look found: ``worse`` is how many times as bad the new arm is, 1 for equal.

    ``low`` and ``high`` bound it with ``confidence``; None below the fewest pairs for that. ``p``
    is that of being worse than 1 + floor by chance, ``p_holm`` adjusted for the other gated
    figures, None where nothing is gated. ``needed`` says how many pairs might decide it.
    """

    worse: float
    low: float | None
    high: float | None
    confidence: float
    pairs: int
    p: float
    p_holm: float | None
    verdict: Verdict | None
    needed: int | None = None


def looks(pairs: int, *, extend: bool = True) -> tuple[Look, ...]:
    """Plan the looks before anything is measured: at ``pairs``, and once more at twice as many.

    The error is split .01 and .04 between them; below eight pairs, where no interval at 99 %
    exists, there is one look with all of it.

    >>> [(look.pairs, look.alpha) for look in looks(10)]
    [(10, 0.01), (20, 0.04)]
    """
    if extend and pairs >= LEAST_EXTENDED:
        return Look(pairs, FIRST_ALPHA), Look(2 * pairs, SECOND_ALPHA)
    return (Look(pairs, ALPHA),)


def judge(figures: Mapping[Name, Paired], alpha: float) -> dict[Name, Finding]:
    """Judge figures together, at a two-sided ``alpha``.

    FAIL when the Hodges-Lehmann estimate is beyond 1 + delta and being beyond 1 + floor is no
    chance (one-sided, alpha / 2, adjusted by Holm over the gated figures; for one figure that is:
    the lower end lies above 1 + floor). PASS when the upper end lies below 1 + delta; all must
    pass, so that needs no adjustment. Else INCONCLUSIVE. What is not gated has no verdict.
    """
    found = {name: _finding(figure, alpha) for name, figure in figures.items()}
    gated = [name for name, figure in figures.items() if figure.gated]
    for name, p_holm in zip(gated, holm([found[name].p for name in gated]), strict=True):
        one, rule = replace(found[name], p_holm=p_holm), figures[name].rule
        verdict: Verdict = "INCONCLUSIVE"
        if one.worse > 1 + rule.delta and p_holm <= alpha / 2:
            verdict = "FAIL"
        elif one.high is not None and one.high < 1 + rule.delta:
            verdict = "PASS"
        needed = _needed(one, rule) if verdict == "INCONCLUSIVE" else None
        found[name] = replace(one, verdict=verdict, needed=needed)
    return found


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """One that fails fails all; one that is open leaves all open; nothing at all is open."""
    for worst in ("FAIL", "INCONCLUSIVE"):
        if worst in verdicts:
            return "FAIL" if worst == "FAIL" else "INCONCLUSIVE"
    return "PASS" if verdicts else "INCONCLUSIVE"


def _finding(figure: Paired, alpha: float) -> Finding:
    better, worse = figure.base, figure.new
    if not figure.larger_is_worse:
        better, worse = worse, better
    ratio = paired_ratio(better, worse, confidence=1 - alpha)
    p = larger_p(better, worse, above=1 + figure.rule.floor)
    return Finding(ratio.value, ratio.low, ratio.high, ratio.confidence, ratio.count, p, None, None)


def _needed(one: Finding, rule: Rule) -> int | None:
    """Pairs after which the interval would be half as wide as what it has to stay clear of.

    The width goes with 1 / sqrt(n). None when that is beyond all reason: the truth is too near
    the limit.
    """
    if one.low is None or one.high is None:
        return None
    half = (math.log(one.high) - math.log(one.low)) / 2
    limit = rule.delta if one.worse <= 1 + rule.delta else rule.floor
    margin = abs(math.log(one.worse) - math.log1p(limit))
    if margin == 0 or half > margin * math.sqrt(MOST_NEEDED / one.pairs):
        return None
    return max(one.pairs + 1, math.ceil(one.pairs * (half / margin) ** 2))
