"""What an arm and the judge of pictures decide by themselves."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from stylepress.benchmarks.timing.worker import Request, warmed_up
from stylepress.benchmarks.verdict.album import album
from stylepress.benchmarks.verdict.drawing import judged
from stylepress.benchmarks.verdict.pictures import Drawn, PairedJudge, PictureLimits, growth

WARM = Request(
    bundle="b",
    backend="null",
    frames="f",
    answer="a",
    threads=1,
    warm_s=3.0,
    warm_count=10,
    warm_cap_s=9.0,
    min_s=0,
    min_count=1,
)


def clock(call_ms: Callable[[float], float]) -> Callable[[], int]:
    """An engine whose calls take so many ms at a time in seconds."""
    at_ns = 0

    def call() -> int:
        nonlocal at_ns
        taken = round(1e6 * call_ms(at_ns / 1e9))
        at_ns += taken
        return taken

    return call


def test_an_even_engine_warms_up_for_the_least_time() -> None:
    count, settled = warmed_up(clock(lambda _: 10.0), WARM)
    assert settled
    assert count == 300


def test_a_warm_up_goes_on_while_calls_get_faster() -> None:
    count, settled = warmed_up(clock(lambda s: 10 * (1 + math.exp(-s / 2))), WARM)
    assert settled
    assert 4.5 < count / 75 < 9  # half a second is 50 to 75 calls by then


def test_an_engine_that_never_settles_is_told() -> None:
    count, settled = warmed_up(clock(lambda s: 10 * 1.1**s), WARM)
    assert not settled
    assert count > 300


def test_noise_of_single_calls_is_no_reason_to_warm_up_longer() -> None:
    rng = np.random.default_rng(0)
    _, settled = warmed_up(clock(lambda _: 7 * float(rng.normal(1, 0.05))), WARM)
    assert settled


def test_without_a_warm_up_only_the_count_is_kept() -> None:
    count, _ = warmed_up(clock(lambda _: 10.0), replace(WARM, warm_s=0, warm_cap_s=0))
    assert count == 10


@pytest.mark.parametrize(
    ("base", "new", "verdict"),
    [
        (1.0, 1.1, "PASS"),
        (1.0, 1.101, "FAIL"),
        (1.0, 0.1, "PASS"),
        (0.0, 0.0, "PASS"),
        (0.0, 0.1, "FAIL"),
        (1.0, math.nan, "FAIL"),
        (math.nan, 1.0, "FAIL"),
    ],
)
def test_a_distance_may_grow_by_its_limit_and_what_is_no_number_fails(
    base: float, new: float, verdict: str
) -> None:
    found = growth("style distance", [(base, new)], limits=PictureLimits())
    assert (found.gated, found.verdict) == (True, verdict)
    assert found.worse is None or math.isfinite(found.worse)


def test_a_backend_that_breaks_the_pictures_fails_though_another_keeps_them() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    twisted = np.ascontiguousarray(frame[..., ::-1])
    drawn = {
        name: Drawn(("a", "b"), (frame, frame), (frame, frame), (frame, new), None)
        for name, new in {"kept": frame, "broken": twisted}.items()
    }
    found = [one for one in judged(drawn, (PairedJudge(PictureLimits()),)) if one.unit == "dB"]
    assert [(one.subject, one.verdict) for one in found] == [
        ("pictures in kept", "PASS"), ("pictures in broken", "FAIL"),
    ]  # fmt: skip
    alone = judged({"one": drawn["kept"]}, (PairedJudge(PictureLimits()),))
    assert {one.subject for one in alone} == {"pictures"}
    shown = album(drawn, most=2)
    assert [one.photo for one in shown] == ["b in broken", "a in kept"]
    assert math.isinf(shown[1].psnr_db)


def test_equal_pictures_pass_and_broken_colours_fail() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    twisted = np.ascontiguousarray(frame[..., ::-1])
    judge = PairedJudge(PictureLimits())
    for new, verdict in ((frame, "PASS"), (twisted, "FAIL")):
        drawn = Drawn(("a",), (frame,), (frame,), (new,), None)
        assert next(iter(judge(drawn))).verdict == verdict
