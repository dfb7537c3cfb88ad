"""One figure of a measurement, and the verdict on it: what every table, file and gate is made of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from stylepress.benchmarks.part import Part

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]
Kind = Literal["paired", "exact", "pictures", "shown"]
"""Judged over pairs of runs, as it is, over pictures; or only shown."""
Bound = Literal["at most", "at least", "within", "worse by at most"]
"""On which side of the limit a figure is good; ``within`` is of its size, the last of ``worse``."""
Values = tuple[tuple[float, float], ...]
SIGNS: dict[str, str] = {"FAIL": "✗", "PASS": "✓", "INCONCLUSIVE": "?"}
"""What stands before a verdict, so that no colour is needed to see it."""


class Check(Part):
    """One figure: what it was before (``base``) and is now (``new``), its limit, and the verdict.

    ``worse`` is how many times as bad the new value is (1: equal). ``low`` and ``high`` bound ``worse``
    where there is one, else ``new``, with ``confidence``. ``limit`` is in the unit of the figure; for
    ``worse by at most`` it is a share, 0.05 for 5 %. ``key`` is the figure's name in a gate file.
    ``verdict`` is None where nothing is judged. ``needed`` is how many pairs might decide what is open;
    ``values`` are (base, new) of each pair, ``confirmation`` is a failure measured once more with fresh
    pairs. ``of`` is what a figure was measured over: two with another one are not compared.
    """

    subject: str
    metric: str
    unit: str = ""
    kind: Kind = "shown"
    key: str = ""
    base: float | None = None
    new: float | None = None
    larger_is_worse: bool = True
    worse: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    limit: float | None = None
    bound: Bound = "at most"
    verdict: Verdict | None = None
    note: str = ""
    of: str = ""
    pairs: int | None = None
    p: float | None = None
    p_holm: float | None = None
    floor: float | None = None
    needed: int | None = None
    confirmation: Check | None = None
    values: Values = ()

    @property
    def name(self) -> str:
        return f"{self.subject} · {self.metric}"

    def written(self, value: float | None) -> str:
        return "-" if value is None else f"{value:.4g} {self.unit}".strip()

    @property
    def change(self) -> str:
        """By how much the new value is worse, with the interval; empty when unknown."""
        if self.worse is None:
            return ""
        text = f"{100 * (self.worse - 1):+.1f} %"
        if self.low is not None and self.high is not None and self.confidence is not None:
            text += f" [{100 * (self.low - 1):+.1f}, {100 * (self.high - 1):+.1f}]"
        return text

    @property
    def interval(self) -> str:
        """The bounds of the new value, where they are of it."""
        if self.worse is not None or self.low is None or self.high is None:
            return ""
        return f"{self.low:.3g} to {self.high:.3g}"

    @property
    def limit_text(self) -> str:
        """The limit in words; empty where there is none."""
        if self.limit is None:
            return ""
        if self.bound == "worse by at most":
            return f"+{100 * self.limit:g} %"
        sign = {"at most": "≤", "at least": "≥", "within": "±"}[self.bound]
        return f"{sign} {self.limit:.3g} {self.unit}".strip()

    @property
    def remark(self) -> str:
        """All that a table's last column tells."""
        parts = [
            self.note,
            f"{self.pairs} pairs" if self.pairs else "",
            "" if self.p_holm is None else f"p {self.p_holm:.2g}",
            f"{self.needed} pairs might decide" if self.needed else "",
        ]
        return ", ".join(part for part in parts if part)

    @property
    def reason(self) -> str:
        """Why it counts against the verdict, in a sentence."""
        if self.verdict == "INCONCLUSIVE":
            word = "is open"
        else:
            word = "fails" if self.worse is None or self.kind == "pictures" else "is worse"
        value = self.change if self.worse is not None else self.written(self.new)
        value = "" if self.worse is None and self.new is None else f": {value}"
        limit = f" (limit {self.limit_text})" if self.limit_text and value else ""
        more = f", about {self.needed} pairs might decide" if self.needed else ""
        return f"{self.name} {word}{value}{limit}{f', {self.note}' if self.note else ''}{more}"


def held(check: Check, limit: float | None) -> Check:
    """Hold a figure that does not come in pairs against a limit; None judges nothing.

    FAIL when all of its interval lies beyond, PASS when all of it keeps the limit, else
    INCONCLUSIVE. A figure without an interval is taken as it is; one that is no number fails.
    """
    if limit is None or check.new is None:
        return check.model_copy(update={"limit": limit, "verdict": None})
    grows = check.bound == "worse by at most"
    value, edge = (check.worse, 1 + limit) if grows else (check.new, limit)
    ends = [math.inf if value is None else value]
    if check.kind == "pictures" and check.low is not None and check.high is not None:
        ends = [check.low, check.high]
    if check.bound == "within":
        ends = [abs(one) for one in ends] if min(ends) * max(ends) > 0 else [0.0, *map(abs, ends)]
    sign = -1 if check.bound == "at least" else 1
    best, worst = min(sign * one for one in ends), max(sign * one for one in ends)
    verdict: Verdict = "INCONCLUSIVE"
    if worst <= sign * edge:
        verdict = "PASS"
    elif best > sign * edge or not math.isfinite(worst):
        verdict = "FAIL"
    return check.model_copy(update={"limit": limit, "verdict": verdict})


def together(checks: Iterable[Check]) -> Verdict:
    """One that fails fails all; one that is open leaves all open; nothing at all is open."""
    verdicts = {one.verdict for one in checks}
    if "FAIL" in verdicts:
        return "FAIL"
    return "PASS" if "PASS" in verdicts and "INCONCLUSIVE" not in verdicts else "INCONCLUSIVE"


def reasons_of(checks: Sequence[Check]) -> tuple[str, ...]:
    """Say which figures failed, and then which are open, in one sentence each."""
    return tuple(
        one.reason
        for verdict in ("FAIL", "INCONCLUSIVE")
        for one in checks
        if one.verdict == verdict
    )


def signed(verdict: str) -> str:
    """Write a verdict with its sign.

    >>> signed("FAIL"), signed("not judged")
    ('✗ FAIL', 'not judged')
    """
    return f"{SIGNS[verdict]} {verdict}" if verdict in SIGNS else verdict
