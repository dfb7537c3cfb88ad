"""What a scenario found: every sample it took, and the figures that so many samples allow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median, quantiles
from typing import Literal, NamedTuple

from pydantic import Field

from stylepress.benchmarks.part import Part
from stylepress.benchmarks.timing.loop import WarmUp
from stylepress.benchmarks.verdict.percentile import least_samples, upper_percentile
from stylepress.errors import RecipeError

Drop = Literal["oldest", "newest", "none"]
Measures = Literal["service time", "response time", "throughput"]
"""From when a sample was begun, or from when it was due: two metrics, never in one column."""
MEDIAN = 0.5
SHARES = (MEDIAN, 0.9, 0.95, 0.99, 0.999)
LATE_SHARE = 0.01
"""Share of the median latency that the harness itself may be late by, at the 99th percentile."""
LATE_NS = 100_000
"""What it may always be late by: a tenth of a millisecond is what waking up costs."""


class Length(Part):
    """How long to measure: at least ``min_s`` and at least ``min_count`` samples, both.

    It ends at ``most_s`` or ``most_count`` all the same, and then says so.
    """

    min_s: float = Field(default=5.0, ge=0)
    min_count: int = Field(default=100, ge=1)
    most_s: float = Field(default=120.0, gt=0)
    most_count: int = Field(default=1_000_000, ge=1)


class SingleStream(Part):
    """One sample after the other, the next when the last is done: a closed loop."""

    name: Literal["single stream"] = "single stream"


class FixedRate(Part):
    """A camera of ``fps``; frames wait in a queue of ``queue``, and one that is full drops frames.

    ``drop`` says which: the ``oldest`` that waits, the ``newest`` that arrives, or ``none``: then
    the queue has no bound. A frame is in time when it is done ``deadline_ms`` after its capture.
    """

    name: Literal["fixed rate"] = "fixed rate"
    fps: float = Field(gt=0)
    queue: int = Field(default=1, ge=1)
    drop: Drop = "oldest"
    deadline_ms: float = Field(gt=0)
    lanes: int = Field(default=1, ge=1)


class Server(Part):
    """Requests that arrive at random (Poisson), whether or not the last one is answered."""

    name: Literal["server"] = "server"
    rate_hz: float = Field(gt=0)
    seed: int = 0
    lanes: int = Field(default=1, ge=1)


class Offline(Part):
    """All samples are there from the start; only throughput means something."""

    name: Literal["offline"] = "offline"
    lanes: int = Field(default=1, ge=1)


Setting = SingleStream | FixedRate | Server | Offline


class Quantile(Part):
    """The time that a ``share`` of all samples stays below; None with the reason.

    The half is the samples' own median. The others are estimates from above that hold with 99 %
    confidence, so they need many samples, and are never below the samples' own percentile.
    """

    share: float
    value_ms: float | None
    why: str | None = None


class Samples(Part):
    """Every sample, in the order of arrival: ns from the start of the run.

    ``scheduled`` is when it was due, ``began`` when the system was given it, ``done`` when the
    system gave it back. ``late`` is by how much the harness, not the system, was late with it.
    ``start_ns`` is the start by the machine's monotonic clock, which its sensors are read by too.
    """

    unit: Literal["ns"] = "ns"
    start_ns: int = 0
    scheduled: tuple[int, ...]
    began: tuple[int, ...]
    done: tuple[int, ...]
    late: tuple[int, ...] = ()

    @property
    def service_ns(self) -> tuple[int, ...]:
        """From begun to done."""
        return tuple(done - began for began, done in zip(self.began, self.done, strict=True))

    @property
    def response_ns(self) -> tuple[int, ...]:
        """From due to done."""
        return tuple(done - due for due, done in zip(self.scheduled, self.done, strict=True))

    @property
    def seconds(self) -> float:
        """From the start of the run to the last sample done."""
        return max(self.done, default=0) / 1e9

    @property
    def end_ns(self) -> int:
        """When the last sample was done, by the machine's clock."""
        return self.start_ns + max(self.done, default=0)


class Rest(NamedTuple):
    """Samples that were not run when a run was ended: some ``waiting``, some ``due_later``."""

    waiting: int = 0
    due_later: int = 0


class Video(Part):
    """What a viewer sees of a fixed-rate run.

    A ``missed`` frame was dropped, done after its deadline, or still waited when the run was ended:
    ``offered`` is more than those dropped and shown by what waited. ``age`` is of the frames shown:
    from capture to done; in the outcome's own quantiles a dropped frame counts as never done.
    ``jitter_ms`` is the interquartile range of the times between frames shown, ``longest_gap_ms``
    the longest of them; None below four frames shown.
    """

    offered: int
    shown: int
    dropped: tuple[int, ...]
    missed: int
    age: tuple[Quantile, ...]
    jitter_ms: float | None
    longest_gap_ms: float | None

    @property
    def drop_share(self) -> float:
        """Dropped of offered, 0..1."""
        return len(self.dropped) / self.offered if self.offered else 0.0

    @property
    def miss_share(self) -> float:
        """Missed of offered, 0..1."""
        return self.missed / self.offered if self.offered else 0.0


