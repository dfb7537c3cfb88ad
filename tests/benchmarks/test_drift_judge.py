"""The study of drift sits in the verdict of a comparison."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stylepress.benchmarks.quality.bundles import SQUARE
from stylepress.benchmarks.quality.damage import coarse
from stylepress.benchmarks.quality.features.extractor import HandcraftedExtractor
from stylepress.benchmarks.quality.checks import Limits
from stylepress.benchmarks.drift.judge import DriftJudge, drift_judge
from stylepress.benchmarks.quality.study import StudyOptions
from stylepress.benchmarks.verdict.comparison import Judgement
from stylepress.benchmarks.verdict.pictures import Drawn, PictureJudge
from stylepress.errors import InputError
from stylepress.progress import Silent

Pixels = NDArray[np.uint8]


def frames(count: int, side: int = 64) -> tuple[Pixels, ...]:
    draw = np.random.default_rng(0)
    small = draw.integers(0, 256, (count, 1, side // 8, side // 8, 3)).astype(np.uint8)
    return tuple(one.repeat(8, 1).repeat(8, 2) for one in small)


def judged(
    new: tuple[Pixels, ...], base: tuple[Pixels, ...], references: tuple[Pixels, ...] = ()
) -> dict[str, Judgement]:
    judge: PictureJudge = DriftJudge(
        HandcraftedExtractor(),
        Silent(),
        tile=32,
        options=StudyOptions(ladder=0, limits=Limits(psnr_worst_db=None)),
    )
    names = tuple(map(str, range(len(base))))
    return {one.metric: one for one in judge(Drawn(names, base, base, new, None, references))}


def test_the_same_pictures_pass() -> None:
    base = frames(3)
    same = judged(base, base)
    assert {one.verdict for one in same.values() if one.gated} == {"PASS"}
    assert same["patch distance between the arms"].new == 0


def test_paired_figures_are_over_frames_and_distances_over_their_squares() -> None:
    base = frames(3)
    found = judged(tuple(coarse(frame, 5) for frame in base), base)
    assert (
        "12 squares of 32 pixels of 3 pictures of 64x64"
        in found["kernel distance between the arms"].note
    )
    assert "95 %" in found["PSNR, dB, mean"].note


def test_coarse_pictures_fail_and_distances_of_few_are_told_but_not_judged() -> None:
    base = frames(3)
    spoiled = judged(tuple(coarse(frame, 2) for frame in base), base)
    assert spoiled["PSNR, dB, mean"].verdict == "FAIL"
    assert spoiled["drift D"].verdict is None
    assert "no references" in spoiled["drift D"].note
    direct = spoiled["direct P over benign"]
    assert direct.verdict is None
    assert "too few: 12 for 89" in direct.note
    assert "PSNR, dB, worst" not in spoiled


def test_too_few_pictures_are_told() -> None:
    small = frames(1, 32)
    (told,) = judged(small, small).values()
    assert not told.gated
    assert "too few" in told.note


def test_references_make_a_world_that_is_drifted_from() -> None:
    base = frames(3)
    found = judged(tuple(coarse(frame, 5) for frame in base), base, frames(5)[3:])
    assert "too few: 8 for 89" in found["drift D"].note
    assert "no references" not in found["drift D"].note


def test_a_judge_without_networks_is_of_features_in_code_over_small_squares(tmp_path: Path) -> None:
    judge = drift_judge(None, None, env={}, home=tmp_path, progress=Silent())
    assert (judge.extractor.fact.kind, judge.tile, judge.options.lpips) == (
        "code", SQUARE, "no weights were given",
    )  # fmt: skip


@pytest.mark.parametrize(("extractor", "lpips"), [("no.onnx", None), (None, "alex.pth")])
def test_a_network_that_is_not_there_is_refused_before_anything_is_drawn(
    tmp_path: Path, extractor: str | None, lpips: str | None
) -> None:
    named = [None if name is None else tmp_path / name for name in (extractor, lpips)]
    with pytest.raises(InputError, match=re.escape(str(tmp_path / (extractor or lpips or "")))):
        drift_judge(*named, env={}, home=tmp_path, progress=Silent())
