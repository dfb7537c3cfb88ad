"""All samples at once: how many a second, with every lane busy."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

from stylepress.benchmarks.scenarios.clock import Clock, WallClock
from stylepress.benchmarks.scenarios.lanes import run_lanes, warm_lanes
from stylepress.benchmarks.scenarios.outcome import Length, Offline, Outcome, Samples, outcome
from stylepress.benchmarks.scenarios.warm_up import WarmRule


def offline(
    run: Callable[[Any], object],
    next_sample: Callable[[], Any],
    setting: Offline,
    *,
    length: Length | None = None,
    rule: WarmRule | None = None,
    clock: Clock | None = None,
) -> Outcome:
    """Measure throughput; the time that a single sample waits for its turn means nothing here."""
    length, clock = length or Length(), clock or WallClock()
    warmed = warm_lanes(run, next_sample, lanes=setting.lanes, rule=rule, clock=clock)
    spans: list[tuple[int, int]] = []
    lock = Lock()
    start = clock.now_ns()
    least, most = round(1e9 * length.min_s), round(1e9 * length.most_s)
    begun = 0

    def lane() -> None:
        nonlocal begun
        while True:
            with lock:
                began = clock.now_ns() - start
                enough = began >= least and begun >= length.min_count
                if enough or began >= most or begun >= length.most_count:
                    return
                begun += 1
                sample = next_sample()
            began = clock.now_ns() - start
            run(sample)
            spans.append((began, clock.now_ns() - start))

    def stop() -> None:
        nonlocal begun
        begun = length.most_count

    run_lanes(lane, setting.lanes, stop=stop)
    spans.sort()
    began = tuple(span[0] for span in spans)
    samples = Samples(
        start_ns=start,
        scheduled=(0,) * len(spans),
        began=began,
        done=tuple(span[1] for span in spans),
    )
    return outcome(setting, samples, measures="throughput", length=length, warm_up=warmed)
