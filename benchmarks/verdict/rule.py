"""The rule of figures that come in pairs: when one FAILs, when it PASSes, when more are needed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeVar

from stylepress.benchmarks.check import Verdict
from stylepress.benchmarks.timing.interval import larger_p, paired_ratio
from stylepress.errors import RecipeError

Name = TypeVar("Name")
Key = tuple[str, str]
"""A subject and a figure of it."""
LookName = Literal["first", "extension", "confirmation"]
DELTA, FLOOR = 0.05, 0.01
ALPHA, FIRST_ALPHA, LAST_ALPHA = 0.05, 0.01, 0.01
"""Error of all looks together (two-sided); the least that the first one, and the last, get of it."""
ONCE_ALPHA = 0.02
"""Where there is one look and a failure cannot be measured again: of equal arms in rounds of one
process, with 0.05 up to 2 % failed on modelled machines, with 0.02 below 1 %."""
OBVIOUS = 2.0
"""Times the limit beyond which a figure whose whole interval is beyond the limit needs no second
measurement, and nothing more is measured."""
MOST_NEEDED = 10_000
ROUNDING = 1e-9
STUCK = "more pairs could not be measured"
UNCONFIRMED = "failed once, and could not be measured a second time"


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
                f"nothing.",
                "Give a limit above 0, e.g. `--delta 5`.",
            )
        if self.delta < 2 * self.floor - ROUNDING:
            # Rounded up: what is named must be taken.
            least = math.ceil(2000 * self.floor - ROUNDING) / 10
            raise RecipeError(
                f"A limit of {100 * self.delta:.3g} % is less than twice the {100 * self.floor:.3g}"
                f" % that two equal arms differ by here.",
                f"Give `--delta {least:g}` or "
                f"more, or measure the floor again on a quiet machine with more pairs.",
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
    """One figure of both arms, pair by pair; one that is not ``gated`` is only shown."""

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


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of one figure: all its pairs, the last look at them, and the confirmation."""

    figure: Paired
    finding: Finding
    again: Finding | None
    verdict: Verdict | None
    note: str = ""
    repeated: Paired | None = None


class Source(Protocol):
    """Where pairs come from: a machine that measures them, or a model of one."""

    def __call__(self, part: LookName, keys: Sequence[Key], pairs: int) -> Mapping[Key, Paired]:
        """Return so many fresh pairs of each figure; one that cannot be measured is left out."""


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

    >>> [(look.pairs, look.alpha) for look in looks(10)], looks(8, figures=4)[0].alpha
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


def judge(figures: Mapping[Name, Paired], alpha: float, *, among: int = 0) -> dict[Name, Finding]:
    """Judge figures together, at a two-sided ``alpha``; ``among`` so many, where some are to come.

    FAIL when the Hodges-Lehmann estimate is beyond 1 + delta and being beyond 1 + floor is no
    chance (one-sided, alpha / 2, adjusted by Holm over the gated figures; for one figure that is:
    the lower end lies above 1 + floor). PASS when the upper end lies below 1 + delta; all must
    pass, so that needs no adjustment. Else INCONCLUSIVE. What is not gated has no verdict.
    """
    found = {name: _finding(figure, alpha) for name, figure in figures.items()}
    gated = [name for name, figure in figures.items() if figure.gated]
    adjusted = holm([found[name].p for name in gated], among=among)
    for name, p_holm in zip(gated, adjusted, strict=True):
        one, rule = replace(found[name], p_holm=p_holm), figures[name].rule
        verdict: Verdict = "INCONCLUSIVE"
        if one.worse > 1 + rule.delta and p_holm <= alpha / 2:
            verdict = "FAIL"
        elif one.high is not None and one.high < 1 + rule.delta:
            verdict = "PASS"
        needed = _needed(one, rule) if verdict == "INCONCLUSIVE" else None
        found[name] = replace(one, verdict=verdict, needed=needed)
    return found


def obvious(one: Finding, rule: Rule) -> bool:
    """Say whether a failure is beyond all doubt: twice the limit, and its interval beyond it."""
    return (
        one.verdict == "FAIL"
        and one.worse > 1 + OBVIOUS * rule.delta
        and one.low is not None
        and one.low > 1 + rule.delta
    )


