"""A study from frames to verdict: the same model passes, broken colours that score better fail."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]

from stylepress.benchmarks.drift.damage import LADDERS, coarse, jpeg, noisy, tinted
from stylepress.benchmarks.drift.features.extractor import (
    Extractor,
    HandcraftedExtractor,
    LpipsFact,
    Seen,
)
from stylepress.benchmarks.drift.ladder import ladder
from stylepress.benchmarks.drift.result import Drift
from stylepress.benchmarks.drift.study import Arms, Run, StudyOptions, drift_study, suffered
from stylepress.benchmarks.figures.drift import distance_rows, faded
from stylepress.errors import FrameError
from stylepress.progress import Silent

Pixels = NDArray[np.uint8]

SIDE = 32


def picture(seed: int, chroma: float = 1.0) -> Pixels:
    """Colours of its own, detail at two scales; ``chroma`` fades it."""
    draw = np.random.default_rng(seed)
    noise = draw.normal(size=(SIDE, SIDE, 3))
    image = 160 * ndimage.gaussian_filter(noise, (3, 3, 0)) + 12 * noise
    tint = draw.normal(0, 40, 3)
    whole = np.asarray(np.clip(128 + image + tint, 0, 255), np.uint8)
    made: Pixels = faded(whole[np.newaxis], chroma)[0]
    return made


class Means:
    """Six dimensions, so that few pictures suffice: mean and deviation of each channel."""

    def __init__(self) -> None:
        self.fact = HandcraftedExtractor().fact.model_copy(update={"dimension": 6, "name": "means"})

    def see(self, pictures: object) -> Seen:
        stack = np.stack(pictures).astype(np.float64) / 255  # type: ignore[call-overload]
        features = np.concatenate([stack.mean((1, 2)), stack.std((1, 2))], axis=1)
        return Seen(features, 10 * features)


class Levels:
    """Stands for LPIPS: a distance of two pictures with a fact."""

    fact = LpipsFact(net="alex", backbone_sha256="a", heads_sha256="b")

    def distance(self, one: Pixels, two: Pixels) -> float:
        return float(np.abs(one.astype(float) - two).mean()) / 255


def study(
    compressed: Run, extractor: Extractor, options: StudyOptions, *, count: int = 40
) -> Drift:
    return drift_study(
        Arms(("whole", lambda f: f), ("changed", compressed)),
        [picture(seed) for seed in range(count)],
        (picture(1000 + seed, 0.3) for seed in range(count)),
        extractor=extractor,
        options=options,
        progress=Silent(),
    )


@pytest.fixture(scope="module")
def broken() -> Drift:
    """A model that loses most of its colour, against a reference of faded pictures."""
    options = StudyOptions(ladder=8, lpips=Levels(), style=picture(77), styled=2)
    return study(lambda f: faded(f, 0.35), Means(), options)


def test_broken_colours_with_a_better_frechet_distance_fail(broken: Drift) -> None:
    frechet = broken.frechet
    assert frechet.reference_compressed is not None
    assert frechet.reference_original is not None
    assert frechet.reference_compressed < 0.5 * frechet.reference_original
    assert broken.verdict == "regression"
    failed = {check.name for check in broken.checks if check.verdict == "regression"}
    assert {
        "drift of frechet_distance",
        "direct frechet_distance over JPEG 95",
        "psnr_db mean",
    } <= failed


def test_a_study_goes_into_json_and_comes_back(broken: Drift) -> None:
    record = json.loads(broken.model_dump_json())
    assert Drift.model_validate(record) == broken
    assert {"reference_original", "n_reference", "seed", "policy"} <= set(record["frechet"])


def test_a_study_says_what_each_figure_is_like(broken: Drift) -> None:
    like = broken.like()
    assert {"direct", "patches", "psnr_db", "lpips"} <= set(like)
    assert set(like["psnr_db"]) == set(LADDERS)


def test_a_study_takes_what_weights_allow_and_tells_what_it_skipped(broken: Drift) -> None:
    assert broken.score is not None
    assert broken.score.original > 1
    assert broken.lpips == Levels.fact
    style = broken.measure("style_drift")
    assert style is not None
    assert style.count == 2
    assert {each.what for each in broken.skipped} == {"FID", "MS-SSIM"}


def test_the_same_model_passes_every_check() -> None:
    same = study(lambda f: f, Means(), StudyOptions(ladder=0))
    assert same.verdict == "ok"
    assert same.frechet.direct.value <= 1e-12
    assert same.patches == 0
    assert {each.what for each in same.skipped} == {"FID", "MS-SSIM", "LPIPS"}


def test_few_pictures_are_judged_by_pairs_alone() -> None:
    few = study(lambda f: faded(f, 0.9), HandcraftedExtractor(), StudyOptions(ladder=0), count=8)
    assert few.frechet.policy == "paired only"
    assert few.frechet.drift is None
    judged = {check.name for check in few.checks if check.verdict != "not judged"}
    assert judged == {"psnr_db mean", "psnr_db worst", "ssim mean", "ssim worst"}


def test_the_worst_pictures_can_be_drawn_again() -> None:
    def spoiled(frame: Pixels) -> Pixels:
        return 255 - frame if (frame[0] == picture(5)).all() else frame

    inputs = [picture(seed) for seed in range(8)]
    arms = Arms(("whole", lambda f: f), ("changed", spoiled))
    made = drift_study(
        arms,
        inputs,
        inputs,
        extractor=Means(),
        options=StudyOptions(ladder=0),
        progress=Silent(),
    )
    (worst,) = suffered(made, arms, inputs, count=1)
    assert worst.number == 5
    assert (worst.compressed == 255 - worst.original).all()
    with pytest.raises(FrameError, match="psnr_db"):
        list(suffered(made, arms, inputs, measure="lpips"))


def test_a_study_of_three_pictures_is_refused() -> None:
    with pytest.raises(FrameError, match="four of each"):
        study(lambda f: f, Means(), StudyOptions(ladder=0), count=3)


def test_a_study_is_the_same_with_any_number_of_workers() -> None:
    one, two = (
        study(lambda f: jpeg(f[0], 60)[None], Means(), StudyOptions(ladder=0, workers=n), count=12)
        for n in (1, 3)
    )
    assert one == two


def test_every_metric_climbs_every_ladder() -> None:
    pictures = [picture(seed).repeat(2, 0).repeat(2, 1) for seed in range(6)]
    climbed = ladder(pictures, HandcraftedExtractor(), progress=Silent(), pairs=2)
    ranks = climbed.correlations()
    assert {metric for metric, _ in ranks} >= {"direct", "kernel", "patches", "psnr_db", "ssim"}
    assert min(ranks.values()) >= 0.94, sorted(ranks.items(), key=lambda each: each[1])[:3]


def test_a_damage_of_no_strength_changes_nothing() -> None:
    one = picture(0)
    assert (coarse(one, 8) == one).all()
    assert (tinted(one, 0) == one).all()
    assert (noisy(one, 0, 3) == one).all()
    assert np.abs(jpeg(one, 100).astype(int) - one).mean() < 1


def test_the_rows_about_distances_are_kept() -> None:
    rows = list(distance_rows())
    assert [row.verdict for row in rows] == ["ok"] * 3
