"""The gate is two-sided and three-valued, and cannot be flattered."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.gate import USUAL, Limits
from stylepress.benchmarks.quality.checks import checks
from stylepress.benchmarks.quality.features.extractor import HandcraftedExtractor
from stylepress.benchmarks.quality.frechet import features_distance
from stylepress.benchmarks.quality.paired import PairScores, paired
from stylepress.benchmarks.quality.resampling import Resampling, mean_interval
from stylepress.benchmarks.quality.result import FrechetDrift, Interval
from stylepress.benchmarks.quality.sets import Features, frechet_drift
from stylepress.errors import RecipeError

Rows = NDArray[np.float64]

DIMENSION = 6


def drawn(count: int = 300, seed: int = 0, shift: float = 0.0) -> Rows:
    return np.asarray(np.random.default_rng(seed).normal(shift, 1, (count, DIMENSION)), np.float64)


def judged(
    compressed: Rows,
    *,
    original: Rows | None = None,
    benign: float = 1e-2,
    reference: Rows | None = None,
    groups: NDArray[np.intp] | None = None,
) -> FrechetDrift:
    """Original around 1, reference around 0: a shift down is nearer to the reference."""
    own = drawn(len(compressed), 1, 1.0) if original is None else original
    world = drawn(len(own), 2) if reference is None else reference
    fact = HandcraftedExtractor().fact.model_copy(update={"dimension": DIMENSION})
    rows = Features(world, own, compressed, own + benign * drawn(len(own), 3), groups)
    return frechet_drift(rows, fact, seed=0, benign_change="a change")


def of(name: str, frechet: FrechetDrift, limits: Limits | None = None) -> Check:
    found = checks(frechet, (), limits or USUAL, names=())
    key = {"drift": "drift_percent", "direct": "drift_benign_times"}[name]
    return next(check for check in found if check.key == key)


ORIGINAL = drawn(300, 1, 1.0)


def test_the_same_pictures_pass() -> None:
    same = judged(ORIGINAL)
    assert same.drift is not None
    assert same.drift.value == pytest.approx(0, abs=same.rounding)
    assert [of(name, same).verdict for name in ("drift", "direct")] == ["PASS", "PASS"]
    assert of("direct", same).new == 0


def test_pictures_nearer_to_the_reference_than_the_original_fail() -> None:
    better = judged(ORIGINAL - 0.5)
    assert better.drift is not None
    assert better.drift.high is not None
    assert better.drift.high < 0
    check = of("drift", better)
    assert check.verdict == "FAIL"
    assert "not the original's pictures" in check.note
    assert of("direct", better).verdict == "FAIL"


def test_what_sets_the_limit_of_drift_is_told() -> None:
    share = of("drift", judged(ORIGINAL + 1e-6, benign=1e-9))
    assert share.note == "the limit is 2% of the distance to the reference"
    ceiling = of("drift", judged(ORIGINAL + 1e-6, benign=0.1))
    assert ceiling.note.startswith("the limit is what a change may move it by, ")
    assert share.limit is not None
    assert ceiling.limit is not None
    assert ceiling.limit > share.limit


def test_references_that_are_the_original_have_a_limit_too() -> None:
    check = of("drift", judged(ORIGINAL + 1e-6, reference=ORIGINAL))
    assert check.limit is not None
    assert "of the distance" not in check.note


def test_pictures_farther_from_the_reference_fail_too() -> None:
    assert of("drift", judged(ORIGINAL + 0.5)).verdict == "FAIL"


def test_a_change_that_moves_no_nearer_and_no_farther_is_seen_by_the_direct_distance() -> None:
    """Mirrored in a plane that the reference is symmetric about: as far from it as before."""
    mirrored = np.array([1, 1, 1, 1, 1, -1.0])
    half = drawn(150, 2)
    turned = judged(ORIGINAL * mirrored, reference=np.concatenate([half, half * mirrored]))
    assert turned.drift is not None
    assert turned.drift.value == pytest.approx(0, abs=1e-9)
    assert of("drift", turned).verdict != "FAIL"
    assert turned.direct.value == pytest.approx(4 * ORIGINAL[:, 5].mean() ** 2, rel=0.05)
    assert of("direct", turned).verdict == "FAIL"


def test_a_change_as_small_as_the_benign_one_passes() -> None:
    small = judged(ORIGINAL + 1e-2 * drawn(300, 9))
    assert of("direct", small).verdict == "PASS"
    assert of("drift", small).verdict == "PASS"


def test_the_benign_change_is_measured_as_the_compressed_model_is() -> None:
    fact = HandcraftedExtractor().fact.model_copy(update={"dimension": DIMENSION})
    for farther in (0.3, -0.3):
        rows = Features(drawn(300, 2), ORIGINAL, ORIGINAL + farther, ORIGINAL + farther)
        found = frechet_drift(rows, fact, seed=0, benign_change="a change")
        assert found.drift is not None
        assert found.direct_over_benign is not None
        assert found.benign_drift == pytest.approx(found.drift.value)
        assert found.direct_over_benign.value == pytest.approx(1)


def test_the_benign_change_itself_never_fails_however_narrow_the_limit() -> None:
    narrow = USUAL.changed(drift_percent=1e-6)
    small = judged(ORIGINAL + 1e-2 * drawn(300, 3))
    check = of("drift", small.model_copy(update={"benign": 1e-12}), narrow)
    assert check.verdict != "FAIL"
    assert "a change alone moves it" in check.note


def test_drift_may_always_be_what_a_benign_change_could_make_of_it() -> None:
    """The triangle of the distance's root: sqrt FD(R, C) <= sqrt FD(R, O) + sqrt FD(O, C).

    In six dimensions chance alone may aim straight away from the reference.
    """
    found = judged(ORIGINAL, benign=0.3)
    reference = found.reference_original
    assert reference is not None
    limit = of("drift", found, USUAL.changed(drift_percent=1e-4)).limit
    assert limit is not None
    assert math.sqrt(reference + limit) == pytest.approx(
        math.sqrt(reference) + math.sqrt(found.benign)
    )
    assert of("drift", found, USUAL.changed(drift_percent=1000)).limit == pytest.approx(
        10 * reference
    )


def test_a_change_of_the_benign_size_keeps_the_limit_unless_it_is_aimed() -> None:
    """Shifts of equal Gaussians: FD(R, C) is the square of the gap between the means."""
    draw, dimension, benign = np.random.default_rng(0), 89, 0.01
    gap = draw.normal(size=dimension) / 9
    shifts = draw.normal(size=(2000, dimension))
    shifts *= np.sqrt(benign) / np.linalg.norm(shifts, axis=1, keepdims=True)
    moved = np.square(gap + shifts).sum(1) - gap @ gap
    aimed = np.square(gap * (1 + np.sqrt(benign) / np.linalg.norm(gap))).sum() - gap @ gap
    found = judged(ORIGINAL)
    fact = found.extractor.model_copy(update={"dimension": dimension})
    known = {"extractor": fact, "benign": benign, "reference_original": float(gap @ gap)}
    check = of("drift", found.model_copy(update=known), USUAL.changed(drift_percent=1e-4))
    assert check.limit is not None
    assert (np.abs(moved) > check.limit).mean() < 0.005
    assert aimed > 2.5 * check.limit


@pytest.mark.parametrize(
    ("count", "policy", "shown"),
    [(5, "paired only", False), (11, "biased", False), (20, "printed", True), (30, "gated", True)],
)
def test_few_pictures_are_not_judged_by_distances(count: int, policy: str, shown: bool) -> None:
    few = judged(drawn(count, 1, 1.0) - 0.5, original=drawn(count, 1, 1.0))
    assert (few.policy, few.drift_policy) == (policy, policy)
    assert (few.drift is not None) == (few.direct_over_benign is not None) == shown
    for name in ("drift", "direct"):
        verdict = of(name, few).verdict
        assert verdict == ("FAIL" if policy == "gated" else None)


def test_few_references_forbid_the_drift_and_not_the_direct_distance() -> None:
    few = judged(ORIGINAL - 0.5, reference=drawn(10, 2))
    assert (few.policy, few.drift_policy, few.drift) == ("gated", "biased", None)
    assert of("drift", few).verdict == None
    assert "10 for 6" in of("drift", few).note
    assert of("direct", few).verdict == "FAIL"


def test_without_references_there_is_no_drift_and_the_reason_is_told() -> None:
    fact = HandcraftedExtractor().fact.model_copy(update={"dimension": DIMENSION})
    rows = Features(None, ORIGINAL, ORIGINAL - 0.5, ORIGINAL + 0.01)
    alone = frechet_drift(rows, fact, seed=0, benign_change="a change")
    assert (alone.drift, alone.drift_policy, alone.n_reference) == (None, None, 0)
    assert of("drift", alone).note == "no references were given"
    assert of("direct", alone).verdict == "FAIL"


def test_what_a_benign_change_cannot_do_at_all_fails() -> None:
    found = judged(ORIGINAL - 0.5, benign=0.0)
    assert found.benign == pytest.approx(0, abs=found.rounding)
    check = of("direct", found)
    assert (check.verdict, check.new) == ("FAIL", None)
    assert "changes nothing" in check.note


@pytest.mark.parametrize("benign", [0.0, 1e-13])
def test_rounding_decides_nothing(benign: float) -> None:
    """Neither of pictures that are the same, nor of a reference that is the original."""
    same = judged(ORIGINAL + 1e-12 * drawn(300, 8), benign=benign, reference=ORIGINAL.copy())
    assert [of(name, same).verdict for name in ("drift", "direct")] == ["PASS", "PASS"]


@pytest.mark.parametrize("name", ["drift", "direct"])
def test_a_distance_without_an_interval_is_inconclusive(name: str) -> None:
    """All squares of two pictures: nobody knows what a third would have said."""
    groups = np.arange(2).repeat(150)
    for compressed in (ORIGINAL - 0.5, ORIGINAL + 1e-2 * drawn(300, 9)):
        found = judged(compressed, groups=groups)
        assert (found.policy, found.resampling) == ("gated", "none")
        assert of(name, found).verdict == "INCONCLUSIVE"
        assert "too few pictures" in of(name, found).note


def test_paired_drift_is_surer_than_two_independent_sets() -> None:
    """Pairing cancels what both models share: the chance of the pictures."""
    pairs, apart = [], []
    for seed in range(30):
        one, other = drawn(60, 2 * seed, 1.0), drawn(60, 2 * seed + 1, 1.0)
        reference, change = drawn(60, 1000 + seed), 0.1
        pairs.append(features_distance(reference, one + change) - features_distance(reference, one))
        apart.append(
            features_distance(reference, other + change) - features_distance(reference, one)
        )
    assert np.std(pairs) < 0.5 * np.std(apart)


def mean_bounds(resampling: Resampling, values: Rows) -> Interval:
    (interval,) = resampling.intervals(
        (float(values.mean()),), lambda chosen: (float(values[chosen].mean()),)
    )
    return interval


def holds_zero(one: Interval) -> bool:
    assert one.low is not None
    assert one.high is not None
    return one.low <= 0 <= one.high


def test_half_samples_cover_the_mean_as_often_as_they_say() -> None:
    """The statistic is a mean, whose law is known: 95 of 100 intervals hold 0."""
    held = [
        holds_zero(
            mean_bounds(Resampling(60, 6, seed), np.random.default_rng(seed).normal(size=60))
        )
        for seed in range(200)
    ]
    assert 180 <= sum(held) <= 199


def test_squares_of_few_pictures_are_as_sure_as_the_pictures() -> None:
    """Squares that are alike: halves of them are sure of what they do not know, pictures are not."""
    by_picture, by_square = [], []
    groups = np.arange(5).repeat(20)
    for seed in range(200):
        draw = np.random.default_rng(seed)
        values = draw.normal(size=5).repeat(20) + 0.3 * draw.normal(size=100)
        by_picture.append(holds_zero(mean_bounds(Resampling(100, 6, groups=groups), values)))
        by_square.append(holds_zero(mean_bounds(Resampling(100, 6, seed), values)))
    assert 180 <= sum(by_picture) <= 199
    assert sum(by_square) < 120


def test_leaving_out_pictures_of_one_square_each_is_the_interval_of_their_mean() -> None:
    values = np.random.default_rng(0).normal(size=9)
    left_out = mean_bounds(Resampling(9, 6, groups=np.arange(9)), values)
    student = mean_interval(values)
    assert (left_out.low, left_out.high) == pytest.approx((student.low, student.high))


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=2000)
    resampling = Resampling(2000, 2048)
    interval = mean_bounds(resampling, values - values.mean())
    assert interval.high == pytest.approx(2.09 * values.std() / np.sqrt(2000), rel=0.5)
    assert (resampling.title, Resampling(9, 89).title) == (
        "jackknife over 20 blocks",
        "100 random halves",
    )


def verdicts(values: list[float], name: str, **limits: float | None) -> dict[str, str | None]:
    scores = [PairScores(n, {name: value}) for n, value in enumerate(values)]
    names = [f"picture {n}" for n in range(len(values))]
    found = checks(judged(ORIGINAL), paired(scores), USUAL.changed(**limits), names=names)
    begin = f"drift_{name.partition('_')[0]}"
    return {check.key: check.verdict for check in found if check.key.startswith(begin)}


def test_one_spoiled_picture_of_many_fails_though_the_mean_is_fine_and_is_named() -> None:
    values = [40.0] * 99 + [15.0]
    assert verdicts(values, "psnr_db") == {
        "drift_psnr_mean_db": "PASS",
        "drift_psnr_worst_db": "FAIL",
    }
    scores = [PairScores(n, {"psnr_db": value}) for n, value in enumerate(values)]
    found = checks(judged(ORIGINAL), paired(scores), USUAL, names=[f"{n}.jpg" for n in range(100)])
    assert found[-1].note == "99.jpg"


def test_a_blotch_in_one_picture_fails_though_nothing_else_sees_it() -> None:
    assert verdicts([3.0] * 99 + [25.0], "place_levels") == {"drift_place_levels": "FAIL"}
    assert verdicts([3.0] * 99 + [14.0], "place_levels") == {"drift_place_levels": "PASS"}


def test_a_cast_that_one_sees_fails_and_that_of_int8_passes() -> None:
    assert verdicts([4.0, 3.9, 4.1], "cast_levels") == {"drift_cast_levels": "FAIL"}
    assert verdicts([0.1, 0.4, 0.2], "cast_levels") == {"drift_cast_levels": "PASS"}


def test_a_mean_that_chance_may_have_moved_is_inconclusive() -> None:
    values = [0.9 + 0.05 * (-1) ** n for n in range(20)]
    assert verdicts(values, "ssim", drift_ssim_mean=0.901)["drift_ssim_mean"] == "INCONCLUSIVE"


@pytest.mark.parametrize("level", [10.0, 60.0])
def test_the_mean_of_two_pictures_is_inconclusive_whatever_it_is(level: float) -> None:
    assert verdicts([level, level], "psnr_db")["drift_psnr_mean_db"] == "INCONCLUSIVE"


def test_more_is_worse_for_lpips() -> None:
    assert verdicts([0.2] * 10, "lpips") == {"drift_lpips_mean": "FAIL", "drift_lpips_p95": "FAIL"}
    assert verdicts([0.01] * 10, "lpips") == {"drift_lpips_mean": "PASS", "drift_lpips_p95": "PASS"}


def test_limits_that_are_none_are_not_judged_and_limits_of_nothing_are_refused() -> None:
    assert verdicts([10.0] * 9, "psnr_db", drift_psnr_mean_db=None, drift_psnr_worst_db=None) == {}
    none = USUAL.changed(drift_benign_times=None, drift_percent=None)
    for name in ("drift", "direct"):
        check = of(name, judged(ORIGINAL - 0.5), none)
        assert (check.verdict, check.limit) == (None, None)
        assert check.new is not None
    with pytest.raises(RecipeError, match="drift_benign_times judges nothing"):
        USUAL.changed(drift_benign_times=0)
