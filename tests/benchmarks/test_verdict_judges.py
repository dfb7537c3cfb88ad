"""What an arm and the judge of pictures decide by themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stylepress.benchmarks.verdict.album import album
from stylepress.benchmarks.verdict.arm import settled
from stylepress.benchmarks.verdict.drawing import judged
from stylepress.benchmarks.verdict.pictures import Drawn, PairedJudge, PictureLimits, growth


def test_a_warm_up_settles_when_its_last_three_windows_agree() -> None:
    assert settled([9, 9, 9, 9, 9, *[100] * 15])
    assert not settled([100] * 14)
    assert not settled([*[100] * 10, *[103] * 5])


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
