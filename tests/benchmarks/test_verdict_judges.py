"""What an arm and the judge of pictures decide by themselves."""

from __future__ import annotations

import numpy as np

from stylepress.benchmarks.verdict.arm import settled
from stylepress.benchmarks.verdict.pictures import Drawn, PairedJudge, PictureLimits


def test_a_warm_up_settles_when_its_last_three_windows_agree() -> None:
    assert settled([9, 9, 9, 9, 9, *[100] * 15])
    assert not settled([100] * 14)
    assert not settled([*[100] * 10, *[103] * 5])


def test_equal_pictures_pass_and_broken_colours_fail() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    twisted = np.ascontiguousarray(frame[..., ::-1])
    judge = PairedJudge(PictureLimits())
    for new, verdict in ((frame, "PASS"), (twisted, "FAIL")):
        drawn = Drawn(("a",), (frame,), (frame,), (new,), None)
        assert next(iter(judge(drawn))).verdict == verdict
