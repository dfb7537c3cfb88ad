"""What was decided, measured or counted, as figures of the comparison document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from stylepress.benchmarks.check import Check, Confirmation
from stylepress.benchmarks.engines import weights_bytes
from stylepress.benchmarks.gate import Limits, figure
from stylepress.benchmarks.timing.systems import precision
from stylepress.benchmarks.verdict.comparison import Run, Side
from stylepress.benchmarks.verdict.measures import pooled_p99_ms
from stylepress.benchmarks.verdict.percentile import least_samples
from stylepress.benchmarks.verdict.rule import Decision, Key
from stylepress.runtime.bundle import Bundle


def side_of(bundles: Sequence[Bundle], label: str = "") -> Side:
    """Describe one arm."""
    known = [bundle.artifact for bundle in bundles]
    return Side(
        name=" + ".join(dict.fromkeys(one.name for one in known)),
        digest=" + ".join(one.digest for one in known),
        precision=" + ".join(dict.fromkeys(map(precision, known))),
        size_bytes=sum(one.size_bytes for one in known),
        weights_bytes=sum(map(weights_bytes, bundles)),
        label=label,
    )


def sizes(sides: tuple[Side, Side], limits: Limits) -> Iterator[Check]:
    """What does not vary: the weights, and all files."""
    for key in ("weights_percent", "size_percent"):
        name = "weights_bytes" if key == "weights_percent" else "size_bytes"
        base, new = (getattr(side, name) for side in sides)
        check = figure(
            key,
            "size",
            kind="exact",
            base=base / 1e6,
            new=new / 1e6,
            worse=new / base if base else None,
            note="" if base != new else "unchanged",
        )
        yield limits.held(check)


def paired_check(key: Key, made: Decision) -> Check:
    """Write down one decided figure of pairs."""
    one, taken, again = made.finding, made.figure, made.again
    rule = taken.rule
    confirmation = None
    if again is not None and again.verdict is not None:
        repeated = made.repeated
        confirmation = Confirmation(
            pairs=again.pairs,
            worse=again.worse,
            low=again.low,
            high=again.high,
            p=again.p,
            verdict=again.verdict,
            values=() if repeated is None else tuple(zip(repeated.base, repeated.new, strict=True)),
        )
    return figure(
        key[1],
        key[0],
        kind="paired",
        base=median(taken.base),
        new=median(taken.new),
        larger_is_worse=taken.larger_is_worse,
        worse=one.worse,
        low=one.low,
        high=one.high,
        confidence=one.confidence,
        pairs=one.pairs,
        p=one.p,
        p_holm=one.p_holm,
        limit=rule.delta if taken.gated else None,
        floor=rule.floor,
        verdict=made.verdict,
        needed=one.needed if made.verdict == "INCONCLUSIVE" else None,
        confirmation=confirmation,
        values=tuple(zip(taken.base, taken.new, strict=True)),
        note=made.note,
    )


def unmeasured(key: Key, why: str, *, gated: bool) -> Check:
    """A figure that nobody could take: open where it is gated."""
    return figure(
        key[1], key[0], kind="paired", verdict="INCONCLUSIVE" if gated else None, note=why
    )


def tail(runs: Sequence[Run], subject: str) -> Check:
    """Pool the calls of each arm for a p99, which a single run cannot give; shown, not judged."""
    base, new = pooled_p99_ms(runs, subject)
    both = base is not None and new is not None
    return Check(
        subject=subject,
        metric="latency p99, pooled",
        unit="ms",
        base=base,
        new=new,
        worse=new / base if base is not None and new is not None else None,
        note="upper estimate, 99 % confidence"
        if both
        else f"needs {least_samples(0.99)} calls an arm",
    )
