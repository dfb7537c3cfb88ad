"""What was decided, measured or counted, as rows of the comparison document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from stylepress.benchmarks.timing.systems import precision
from stylepress.benchmarks.verdict.comparison import Confirmation, Judgement, Run, Side
from stylepress.benchmarks.verdict.measures import MEASURES, pooled_percentile_ms
from stylepress.benchmarks.verdict.percentile import least_samples
from stylepress.benchmarks.verdict.rule import Verdict
from stylepress.benchmarks.verdict.trial import Decision, Key
from stylepress.runtime.bundle import Bundle


def side_of(bundle: Bundle) -> Side:
    """Describe one arm."""
    artifact = bundle.artifact
    return Side(
        name=artifact.name,
        digest=artifact.digest,
        precision=precision(artifact),
        size_bytes=artifact.size_bytes,
        weights_bytes=bundle.onnx_path.stat().st_size,
    )


def reasons_of(judgements: Sequence[Judgement]) -> tuple[str, ...]:
    """Say which gated figures failed, and then which are open, in one sentence each."""
    verdicts: tuple[Verdict, ...] = ("FAIL", "INCONCLUSIVE")
    return tuple(
        _reason(one)
        for verdict in verdicts
        for one in judgements
        if one.gated and one.verdict == verdict
    )


def _reason(one: Judgement) -> str:
    if one.worse is None:
        word, size = "fails", "" if one.new is None else f": {one.shown(one.new)}"
    else:
        word, size = "is worse", f": {100 * (one.worse - 1):+.1f} %"
    if one.verdict == "INCONCLUSIVE":
        word = "is open"
    more = f", about {one.needed} pairs might decide" if one.needed else ""
    note = f" ({one.note})" if one.note else ""
    return f"{one.name} {word}{size}{note}{more}"


def judgement(key: Key, made: Decision | None, *, gated: bool, why: str = "") -> Judgement:
    """Write down one decided figure; one that could not be measured stays open where it is gated.

    ``why`` it could not, where that is not for the figure's own reason.
    """
    measure = MEASURES[key[1]]
    if made is None:
        return Judgement(
            subject=key[0],
            metric=measure.title,
            unit=measure.unit,
            kind="paired",
            base=None,
            new=None,
            larger_is_worse=measure.larger_is_worse,
            gated=gated,
            verdict="INCONCLUSIVE" if gated else None,
            note=why or measure.why_not,
        )
    one, figure, again = made.finding, made.figure, made.again
    return Judgement(
        subject=key[0],
        metric=measure.title,
        unit=measure.unit,
        kind="paired",
        base=median(figure.base),
        new=median(figure.new),
        larger_is_worse=measure.larger_is_worse,
        worse=one.worse,
        low=one.low,
        high=one.high,
        confidence=one.confidence,
        pairs=one.pairs,
        p=one.p,
        p_holm=one.p_holm,
        delta=figure.rule.delta,
        floor=figure.rule.floor,
        gated=gated,
        verdict=made.verdict,
        needed=one.needed,
        confirmation=None
        if again is None or again.verdict is None
        else Confirmation(
            pairs=again.pairs,
            worse=again.worse,
            low=again.low,
            high=again.high,
            p=again.p,
            verdict=again.verdict,
        ),
        values=tuple(zip(figure.base, figure.new, strict=True)),
        note=made.note,
    )


def tails(runs: Sequence[Run], backends: Sequence[str]) -> Iterator[Judgement]:
    """Pool the calls of each arm for a p99, which a single run cannot give; shown, not judged."""
    for backend in backends:
        arms = [
            [run for run in runs if run.backend == backend and run.arm == arm]
            for arm in ("base", "new")
        ]
        base, new = (pooled_percentile_ms(each, 0.99) for each in arms)
        yield Judgement(
            subject=backend,
            metric="latency p99, pooled",
            unit="ms",
            kind="trend",
            base=base,
            new=new,
            worse=None if base is None or new is None else new / base,
            note="upper estimate, 99 % confidence"
            if base and new
            else f"n/a (need {least_samples(0.99)} calls an arm)",
        )


def sizes(
    sides: tuple[Side, Side], delta: float | None, *, subject: str = "size"
) -> Iterator[Judgement]:
    """What does not vary: any change is told, and one beyond delta fails; None: nothing is judged."""
    counted: dict[str, list[int | None]] = {
        "all files": [side.size_bytes for side in sides],
        "weights": [side.weights_bytes for side in sides],
    }
    for metric, (base, new) in counted.items():
        if base is None or new is None:
            continue
        gated = delta is not None and metric == "all files"
        verdict: Verdict = "PASS" if delta is None or new <= base * (1 + delta) else "FAIL"
        yield Judgement(
            subject=subject,
            metric=metric,
            unit="MB",
            kind="trend" if delta is None else "exact",
            base=base / 1e6,
            new=new / 1e6,
            worse=new / base,
            delta=delta,
            gated=gated,
            verdict=verdict if gated else None,
            note="" if base != new else "unchanged",
        )
