"""What came of a search: the budget, the finalists, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stylepress.export.fit.candidate import Candidate
from stylepress.export.fit.study import Trial


@dataclass(frozen=True)
class Budget:
    """What is asked for: time of one frame on the target's engine, and drift (0 is a copy)."""

    latency_ms: float
    drift: float

    def holds(self, latency_ms: float, drift: float) -> bool:
        """Say whether both are met."""
        return latency_ms <= self.latency_ms and drift <= self.drift


@dataclass(frozen=True)
class Effort:
    """How long to search: trials, minutes of them, steps of each, and how many are trained on."""

    trials: int = 24
    minutes: float | None = None
    short_steps: int | None = None
    best: int = 3


@dataclass(frozen=True)
class Finalist:
    """A student trained in full: measured, not predicted."""

    candidate: Candidate
    predicted_ms: float
    measured_ms: float
    drift: float
    bundle: Path
    preset: str = ""


@dataclass(frozen=True)
class Fit:
    """What a search found."""

    budget: Budget
    backend: str
    size: tuple[int, int]
    tried: Sequence[Trial]
    finalists: Sequence[Finalist]

    @property
    def best(self) -> Finalist | None:
        """The finalist inside the budget with the least drift."""
        inside = [f for f in self.finalists if self.budget.holds(f.measured_ms, f.drift)]
        return min(inside, key=lambda finalist: finalist.drift, default=None)

    def verdict(self) -> str:
        """Say what was found, or how near the search came."""
        budget = self.budget
        asked = f"{budget.latency_ms:g} ms and drift {budget.drift:g}"
        if self.best is not None:
            best = self.best
            return (
                f"{best.candidate.key} is inside {asked}: {best.measured_ms:.2f} ms, drift "
                f"{best.drift:.3f}. It lies in {best.bundle}."
            )
        if not self.finalists:
            fastest = min(self.tried, key=lambda tried: tried.latency_ms, default=None)
            near = (
                f"the fastest, {fastest.candidate.key}, is predicted at {fastest.latency_ms:.2f} ms"
                if fastest
                else "no trial was done"
            )
            return f"Nothing is inside {asked}: {near}."
        nearest = min(self.finalists, key=lambda f: _excess(f, budget))
        return (
            f"Nothing is inside {asked}. The nearest, {nearest.candidate.key}, takes "
            f"{nearest.measured_ms:.2f} ms ({nearest.measured_ms / budget.latency_ms:.2f} of what "
            f"is allowed) and drifts by {nearest.drift:.3f} ({nearest.drift / budget.drift:.2f}). "
            f"{_obstacle(self.finalists, budget)}"
        )


def _obstacle(finalists: Sequence[Finalist], budget: Budget) -> str:
    """Say which half of a budget that nobody is inside cannot be met."""
    fastest = min(finalist.measured_ms for finalist in finalists)
    least = min(finalist.drift for finalist in finalists)
    if fastest > budget.latency_ms:
        return f"None that was trained is fast enough: the fastest takes {fastest:.2f} ms."
    if least > budget.drift:
        return f"None that was trained drifts so little: the least is {least:.3f}. Train longer."
    return "Each half is met by some student, and no student meets both."


def _excess(finalist: Finalist, budget: Budget) -> float:
    return max(finalist.measured_ms / budget.latency_ms, finalist.drift / budget.drift)


def front(tried: Sequence[Trial]) -> list[Trial]:
    """Return those that no other beats in both time and drift, the fastest first."""
    trained = [trial for trial in tried if trial.drift is not None]
    ordered = sorted(trained, key=lambda trial: (trial.latency_ms, trial.drift or 0.0))
    kept: list[Trial] = []
    for trial in ordered:
        if not kept or (trial.drift or 0.0) < (kept[-1].drift or 0.0):
            kept.append(trial)
    return kept


def lines(result: Fit) -> Iterator[str]:
    """Yield what a person wants to read of a search."""
    if result.finalists:
        yield f"{'student':28} {'predicted':>10} {'measured':>10} {'drift':>7}"
    for finalist in result.finalists:
        named = f"  preset {finalist.preset}" if finalist.preset else ""
        yield (
            f"{finalist.candidate.key:28} {finalist.predicted_ms:7.2f} ms "
            f"{finalist.measured_ms:7.2f} ms {finalist.drift:7.3f}{named}"
        )
    yield result.verdict()
