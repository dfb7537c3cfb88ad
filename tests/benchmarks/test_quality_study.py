"""A study from frames to verdict: the same model passes, broken colours that score better fail."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]

from stylepress.benchmarks.evidence.drift import faded
from stylepress.benchmarks.quality.damage import LADDERS, coarse, jpeg, noisy, tinted
from stylepress.benchmarks.quality.features.extractor import (
    Extractor,
    HandcraftedExtractor,
    LpipsFact,
    Seen,
)
from stylepress.benchmarks.quality.ladder import Climb, ladder
from stylepress.benchmarks.quality.pixels import content_distance
from stylepress.benchmarks.quality.result import Drift, Ladder, Rung
from stylepress.benchmarks.quality.study import Pair, Run, StudyOptions, drawn_pairs, drift_study
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
        ("whole", "changed"),
        drawn_pairs([picture(seed) for seed in range(count)], lambda f: f, compressed),
        (picture(1000 + seed, 0.3) for seed in range(count)),
        extractor=extractor,
        options=options,
        progress=Silent(),
    )


@pytest.fixture(scope="module")
def broken() -> Drift:
    """A model that loses most of its colour, against a reference of faded pictures."""
    options = StudyOptions(ladder=8, lpips=Levels())
    return study(lambda f: faded(f, 0.35), Means(), options)


def test_broken_colours_with_a_better_frechet_distance_fail(broken: Drift) -> None:
    frechet = broken.frechet
    assert frechet.reference_compressed is not None
    assert frechet.reference_original is not None
    assert frechet.reference_compressed < 0.5 * frechet.reference_original
    assert broken.verdict == "FAIL"
    failed = {check.key for check in broken.checks if check.verdict == "FAIL"}
    assert {
        "drift_percent",
        "drift_benign_times",
        "drift_psnr_mean_db",
    } <= failed


def test_a_study_goes_into_json_and_comes_back(broken: Drift) -> None:
    record = json.loads(broken.model_dump_json())
    assert Drift.model_validate(record) == broken
    assert {"reference_original", "n_reference", "seed", "policy"} <= set(record["frechet"])


def test_a_study_says_what_each_figure_is_like(broken: Drift) -> None:
    like = broken.like()
    assert {"direct", "patches", "psnr_db", "lpips"} <= set(like)
    assert set(like["psnr_db"]) == set(LADDERS)


def test_every_paired_figure_of_a_study_has_its_place_on_the_ladder() -> None:
    made = study(lambda f: faded(f, 0.9), Means(), StudyOptions(ladder=4, lpips=Levels()), count=8)
    taken = {one.measure for one in made.paired}
    assert {"cast_levels", "content_drift", "lpips"} < taken <= set(made.like())


def test_a_ladder_tells_casts_and_how_far_each_damage_takes_from_the_content() -> None:
    content, drawn = (picture(seed).repeat(2, 0).repeat(2, 1) for seed in (1, 2))
    climb = Climb(HandcraftedExtractor(), contents=[content] * 4)
    climbed = ladder([drawn] * 4, climb, progress=Silent())
    assert climbed.climb("cast_levels", "colour")[:3] == pytest.approx([1, 2, 4], abs=0.2)
    assert climbed.climb("place_levels", "colour")[:3] == pytest.approx([1, 2, 4], abs=0.2)
    blurred = LADDERS["blur"].damage(drawn, 3, 0)
    away = [content_distance(one / 255, content / 255) for one in (blurred, drawn)]
    assert climbed.climb("content_drift", "blur")[-1] == pytest.approx(away[0] - away[1], rel=1e-4)
    assert climbed.climb("content_drift", "bits")[0] == 0


def test_a_study_takes_what_weights_allow_and_tells_what_it_skipped(broken: Drift) -> None:
    assert broken.score is not None
    assert broken.score.original > 1
    assert broken.lpips == Levels.fact
    assert {each.what for each in broken.skipped} == {"FID", "MS-SSIM"}


def test_the_same_model_passes_every_check() -> None:
    same = study(lambda f: f, Means(), StudyOptions(ladder=0))
    assert same.verdict == "PASS"
    assert same.frechet.direct.value <= 1e-12
    assert same.patches == 0
    assert {each.what for each in same.skipped} == {"FID", "MS-SSIM", "LPIPS"}


def test_the_benign_change_is_the_one_that_is_named() -> None:
    same = study(lambda f: jpeg(tinted(f[0], 1), 95)[None], Means(), StudyOptions(ladder=0))
    assert same.frechet.benign_change == "a tint of 1 level and JPEG 95"
    assert same.frechet.benign == same.frechet.direct.value > 0
    assert same.benign_patches == same.patches > 0


@pytest.mark.parametrize(("levels", "verdict"), [(2, "PASS"), (4, "FAIL")])
def test_a_cast_is_judged_apart_from_all_that_a_distance_adds_up(levels: int, verdict: str) -> None:
    def reddened(frames: Pixels) -> Pixels:
        return np.asarray(frames + np.array([levels, 0, 0], np.uint8), np.uint8)

    pictures = [np.minimum(picture(seed), 250) for seed in range(12)]
    made = drift_study(
        ("whole", "reddened"),
        drawn_pairs(pictures, lambda f: f, reddened),
        [],
        extractor=HandcraftedExtractor(),
        options=StudyOptions(ladder=0),
        progress=Silent(),
    )
    (check,) = (one for one in made.checks if one.key == "drift_cast_levels")
    assert check.new == pytest.approx(levels)
    assert check.verdict == verdict


def test_few_pictures_are_judged_by_pairs_alone() -> None:
    few = study(lambda f: faded(f, 0.9), HandcraftedExtractor(), StudyOptions(ladder=0), count=8)
    assert few.frechet.policy == "paired only"
    assert few.frechet.drift is None
    judged = {check.key for check in few.checks if check.verdict}
    paired = {
        f"drift_{name}"
        for name in ("psnr_mean_db", "psnr_worst_db", "ssim_mean", "ssim_worst", "cast_levels")
    }
    assert judged == paired


def test_the_worst_picture_is_named() -> None:
    pairs = [Pair(f"{n}.jpg", picture(n), picture(n), picture(n)) for n in range(8)]
    pairs[5] = Pair("broken.jpg", picture(5), picture(5), 255 - picture(5))
    made = drift_study(
        ("whole", "changed"),
        pairs,
        [],
        extractor=Means(),
        options=StudyOptions(ladder=0),
        progress=Silent(),
    )
    (worst,) = (one for one in made.checks if one.key == "drift_psnr_worst_db")
    assert (worst.verdict, worst.note) == ("FAIL", "broken.jpg")
    assert made.names[5] == "broken.jpg"


def large(seed: int) -> Pixels:
    return np.concatenate(
        [np.concatenate([picture(seed)] * 3), np.concatenate([picture(9)] * 3)], 1
    )


def test_squares_are_described_and_whole_pictures_are_compared() -> None:
    """Of 96x64 pixels come six squares of 32: as many features, one PSNR."""
    pictures = [large(seed) for seed in range(4)]
    made = drift_study(
        ("whole", "changed"),
        drawn_pairs(pictures, lambda f: f, lambda f: jpeg(f[0], 60)[np.newaxis]),
        [large(seed) for seed in range(4, 7)],
        extractor=Means(),
        options=StudyOptions(ladder=2, square=32),
        progress=Silent(),
    )
    assert (made.frechet.n, made.frechet.n_reference) == (24, 18)
    assert made.sample == "24 squares of 32 pixels of 4 pictures of 64x96"
    assert {one.count for one in made.paired} == {4}
    assert made.frechet.resampling == "jackknife over 4 pictures"
    assert made.ladder is not None
    assert (made.ladder.pictures, made.ladder.count, made.ladder.pairs) == (2, 12, 2)
    again = StudyOptions(ladder=made.ladder, square=32)
    assert (
        drift_study(
            ("whole", "changed"),
            drawn_pairs(pictures, lambda f: f, lambda f: f),
            [],
            extractor=Means(),
            options=again,
            progress=Silent(),
        ).ladder
        is made.ladder
    )


def test_a_study_without_references_has_no_drift_and_says_so() -> None:
    alone = drift_study(
        ("whole", "changed"),
        drawn_pairs([picture(n) for n in range(40)], lambda f: f, lambda f: f),
        [],
        extractor=Means(),
        options=StudyOptions(ladder=0),
        progress=Silent(),
    )
    assert alone.frechet.drift is None
    assert {"drift to a reference"} < {each.what for each in alone.skipped}
    assert alone.verdict == "PASS"


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
    climb = Climb(HandcraftedExtractor(), contents=pictures)
    ranks = ladder(pictures, climb, progress=Silent()).correlations()
    assert {metric for metric, _ in ranks} >= {"direct", "kernel", "patches", "psnr_db", "ssim"}
    assert [kind for metric, kind in ranks if metric == "cast_levels"] == ["colour"]
    assert {kind for metric, kind in ranks if metric == "content_drift"} == set(LADDERS) - {
        "colour"
    }
    short = {key: rank for key, rank in ranks.items() if not rank >= 0.94}  # NaN is short too
    assert not short


def test_a_value_lies_where_the_ladder_first_reaches_it() -> None:
    values = zip((1, 2, 3, 4), (0.1, 0.5, 0.4, 0.9), strict=True)
    rungs = tuple(Rung(kind="blur", strength=s, values={"direct": v}) for s, v in values)
    uneven = Ladder(pictures=1, count=1, pairs=1, rungs=rungs)
    seen = [uneven.like("direct", value)["blur"] for value in (0.05, 0.1, 0.45, 0.6, 0.9)]
    assert seen == ["below 1", "1 to 2", "1 to 2", "3 to 4", "beyond 4"]


def test_a_damage_of_no_strength_changes_nothing() -> None:
    one = picture(0)
    assert (coarse(one, 8) == one).all()
    assert (tinted(one, 0) == one).all()
    assert (noisy(one, 0, 3) == one).all()
    assert np.abs(jpeg(one, 100).astype(int) - one).mean() < 1
