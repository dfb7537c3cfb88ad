"""What is said of drift where nobody opens the page: a sentence a bundle, and an exit code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stylepress.benchmarks.drift.result import Check, Drift
from stylepress.benchmarks.drift.titles import check_title

FAILED, OPEN = 1, 3


def alarms(drifts: Sequence[Drift], *, gated: bool) -> Iterator[str]:
    """Yield a sentence for every bundle whose pictures are not surely those of its original.

    One that is not judged at all, as a student against its teacher, is told only when ``gated``.
    """
    for drift in drifts:
        if drift.verdict == "regression":
            told = [_beyond(one) for one in drift.checks if one.verdict == "regression"]
            yield f"{drift.compressed} lost too much against {drift.original}: {'; '.join(told)}."
        elif drift.verdict == "inconclusive":
            doubts = [_unsure(one) for one in drift.checks if one.verdict == "inconclusive"]
            yield (
                f"Whether {drift.compressed} lost too much against {drift.original} is open: "
                f"{'; '.join(doubts) or 'nothing could be judged'}. More photos may tell."
            )
        elif drift.verdict == "not judged" and gated:
            yield (
                f"{drift.compressed} was not judged against {drift.original}, which is another "
                f"network. Give the student in float with `--student`."
            )


def gate_code(drifts: Sequence[Drift], *, bundles: int) -> int:
    """Return what a gate exits with: 0, 1 where a bundle fails, 3 where one of ``bundles`` is open."""
    verdicts = [drift.verdict for drift in drifts]
    if "regression" in verdicts:
        return FAILED
    return 0 if verdicts == ["ok"] * bundles else OPEN


def _beyond(one: Check) -> str:
    if one.value is None or one.limit is None:
        return _unsure(one)
    return f"{check_title(one.name)} {one.value:.3g} (limit: {one.bound} {one.limit:.3g})"


def _unsure(one: Check) -> str:
    return f"{check_title(one.name)} ({one.why})" if one.why else check_title(one.name)
