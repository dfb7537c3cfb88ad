"""A study from frames to verdict: the same model passes, broken colours that score better fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.quality.features.extractor import Extractor, HandcraftedExtractor
from stylepress.benchmarks.quality.pixels import luminance
from stylepress.benchmarks.quality.study import Drift, Pair, benign, drift_study, jpeg
from stylepress.errors import FrameError
from stylepress.progress import Silent

Pixels = NDArray[np.uint8]

SIDE = 32


def faded(picture: Pixels, kept: float) -> Pixels:
    """Leave a share of the chroma, all of the luma."""
    luma = luminance(picture.astype(np.float64))[..., None]
    return np.clip(np.rint(luma + kept * (picture - luma)), 0, 255).astype(np.uint8)


def picture(seed: int, chroma: float = 1.0) -> Pixels:
    """Colours of its own, detail at two scales; ``chroma`` fades it."""
    draw = np.random.default_rng(seed)
    noise = draw.normal(size=(SIDE, SIDE, 3))
    image = 160 * ndimage.gaussian_filter(noise, (3, 3, 0)) + 12 * noise
    whole = np.asarray(np.clip(128 + image + draw.normal(0, 40, 3), 0, 255), np.uint8)
    return faded(whole, chroma)


PICTURES = [picture(number) for number in range(40)]
REFERENCES = [picture(1000 + number, 0.3) for number in range(40)]


class Means:
    """Six dimensions, so that few pictures suffice: mean and deviation of each channel."""

    def __init__(self) -> None:
        self.fact = HandcraftedExtractor().fact.model_copy(update={"dimension": 6, "name": "means"})

    def describe(self, pictures: Pixels) -> NDArray[np.float64]:
        stack = pictures.astype(np.float64) / 255
        return np.concatenate([stack.mean((1, 2)), stack.std((1, 2))], axis=1)


def study(
    change: Callable[[Pixels], Pixels],
    extractor: Extractor | None = None,
    *,
    pictures: Iterable[Pixels] = PICTURES,
    references: Iterable[Pixels] = REFERENCES,
    judged: bool = True,
) -> Drift:
    return drift_study(
        ("whole", "changed"),
        [Pair(f"{number}.jpg", one, change(one)) for number, one in enumerate(pictures)],
        references,
        extractor=extractor or Means(),
        judged=judged,
        progress=Silent(),
    )


def of(drift: Drift, key: str) -> Check:
    return next(one for one in drift.checks if one.key == key)


def test_broken_colours_with_a_better_frechet_distance_fail() -> None:
    broken = study(lambda one: faded(one, 0.35))
    assert (of(broken, "drift_percent").new or 0) < 0
    assert broken.verdict == "FAIL"
    failed = {check.key for check in broken.checks if check.verdict == "FAIL"}
    assert {"drift_percent", "drift_benign_times", "drift_psnr_mean_db"} <= failed
    assert Drift.model_validate_json(broken.model_dump_json()) == broken


def test_the_same_model_passes_every_check() -> None:
    same = study(lambda one: one)
    assert same.verdict == "PASS"
    assert of(same, "drift_benign_times").new == 0


def test_the_benign_change_is_as_far_as_itself() -> None:
    check = of(study(benign), "drift_benign_times")
    assert check.new == pytest.approx(1)
    assert check.verdict == "PASS"


@pytest.mark.parametrize(("levels", "verdict"), [(2, "PASS"), (4, "FAIL")])
def test_a_cast_is_judged_apart_from_all_that_a_distance_adds_up(levels: int, verdict: str) -> None:
    red = np.array([levels, 0, 0], np.uint8)
    pictures = [np.minimum(picture(seed), 250) for seed in range(12)]
    made = study(lambda one: one + red, HandcraftedExtractor(), pictures=pictures, references=[])
    check = of(made, "drift_cast_levels")
    assert check.new == pytest.approx(levels)
    assert check.verdict == verdict
    assert of(made, "drift_percent").note == "no references were given"


def test_few_pictures_are_judged_by_pairs_alone() -> None:
    pictures = [picture(seed) for seed in range(8)]
    few = study(lambda one: faded(one, 0.9), HandcraftedExtractor(), pictures=pictures)
    judged = {check.key for check in few.checks if check.verdict}
    names = ("psnr_mean_db", "psnr_worst_db", "ssim_mean", "ssim_worst", "cast_levels")
    assert judged == {f"drift_{name}" for name in names}


def test_the_worst_picture_is_named() -> None:
    pictures = [picture(seed) for seed in range(8)]
    spoiled = study(lambda one: 255 - one if one is pictures[5] else one, pictures=pictures)
    worst = of(spoiled, "drift_psnr_worst_db")
    assert (worst.verdict, worst.note) == ("FAIL", "5.jpg")
    assert min(range(8), key=spoiled.psnr_db.__getitem__) == 5


def test_squares_are_described_and_whole_pictures_are_compared() -> None:
    """Of 160x128 pixels come four squares of 64: as many features, one PSNR."""
    pictures = [picture(seed).repeat(4, 0).repeat(5, 1) for seed in range(7)]
    made = study(lambda one: jpeg(one, 60), pictures=pictures[:4], references=pictures[4:])
    assert (made.count, made.references, made.square, len(made.psnr_db)) == (16, 12, 64, 4)
    assert made.sample == "16 squares of 64 pixels of 4 pictures of 160x128"
    assert made.resampling == "jackknife over 4 pictures"


def test_a_student_is_told_of_and_not_judged_against_its_teacher() -> None:
    apart = study(lambda one: faded(one, 0.35), judged=False)
    assert apart.verdict is None
    assert {one.verdict for one in apart.checks} == {None}
    assert of(apart, "drift_psnr_mean_db").new is not None


def test_a_study_of_three_pictures_is_refused() -> None:
    with pytest.raises(FrameError, match="4 of each"):
        study(lambda one: one, pictures=[picture(seed) for seed in range(3)])
