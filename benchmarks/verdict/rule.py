"""The rule of figures that come in pairs: when one FAILs, when it PASSes, when more are needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import NamedTuple

from stylepress.benchmarks.check import Check, Verdict
from stylepress.benchmarks.gate import FIGURES
from stylepress.benchmarks.intervals import larger_p, paired_ratio
from stylepress.benchmarks.verdict.session import LookName, PairPlan
from stylepress.errors import RecipeError

Key = tuple[str, str]
"""A subject and a figure of it."""
DELTA, FLOOR = 0.05, 0.01
ALPHA, FIRST_ALPHA, LAST_ALPHA = 0.05, 0.01, 0.01
"""Error of all looks together (two-sided); the least that the first one, and the last, get of it."""
OBVIOUS = 2.0
"""Times the limit beyond which a figure whose whole interval is beyond the limit needs no second
measurement, and nothing more is measured."""
MOST_NEEDED = 10_000
ROUNDING = 1e-9
SETTLED = "not measured further: the comparison has failed already"
STUCK = "more pairs could not be measured"
TWICE, ONCE = "failed twice", "failed once, not a second time"
UNCONFIRMED = "failed once, and could not be measured a second time"


@dataclass(frozen=True, slots=True)
class Rule:
    """What counts as worse: more than ``delta`` in size, more than ``floor`` with certainty.

    Both are shares, 0.05 for 5 %. ``floor`` is what two equal arms differ by on this machine.

    Raises:
        RecipeError: ``delta`` is not twice the floor.
    """

    delta: float = DELTA
    floor: float = FLOOR

    def __post_init__(self) -> None:
        if self.delta < 2 * self.floor - ROUNDING:
            # Rounded up: what is named must be taken.
            least = math.ceil(2000 * self.floor - ROUNDING) / 10
            raise RecipeError(
                f"A limit of {100 * self.delta:.3g} % is less than twice the {100 * self.floor:.3g}"
                f" % that two equal arms differ by here.",
                f"Give `--delta {least:g}` or more, or measure the floor again on a quiet machine "
                f"with more pairs.",
            )

    @classmethod
    def assumed(cls, delta: float) -> Rule:
        """Return the rule where nobody measured the floor: 1 %, or half of a smaller limit."""
        return cls(delta, min(FLOOR, delta / 2))


class Look(NamedTuple):
    """One look at the data: after so many pairs, with this share of the error (two-sided)."""

    pairs: int
    alpha: float


@dataclass(frozen=True, slots=True)
class Paired:
    """One figure of both arms, pair by pair, of which more is worse; not ``gated``: only shown."""

    base: tuple[float, ...]
    new: tuple[float, ...]
    rule: Rule
    gated: bool = True

    def joined(self, more: Paired) -> Paired:
        return replace(self, base=self.base + more.base, new=self.new + more.new)


Source = Callable[[LookName, Sequence[Key], int], Mapping[Key, Paired]]
"""Measures so many fresh pairs of each figure, or models them; what cannot be measured is left out."""


def holm(values: Sequence[float], *, among: int = 0) -> tuple[float, ...]:
    """Adjust p-values for being judged together (Holm 1979), in the order given.

    The k-th smallest of m, counted from 0, becomes the largest of (m - i) p_i for i <= k, at most
    1. ``among`` is m where some of them are not known yet: those count as 1.

    >>> holm([0.01, 0.04, 0.03]), holm([0.01], among=3)
    ((0.03, 0.06, 0.06), (0.03,))
    """
    count, worst = max(among, len(values)), 0.0
    adjusted = [1.0] * len(values)
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        worst = max(worst, min(1.0, (count - rank) * values[index]))
        adjusted[index] = worst
    return tuple(adjusted)


def least_pairs(figures: int, alpha: float) -> int:
    """Fewest pairs with which any of ``figures`` can fail at all, at a two-sided ``alpha``.

    The smallest one-sided p of n pairs is 2^-n, and the smallest of m figures is multiplied by m.

    >>> [least_pairs(m, 0.05) for m in (1, 2, 20)], least_pairs(1, 0.01)
    ([6, 7, 10], 8)
    """
    return max(1, math.ceil(math.log2(2 * max(1, figures) / alpha) - 1e-9))


def looks(pairs: int, *, figures: int = 1, extend: bool = True) -> tuple[Look, ...]:
    """Plan the looks before anything is measured: at ``pairs``, and once more at twice as many.

    The first spends as little of the error as lets one of ``figures`` fail there, 0.01 at least;
    the second has the rest. Where less than 0.01 would be left there is one look with all of it.

    >>> [tuple(look) for look in looks(10)], looks(8, figures=4)[0].alpha
    ([(10, 0.01), (20, 0.04)], 0.03125)
    """
    first = max(FIRST_ALPHA, figures * 2.0 ** (1 - pairs))
    if not extend or first > ALPHA - LAST_ALPHA:
        return (Look(pairs, ALPHA),)
    return Look(pairs, first), Look(2 * pairs, ALPHA - first)


def check_power(figures: int, pairs: int) -> None:
    """Refuse a plan in which no figure could fail at its first look.

    Raises:
        RecipeError: too few pairs for so many gated figures; the fewest are named.
    """
    least = least_pairs(figures, ALPHA)
    if pairs < least:
        raise RecipeError(
            f"{pairs} pairs cannot make one of {figures} gated figures fail, whatever they show.",
            f"Give `--pairs {least}`, or gate on fewer figures or backends.",
        )


def judge(figures: Mapping[Key, Paired], alpha: float, *, among: int = 0) -> dict[Key, Check]:
    """Judge figures together, at a two-sided ``alpha``; ``among`` so many, where some are to come.

    FAIL when the Hodges-Lehmann estimate is beyond 1 + delta and being beyond 1 + floor is no
    chance (one-sided, alpha / 2, adjusted by Holm over the gated figures). PASS when the upper end
    lies below 1 + delta; all must pass, so that needs no adjustment. Else INCONCLUSIVE. What is not
    gated has no verdict.
    """
    found = {key: measured(key, one, alpha) for key, one in figures.items()}
    gated = [key for key, one in figures.items() if one.gated]
    adjusted = holm([found[key].p or 0.0 for key in gated], among=among)
    for key, p_holm in zip(gated, adjusted, strict=True):
        one, rule = found[key], figures[key].rule
        verdict: Verdict = "INCONCLUSIVE"
        if _worse(one) > 1 + rule.delta and p_holm <= alpha / 2:
            verdict = "FAIL"
        elif one.high is not None and one.high < 1 + rule.delta:
            verdict = "PASS"
        needed = _needed(one, rule) if verdict == "INCONCLUSIVE" else None
        found[key] = one.model_copy(
            update={"p_holm": p_holm, "verdict": verdict, "needed": needed, "limit": rule.delta}
        )
    return found


def obvious(one: Check) -> bool:
    """Say whether a failure is beyond all doubt: twice the limit, and its interval beyond it."""
    limit = one.limit or 0.0
    return _seems_obvious(one) and one.verdict == "FAIL" and (one.low or 0.0) > 1 + limit


def _seems_obvious(one: Check) -> bool:
    return one.limit is not None and _worse(one) > 1 + OBVIOUS * one.limit


def confirmed(one: Check, again: Check | None) -> Check:
    """Let a failure count that is obvious, or that was found ``again``; else it stays open."""
    if one.verdict != "FAIL":
        return one
    if obvious(one):
        return one.model_copy(update={"note": "obvious"})
    if again is not None and again.verdict == "FAIL":
        return one.model_copy(update={"confirmation": again, "note": TWICE})
    note = UNCONFIRMED if again is None else ONCE
    return one.model_copy(update={"confirmation": again, "verdict": "INCONCLUSIVE", "note": note})


def decide(
    source: Source, keys: Sequence[Key], *, plan: PairPlan, figures: int = 0
) -> dict[Key, Check]:
    """Look at the plan's pairs of one subject after the other, at twice as many where that is open.

    ``figures`` are gated, of all subjects (0: all ``keys``). Once a subject obviously fails nothing
    more is measured, unless the plan is ``complete``. So what seems to fail like that, and is not sure
    yet, gets its second look before the next subject is begun; else second looks come last, and only
    where nothing failed. What passed at the first look keeps the pairs it passed with. A failure that
    is not obvious is measured once more with as many fresh pairs, and counts only when it fails there
    too. What was to be measured further, or again, and could not be stays open.
    """
    among = figures or len(keys)
    planned = looks(plan.pairs, figures=among, extend=plan.extend)
    first, last = planned[0], planned[-1]
    taken, found, closer = dict[Key, Paired](), dict[Key, Check](), set[Key]()

    def look_closer(asked: Sequence[Key]) -> None:
        more = source("extension", asked, last.pairs - first.pairs)
        taken.update({key: taken[key].joined(one) for key, one in more.items()})
        closer.update(asked)
        again = judge({key: taken[key] for key in taken if key in closer}, last.alpha, among=among)
        stuck = {key: found[key].model_copy(update={"note": STUCK}) for key in asked}
        found.update(stuck | {key: again[key] for key in more})

    for subject in dict.fromkeys(subject for subject, _ in keys):
        own = [key for key in keys if key[0] == subject]
        taken |= source("first", own, first.pairs)
        once = {key: one for key, one in taken.items() if key not in closer}
        found |= judge(once, first.alpha, among=among)
        if plan.complete:
            continue
        if len(planned) == 2 and not any(map(obvious, found.values())):
            unsure = [
                key for key in own if key in found and found[key].verdict not in (None, "PASS")
            ]
            if any(_seems_obvious(found[key]) for key in unsure):
                look_closer(unsure)
        if any(map(obvious, found.values())):
            return {key: _settled(one) for key, one in found.items()}
    verdicts = {one.verdict for one in found.values()}
    if len(planned) == 2 and "FAIL" not in verdicts:
        unsure = [key for key, one in found.items() if one.verdict == "INCONCLUSIVE"]
        subjects = {subject for subject, _ in unsure} - {subject for subject, _ in closer}
        asked = [key for key in found if key[0] in subjects and found[key].verdict != "PASS"]
        if asked:
            look_closer(asked)
    if not plan.confirm:
        return found
    failed = [key for key, one in found.items() if one.verdict == "FAIL" and not obvious(one)]
    pairs = last.pairs if closer else first.pairs
    fresh = judge(source("confirmation", failed, pairs), ALPHA) if failed else {}
    return {key: confirmed(one, fresh.get(key)) for key, one in found.items()}


def _settled(one: Check) -> Check:
    """Stop where something is obvious: what is open beside it stays open, and nobody minds."""
    if obvious(one):
        return one.model_copy(update={"note": "obvious"})
    if one.verdict in (None, "PASS"):
        return one
    return one.model_copy(update={"verdict": "INCONCLUSIVE", "note": SETTLED})


def _worse(one: Check) -> float:
    return math.inf if one.worse is None else one.worse


def measured(key: Key, figure: Paired, alpha: float) -> Check:
    """Write down what pairs say of a figure; nothing is judged yet."""
    ratio = paired_ratio(figure.base, figure.new, confidence=1 - alpha)
    known = FIGURES.get(key[1])
    return Check(
        subject=key[0],
        metric=known.title if known else key[1],
        unit=known.unit if known else "",
        bound="worse by at most",
        key=key[1],
        kind="paired",
        base=median(figure.base),
        new=median(figure.new),
        worse=ratio.value,
        low=ratio.low,
        high=ratio.high,
        confidence=1 - alpha,
        pairs=len(figure.base),
        p=larger_p(figure.base, figure.new, above=1 + figure.rule.floor),
        floor=figure.rule.floor,
        values=tuple(zip(figure.base, figure.new, strict=True)),
    )


def _needed(one: Check, rule: Rule) -> int | None:
    """Pairs after which the interval, whose width goes with 1 / sqrt(n), is clear of what it must be.

    None when that is beyond all reason: the truth is too near the limit.
    """
    if one.low is None or one.high is None or not one.pairs:
        return None
    half = (math.log(one.high) - math.log(one.low)) / 2
    limit = rule.delta if _worse(one) <= 1 + rule.delta else rule.floor
    margin = abs(math.log(_worse(one)) - math.log1p(limit))
    if margin == 0 or half > margin * math.sqrt(MOST_NEEDED / one.pairs):
        return None
    return max(one.pairs + 1, math.ceil(one.pairs * (half / margin) ** 2))
