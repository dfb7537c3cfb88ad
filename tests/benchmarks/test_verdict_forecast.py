"""How long it will take is told before it begins, from the plan alone."""

from __future__ import annotations

import pytest

from stylepress.benchmarks.verdict.forecast import START_S, about, forecast
from stylepress.benchmarks.verdict.session import PairPlan

HOUR = PairPlan(pairs=10, warm_s=0, min_s=90 - START_S, rest_s=0)
"""Two runs of 90 s a pair: 30 minutes a backend."""


@pytest.mark.parametrize(
    ("extend", "confirm", "more"),
    [
        (False, False, ""),
        (True, False, "30 minutes"),
        (False, True, "30 minutes"),
        (True, True, "1.5 hours"),
    ],
)
def test_an_extension_doubles_the_pairs_and_a_failure_is_measured_with_as_many_again(
    extend: bool, confirm: bool, more: str
) -> None:
    plan = PairPlan(**{**_fields(HOUR), "extend": extend, "confirm": confirm})  # type: ignore[arg-type]
    told = forecast(plan, 1)
    assert told.startswith("1 backend x 10 pairs x 2 runs: about 30 minutes")
    assert (f", up to {more} more" in told) == bool(more)


def test_time_goes_with_backends_and_pairs() -> None:
    assert "2 backends x 10 pairs x 2 runs: about 60 minutes" in forecast(HOUR, 2)
    short = PairPlan(**{**_fields(HOUR), "pairs": 6})  # type: ignore[arg-type]
    assert "about 18 minutes, up to 18 minutes more" in forecast(short, 1)


def test_what_slow_frames_do_is_told() -> None:
    assert forecast(PairPlan(), 1).endswith("; longer where 100 calls take more than 5 s.")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 minutes"), (5399, "90 minutes"), (5400, "1.5 hours")],
)
def test_a_time_is_told_as_roughly_as_it_is_known(seconds: float, told: str) -> None:
    assert about(seconds) == told


def _fields(plan: PairPlan) -> dict[str, object]:
    return {name: getattr(plan, name) for name in plan.__slots__}
