"""The procedure, planned before anything is measured: a look, perhaps a second, a confirmation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from stylepress.benchmarks.verdict.comparison import LookName
from stylepress.benchmarks.verdict.holm import least_pairs
from stylepress.benchmarks.verdict.rule import (
    ALPHA,
    Finding,
    Look,
    Paired,
    Verdict,
    judge,
    looks,
)
from stylepress.errors import RecipeError

Key = tuple[str, str]
"""A subject and a figure of it."""
STUCK = "more pairs could not be measured"
UNCONFIRMED = "failed once, and could not be measured a second time"


class Source(Protocol):
    """Where pairs come from: a machine that measures them, or a model of one."""

    def __call__(self, part: LookName, keys: Sequence[Key], pairs: int) -> Mapping[Key, Paired]:
        """Return so many fresh pairs of each figure; one that cannot be measured is left out."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of one figure: all its pairs, the last look at them, and the confirmation."""

    figure: Paired
    finding: Finding
    again: Finding | None
    verdict: Verdict | None
    note: str = ""


def check_power(figures: int, pairs: int, *, extend: bool) -> None:
    """Refuse a plan in which no figure could ever fail.

    Raises:
        RecipeError: too few pairs for so many gated figures; the fewest are named.
    """
    last = looks(pairs, extend=extend)[-1]
    least = least_pairs(figures, last.alpha)
    if last.pairs < least:
        raise RecipeError(
            f"{pairs} pairs cannot make one of {figures} gated figures fail, whatever they show. "
            f"Give `--pairs {least}`, or gate on fewer figures or backends."
        )


def decide(
    source: Source, keys: Sequence[Key], *, pairs: int, extend: bool = True, confirm: bool = True
) -> dict[Key, Decision]:
    """Look at ``pairs`` pairs, at twice as many where that is open, and again at what failed.

    Nothing is extended once something failed or everything passed. What passed at the first look
    has passed, and keeps the pairs it passed with; subjects in which nothing is open rest. A
    failure is measured once more with as many fresh pairs, and counts only when it fails there
    too; else it stays open. So does what was to be measured further, or again, and could not be.
    """
    planned = looks(pairs, extend=extend)
    figures = dict(source("first", keys, pairs))
    found = judge(figures, planned[0].alpha)
    look, stuck = planned[0], set[Key]()
    if len(planned) == 2 and _is_open(found):
        look = planned[1]
        unsure = {key[0] for key, one in found.items() if one.verdict == "INCONCLUSIVE"}
        asked = [key for key in found if key[0] in unsure and found[key].verdict != "PASS"]
        more = source("extension", asked, look.pairs - pairs)
        stuck = {*asked} - {*more}
        figures |= {key: _joined(figures[key], one) for key, one in more.items()}
        again = judge(figures, look.alpha)
        found |= {key: again[key] for key in more}
    confirmed = _confirm(source, found, look) if confirm else {}
    return {
        key: Decision(figures[key], one, None, one.verdict, STUCK)
        if key in stuck
        else _decision(figures[key], one, confirmed.get(key), confirm=confirm)
        for key, one in found.items()
    }


def _is_open(found: Mapping[Key, Finding]) -> bool:
    verdicts = [one.verdict for one in found.values()]
    return "FAIL" not in verdicts and "INCONCLUSIVE" in verdicts


def _confirm(source: Source, found: Mapping[Key, Finding], look: Look) -> dict[Key, Finding]:
    failed = [key for key, one in found.items() if one.verdict == "FAIL"]
    if not failed:
        return {}
    fresh = source("confirmation", failed, look.pairs)
    return judge({key: fresh[key] for key in failed if key in fresh}, ALPHA)


def _decision(
    figure: Paired, finding: Finding, again: Finding | None, *, confirm: bool
) -> Decision:
    if finding.verdict != "FAIL" or not confirm:
        return Decision(figure, finding, again, finding.verdict)
    if again is None:
        return Decision(figure, finding, again, "INCONCLUSIVE", UNCONFIRMED)
    if again.verdict == "FAIL":
        return Decision(figure, finding, again, "FAIL", "failed twice")
    return Decision(figure, finding, again, "INCONCLUSIVE", "failed once, not a second time")


def _joined(one: Paired, more: Paired) -> Paired:
    return replace(one, base=one.base + more.base, new=one.new + more.new)