class Outcome(Part):
    """One run of one scenario.

    ``latency`` holds quantiles of what ``measures`` names, each null with the reason where the
    samples are too few for it. ``throughput_hz`` is what a scenario measured that keeps the system
    busy or shows frames (offline, fixed rate); None of one that waits for each answer or sets the
    rate itself. ``late_p99_ms`` is the harness's own lateness. ``doubts`` say why the run does not
    count; one that counts has none.
    """

    setting: Setting = Field(discriminator="name")
    measures: Measures
    length: Length
    warm_up: WarmUp
    samples: Samples
    latency: tuple[Quantile, ...]
    throughput_hz: float | None
    late_p99_ms: float | None = None
    video: Video | None = None
    doubts: tuple[str, ...] = ()

    def at(self, share: float) -> Quantile:
        """Return the quantile of that share.

        Raises:
            RecipeError: it is none of those that are taken.
        """
        for one in self.latency:
            if one.share == share:
                return one
        raise RecipeError(
            f"A {self.setting.name} run has no quantile {share:g}.",
            f"Ask for one of {', '.join(f'{one:g}' for one in SHARES)} of a run with latencies.",
        )


def outcome(
    setting: Setting,
    samples: Samples,
    *,
    length: Length,
    warm_up: WarmUp,
    rest: Rest | None = None,
    dropped: Sequence[int] = (),
) -> Outcome:
    """Take the figures of samples, where others were ``dropped`` and a ``rest`` was not run.

    Frames that were dropped, and those that still waited at the end, count as never done.
    """
    rest = rest or Rest()
    measures: Measures = "response time"
    taken, done = samples.response_ns, samples.done
    rate: float | None = None
    video: Video | None = None
    if isinstance(setting, SingleStream):
        measures, taken = "service time", samples.service_ns
    elif isinstance(setting, Offline):
        measures, taken = "throughput", ()
        rate = len(done) / samples.seconds if samples.seconds else 0.0
    elif isinstance(setting, FixedRate):
        video = _video(samples, setting, dropped, rest)
        # The first frame comes at once and the last ends nothing: n frames are n - 1 periods.
        span_s = (max(done) - min(done)) / 1e9 if done else 0.0
        rate = (len(done) - 1) / span_s if span_s else 0.0
    latency = quantiles_ms(taken, never=rest.waiting + len(dropped))
    # What the harness did, not an estimate: the plain percentile, of however few samples.
    late = sorted(samples.late)[int(0.99 * len(samples.late))] if samples.late else None
    return Outcome(
        setting=setting,
        measures=measures,
        length=length,
        warm_up=warm_up,
        samples=samples,
        latency=() if measures == "throughput" else latency,
        throughput_hz=rate,
        late_p99_ms=None if late is None else late / 1e6,
        video=video,
        doubts=tuple(_doubts(samples, length, warm_up, late_ns=late, rest=rest)),
    )


def quantiles_ms(taken_ns: Sequence[int], *, never: int = 0) -> tuple[Quantile, ...]:
    """Take every share of times in ns; ``never`` more samples were never done."""
    return tuple(quantile_ms(taken_ns, share, never=never) for share in SHARES)


def quantile_ms(taken_ns: Sequence[int], share: float, *, never: int = 0) -> Quantile:
    """Take one share of times in ns."""
    every = [*map(float, taken_ns), *[math.inf] * never]
    if not every:
        return Quantile(share=share, value_ms=None, why="no sample was taken")
    value = median(every) if share == MEDIAN else upper_percentile(every, share)
    why = f"{never} of {len(every)} never done"
    if value is None:
        why = f"{len(every)} of {least_samples(share)} samples"
    elif math.isfinite(value):
        return Quantile(share=share, value_ms=value / 1e6)
    return Quantile(share=share, value_ms=None, why=why)


def _video(samples: Samples, setting: FixedRate, dropped: Sequence[int], rest: Rest) -> Video:
    """Say what a viewer sees."""
    ages = samples.response_ns
    gaps = [1e-6 * (after - before) for before, after in pairwise(sorted(samples.done))]
    quarters = quantiles(gaps, n=4) if len(gaps) > 2 else None
    late = sum(age > 1e6 * setting.deadline_ms for age in ages)
    return Video(
        offered=len(ages) + len(dropped) + rest.waiting,
        shown=len(ages),
        dropped=tuple(sorted(dropped)),
        missed=len(dropped) + rest.waiting + late,
        age=quantiles_ms(ages),
        jitter_ms=quarters[2] - quarters[0] if quarters else None,
        longest_gap_ms=max(gaps) if quarters else None,
    )


def _doubts(
    samples: Samples, length: Length, warm_up: WarmUp, *, late_ns: int | None, rest: Rest
) -> Iterator[str]:
    count, seconds = len(samples.done), samples.seconds
    if rest.waiting:
        yield f"{rest.waiting} samples still waited when it was ended after {length.most_s:g} s"
    # An open loop is as long as its schedule, of which the last sample may be done before min_s.
    short = late_ns is None and (count < length.min_count or seconds < length.min_s)
    if short or rest.due_later:
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