def decide(
    source: Source,
    keys: Sequence[Key],
    *,
    pairs: int,
    figures: int = 0,
    extend: bool = True,
    confirm: bool = True,
    complete: bool = False,
) -> dict[Key, Decision]:
    """Look at ``pairs`` pairs of one subject after the other, at twice as many where that is open.

    ``figures`` are gated, of all subjects (0: all ``keys``). Once a subject obviously fails the
    comparison has failed: nothing more is measured, unless it shall be ``complete``. What passed at the first look has passed, and
    keeps the pairs it passed with. A failure that is not obvious is measured once more with as many
    fresh pairs, and counts only when it fails there too; else it stays open. So does what was to be
    measured further, or again, and could not be.
    """
    among = figures or len(keys)
    planned = looks(pairs, figures=among, extend=extend)
    look, stuck = planned[0], set[Key]()
    taken: dict[Key, Paired] = {}
    found: dict[Key, Finding] = {}
    for subject in dict.fromkeys(subject for subject, _ in keys):
        taken |= source("first", [key for key in keys if key[0] == subject], pairs)
        found = judge(taken, look.alpha, among=among)
        failed = [key for key, one in found.items() if obvious(one, taken[key].rule)]
        if failed and not complete:
            return _settled(taken, found, failed)
    if len(planned) == 2 and _is_open(found):
        look = planned[1]
        unsure = {key[0] for key, one in found.items() if one.verdict == "INCONCLUSIVE"}
        asked = [key for key in found if key[0] in unsure and found[key].verdict != "PASS"]
        more = source("extension", asked, look.pairs - pairs)
        stuck = {*asked} - {*more}
        taken |= {key: _joined(taken[key], one) for key, one in more.items()}
        again = judge(taken, look.alpha, among=among)
        found |= {key: again[key] for key in more}
    fresh = _repeated(source, found, taken, look) if confirm else {}
    confirmed = judge(fresh, ALPHA)
    return {
        key: Decision(taken[key], one, None, one.verdict, STUCK)
        if key in stuck
        else _decision(taken[key], one, confirmed.get(key), fresh.get(key), confirm=confirm)
        for key, one in found.items()
    }


def _settled(
    figures: Mapping[Key, Paired], found: Mapping[Key, Finding], failed: Sequence[Key]
) -> dict[Key, Decision]:
    """Stop where something is obvious: what is open beside it stays open, and nobody minds."""
    note = "not measured further: the comparison has failed already"
    return {
        key: Decision(
            figures[key],
            one,
            None,
            one.verdict if key in failed or one.verdict in (None, "PASS") else "INCONCLUSIVE",
            "obvious" if key in failed else "" if one.verdict in (None, "PASS") else note,
        )
        for key, one in found.items()
    }


def _is_open(found: Mapping[Key, Finding]) -> bool:
    verdicts = [one.verdict for one in found.values()]
    return "FAIL" not in verdicts and "INCONCLUSIVE" in verdicts


def _repeated(
    source: Source, found: Mapping[Key, Finding], figures: Mapping[Key, Paired], look: Look
) -> dict[Key, Paired]:
    failed = [
        key
        for key, one in found.items()
        if one.verdict == "FAIL" and not obvious(one, figures[key].rule)
    ]
    fresh = source("confirmation", failed, look.pairs) if failed else {}
    return {key: fresh[key] for key in failed if key in fresh}


def _decision(
    figure: Paired,
    finding: Finding,
    again: Finding | None,
    repeated: Paired | None,
    *,
    confirm: bool,
) -> Decision:
    verdict, note = finding.verdict, ""
    if verdict == "FAIL" and obvious(finding, figure.rule):
        note = "obvious"
    elif verdict == "FAIL" and confirm:
        failed = again is not None and again.verdict == "FAIL"
        once = UNCONFIRMED if again is None else "failed once, not a second time"
        verdict, note = ("FAIL", "failed twice") if failed else ("INCONCLUSIVE", once)
    return Decision(figure, finding, again, verdict, note, repeated)


def _joined(one: Paired, more: Paired) -> Paired:
    return replace(one, base=one.base + more.base, new=one.new + more.new)


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
