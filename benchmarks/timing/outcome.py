"""What a scenario found: every sample it took, and the figures that so many samples allow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median, quantiles
from typing import Literal

from pydantic import Field

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.intervals import least_samples, upper_percentile
from stylepress.benchmarks.machine.watch import Validity
from stylepress.benchmarks.part import Part
from stylepress.benchmarks.timing.loop import WarmUp

Drop = Literal["oldest", "newest", "none"]
Measures = Literal["service time", "response time", "throughput"]
"""From when a sample was begun, or from when it was due: two metrics, never in one column."""
MEDIAN = 0.5
SHARES = (MEDIAN, 0.9, 0.95, 0.99, 0.999)
LATE_SHARE, LATE_NS = 0.01, 100_000
"""What the harness may be late by at the 99th percentile: a share of the median latency, or a tenth
of a millisecond, which is what waking up costs."""


class Length(Part):
    """How long to measure: ``min_s`` and ``min_count`` samples, both; never beyond ``most_s``."""

    min_s: float = Field(default=5.0, ge=0)
    min_count: int = Field(default=100, ge=1)
    most_s: float = Field(default=120.0, gt=0)


class Setting(Part):
    """A scenario. ``lanes`` samples run at once.

    ``single stream``: one sample after the other, a closed loop. ``offline``: all samples are there
    from the start. ``server``: requests at random times (Poisson, by ``seed``), ``rate_hz`` of them.
    ``fixed rate``: a camera of ``rate_hz``, whose frames wait in a ``queue`` that is full drops the
    ``oldest`` that waits or the ``newest`` that arrives, or is without bound (``none``); a frame is
    in time when it is done ``deadline_ms`` after its capture.
    """

    name: Literal["single stream", "fixed rate", "server", "offline"]
    rate_hz: float | None = Field(default=None, gt=0)
    seed: int = 0
    queue: int = Field(default=1, ge=1)
    drop: Drop = "oldest"
    deadline_ms: float | None = Field(default=None, gt=0)
    lanes: int = Field(default=1, ge=1)

    def __str__(self) -> str:
        unit = {"fixed rate": "fps", "server": "Hz"}.get(self.name)
        rate = f" at {self.rate_hz:g} {unit}" if unit else ""
        return f"{self.name}{rate}{'' if self.lanes == 1 else f', {self.lanes} lanes'}"


class Samples(Part):
    """Every sample, in the order of arrival: ns from ``start_ns`` of the machine's monotonic clock.

    ``scheduled`` is when it was due, ``began`` when the system was given it, ``done`` when it gave it
    back; ``late`` is by how much the harness was late with it, in an open loop. ``dropped`` are the
    numbers of those a full queue dropped; ``waiting`` and ``due_later`` count what was never run.
    """

    start_ns: int = 0
    scheduled: tuple[int, ...]
    began: tuple[int, ...]
    done: tuple[int, ...]
    late: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    waiting: int = 0
    due_later: int = 0

    @property
    def service_ns(self) -> tuple[int, ...]:
        return tuple(done - began for began, done in zip(self.began, self.done, strict=True))

    @property
    def response_ns(self) -> tuple[int, ...]:
        return tuple(done - due for due, done in zip(self.scheduled, self.done, strict=True))

    @property
    def seconds(self) -> float:
        """From the start of the run to the last sample done."""
        return max(self.done, default=0) / 1e9


class Outcome(Part):
    """One run of one scenario by one ``system``, and what the machine did meanwhile.

    ``figures`` are quantiles of what ``measures`` names, and what else a scenario tells.
    ``late_p99_ms`` is the harness's own lateness. ``doubts`` say why the run does not count.
    """

    system: str = ""
    setting: Setting
    measures: Measures
    length: Length
    warm_up: WarmUp
    samples: Samples
    figures: tuple[Check, ...]
    late_p99_ms: float | None = None
    doubts: tuple[str, ...] = ()
    validity: Validity | None = None
    energies: tuple[Check, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.system}, {self.setting}"


def outcome(
    setting: Setting, samples: Samples, *, length: Length, warm_up: WarmUp, system: str = ""
) -> Outcome:
    """Take the figures of samples."""
    measured: dict[str, Measures] = {"single stream": "service time", "offline": "throughput"}
    measures = measured.get(setting.name, "response time")
    # What the harness did, not an estimate: the plain percentile, of however few samples.
    late = sorted(samples.late)[int(0.99 * len(samples.late))] if samples.late else None
    subject = f"{system}, {setting}"
    return Outcome(
        system=system,
        setting=setting,
        measures=measures,
        length=length,
        warm_up=warm_up,
        samples=samples,
        figures=tuple(_figures(subject, setting, samples, measures)),
        late_p99_ms=None if late is None else late / 1e6,
        doubts=tuple(_doubts(samples, length, warm_up, late_ns=late)),
    )


def quantile(subject: str, taken_ns: Sequence[int], share: float, *, never: int = 0) -> Check:
    """Take the time that a ``share`` of all samples stays below; ``never`` more were never done.

    The half is the samples' own median. The others are estimates from above that hold with 99 %
    confidence, so they need many samples, and are never below the samples' own percentile.
    """
    every = [*map(float, taken_ns), *[math.inf] * never]
    value, note = None, "none: no sample was taken"
    if every:
        value = median(every) if share == MEDIAN else upper_percentile(every, share)
        note = f"none: {never} of {len(every)} never done"
    if every and value is None:
        note = f"none: {len(every)} of {least_samples(share)} samples"
    metric = f"latency p{100 * share:g}"
    if value is None or math.isinf(value):
        return Check(subject=subject, metric=metric, unit="ms", note=note)
    return Check(subject=subject, metric=metric, unit="ms", new=value / 1e6)


def _figures(
    subject: str, setting: Setting, samples: Samples, measures: Measures
) -> Iterator[Check]:
    """Yield what a scenario found, or why not.

    A missed frame was dropped, done after its deadline, or still waited when the run was ended.
    Jitter is the interquartile range of the times between frames shown, from four on.
    """
    ages, done = samples.response_ns, sorted(samples.done)
    never = samples.waiting + len(samples.dropped)
    if measures == "throughput":
        rate = len(done) / samples.seconds if samples.seconds else 0.0
        yield Check(
            subject=subject, metric="throughput", unit="Hz", new=rate, larger_is_worse=False
        )
        return
    taken = samples.service_ns if measures == "service time" else ages
    yield from (quantile(subject, taken, share, never=never) for share in SHARES)
    if setting.name != "fixed rate":
        return
    # The first frame comes at once and the last ends nothing: n frames are n - 1 periods.
    span_s = (done[-1] - done[0]) / 1e9 if done else 0.0
    shown = (len(done) - 1) / span_s if span_s else 0.0
    yield Check(subject=subject, metric="shown", unit="Hz", new=shown, larger_is_worse=False)
    deadline_ns = math.inf if setting.deadline_ms is None else 1e6 * setting.deadline_ms
    missed, dropped = never + sum(age > deadline_ns for age in ages), len(samples.dropped)
    offered = len(ages) + never
    for metric, count in (("frames missed", missed), ("frames dropped", dropped)):
        note = f"{count} of {offered}"
        yield Check(subject=subject, metric=metric, unit="%", new=100 * count / offered, note=note)
    gaps = [1e-6 * (after - before) for before, after in pairwise(done)]
    quarters = quantiles(gaps, n=4) if len(gaps) > 2 else None
    jitter = quarters[2] - quarters[0] if quarters else None
    yield Check(subject=subject, metric="jitter", unit="ms", new=jitter)
    if dropped:
        metric = "p90 of those shown"
        yield quantile(subject, ages, 0.9).model_copy(update={"metric": metric})


def _doubts(
    samples: Samples, length: Length, warm_up: WarmUp, *, late_ns: int | None
) -> Iterator[str]:
    count, seconds = len(samples.done), samples.seconds
    if samples.waiting:
        yield f"{samples.waiting} samples still waited when it was ended after {length.most_s:g} s"
    # An open loop is as long as its schedule, of which the last sample may be done before min_s.
    short = late_ns is None and (count < length.min_count or seconds < length.min_s)
    if short or samples.due_later:
        yield (
            f"it ended after {count} samples and {seconds:.1f} s, "
            f"before {length.min_count} samples and {length.min_s:g} s"
        )
    if not warm_up.stable:
        yield f"it was not stable after warming up for {warm_up.seconds:.1f} s"
    if late_ns is not None:
        usual = median(samples.response_ns)
        if late_ns > max(LATE_NS, LATE_SHARE * usual):
            yield (
                f"the harness was {late_ns / 1e6:.3g} ms late at the 99th percentile, more than "
                f"{LATE_SHARE:.0%} of the median latency of {usual / 1e6:.3g} ms"
            )
