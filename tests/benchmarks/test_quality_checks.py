"""The gate is two-sided and three-valued, and cannot be flattered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.gate import USUAL, Limits
from stylepress.benchmarks.intervals import Interval, jackknife, mean_interval
from stylepress.benchmarks.quality.checks import distance_checks, paired_checks
from stylepress.benchmarks.quality.frechet import Distances, Features, distances
from stylepress.errors import RecipeError

Rows = NDArray[np.float64]

DIMENSION = 6


def drawn(count: int = 300, seed: int = 0, shift: float = 0.0) -> Rows:
    return np.asarray(np.random.default_rng(seed).normal(shift, 1, (count, DIMENSION)), np.float64)


ORIGINAL = drawn(300, 1, 1.0)


def judged(
    compressed: Rows,
    *,
    original: Rows | None = None,
    benign: float = 1e-2,
    reference: Rows | None = None,
    pictures: int = 300,
) -> Distances:
    """Original around 1, reference around 0: a shift down is nearer to the reference."""
    own = drawn(len(compressed), 1, 1.0) if original is None else original
    world = drawn(len(own), 2) if reference is None else reference
    numbers = np.arange(len(own)) * min(pictures, len(own)) // len(own)
    return distances(Features(world, own, compressed, own + benign * drawn(len(own), 3), numbers))


def of(name: str, found: Distances, limits: Limits = USUAL) -> Check:
    key = {"drift": "drift_percent", "direct": "drift_benign_times"}[name]
    return next(check for check in distance_checks(found, limits) if check.key == key)


def test_the_same_pictures_pass() -> None:
    same = judged(ORIGINAL)
    assert same.drift is not None
    assert same.drift.value == pytest.approx(0, abs=same.rounding)
    assert [of(name, same).verdict for name in ("drift", "direct")] == ["PASS", "PASS"]
    assert of("direct", same).new == 0


def test_pictures_nearer_to_the_reference_than_the_original_fail_and_farther_ones_too() -> None:
    better = judged(ORIGINAL - 0.5)
    assert better.drift is not None
    assert better.drift.high is not None
    assert better.drift.high < 0
    check = of("drift", better)
    assert check.verdict == "FAIL"
    assert "not the original's pictures" in check.note
    assert of("direct", better).verdict == "FAIL"
    assert of("drift", judged(ORIGINAL + 0.5)).verdict == "FAIL"


def test_what_sets_the_limit_of_drift_is_told() -> None:
    share = of("drift", judged(ORIGINAL + 1e-6, benign=1e-9))
    assert share.note == "the limit is 2% of the distance to the reference"
    ceiling = of("drift", judged(ORIGINAL + 1e-6, benign=0.1))
    assert ceiling.note.startswith("the limit is what a tint of 1 level and JPEG 95 may move it")
    assert (ceiling.limit or 0) > (share.limit or 9)
    itself = of("drift", judged(ORIGINAL + 1e-6, reference=ORIGINAL))
    assert itself.limit is not None
    assert "of the distance" not in itself.note


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


def test_a_change_smaller_than_the_benign_one_passes() -> None:
    small = judged(ORIGINAL + 5e-3 * drawn(300, 9))
    assert [of(name, small).verdict for name in ("drift", "direct")] == ["PASS", "PASS"]


@pytest.mark.parametrize("farther", [0.3, -0.3])
def test_the_benign_change_is_measured_as_the_compressed_model_is(farther: float) -> None:
    moved, numbers = ORIGINAL + farther, np.arange(300)
    found = distances(Features(drawn(300, 2), ORIGINAL, moved, moved, numbers))
    assert found.drift is not None
    assert found.ratio is not None
    assert found.benign_drift == pytest.approx(found.drift.value)
    assert found.ratio.value == pytest.approx(1)


def test_the_benign_change_itself_never_fails_however_narrow_the_limit() -> None:
    small = replace(judged(ORIGINAL + 1e-2 * drawn(300, 3)), benign=1e-12)
    check = of("drift", small, USUAL.changed(drift_percent=1e-6))
    assert check.verdict != "FAIL"
    assert "JPEG 95 alone moves it" in check.note


def test_drift_may_always_be_what_a_benign_change_could_make_of_it() -> None:
    """The triangle of the distance's root: sqrt FD(R, C) <= sqrt FD(R, O) + sqrt FD(O, C).

    In six dimensions chance alone may aim straight away from the reference.
    """
    found = judged(ORIGINAL, benign=0.3)
    assert found.gap is not None
    limit = of("drift", found, USUAL.changed(drift_percent=1e-4)).limit
    assert limit is not None
    assert math.sqrt(found.gap + limit) == pytest.approx(
        math.sqrt(found.gap) + math.sqrt(found.benign)
    )
    wide = of("drift", found, USUAL.changed(drift_percent=1000)).limit
    assert wide == pytest.approx(10 * found.gap)


def test_a_change_of_the_benign_size_keeps_the_limit_unless_it_is_aimed() -> None:
    """Shifts of equal Gaussians: FD(R, C) is the square of the gap between the means."""
    draw, dimension, benign = np.random.default_rng(0), 89, 0.01
    gap = draw.normal(size=dimension) / 9
    shifts = draw.normal(size=(2000, dimension))
    shifts *= np.sqrt(benign) / np.linalg.norm(shifts, axis=1, keepdims=True)
    moved = np.square(gap + shifts).sum(1) - gap @ gap
    aimed = np.square(gap * (1 + np.sqrt(benign) / np.linalg.norm(gap))).sum() - gap @ gap
    far = replace(
        judged(ORIGINAL), count=445, references=445, dimension=dimension, benign=benign,
        gap=float(gap @ gap),
    )  # fmt: skip
    check = of("drift", far, USUAL.changed(drift_percent=1e-4))
    assert check.limit is not None
    assert (np.abs(moved) > check.limit).mean() < 0.005
    assert aimed > 2.5 * check.limit


@pytest.mark.parametrize(
    ("count", "bounded", "verdict"), [(5, False, None), (20, True, None), (30, True, "FAIL")]
)
def test_few_pictures_are_not_judged_by_distances(
    count: int, bounded: bool, verdict: str | None
) -> None:
    few = judged(drawn(count, 1, 1.0) - 0.5, original=drawn(count, 1, 1.0))
    assert (few.drift is not None) == (few.ratio is not None) == bounded
    for name in ("drift", "direct"):
        assert of(name, few).verdict == verdict
        assert (f"{count} for 6" in of(name, few).note) == (verdict is None)


def test_few_references_forbid_the_drift_and_not_the_direct_distance() -> None:
    few = judged(ORIGINAL - 0.5, reference=drawn(10, 2))
    assert few.drift is None
    assert of("drift", few).verdict is None
    assert "10 for 6" in of("drift", few).note
    assert of("direct", few).verdict == "FAIL"


def test_without_references_there_is_no_drift_and_the_reason_is_told() -> None:
    rows = Features(None, ORIGINAL, ORIGINAL - 0.5, ORIGINAL + 0.01, np.arange(300))
    alone = distances(rows)
    assert (alone.drift, alone.references) == (None, 0)
    assert of("drift", alone).note == "no references were given"
    assert of("direct", alone).verdict == "FAIL"


def test_what_a_benign_change_cannot_do_at_all_fails() -> None:
    check = of("direct", judged(ORIGINAL - 0.5, benign=0.0))
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
    for compressed in (ORIGINAL - 0.5, ORIGINAL + 1e-2 * drawn(300, 9)):
        found = judged(compressed, pictures=2)
        assert found.resampling == "none"
        assert of(name, found).verdict == "INCONCLUSIVE"
        assert "too few pictures" in of(name, found).note


def mean_bounds(values: Rows, pictures: NDArray[np.intp]) -> Interval:
    (interval,), _ = jackknife(lambda chosen: (float(values[chosen].mean()),), pictures)
    return interval


@pytest.mark.parametrize(("pictures", "squares"), [(5, 20), (60, 2)])
def test_squares_are_as_sure_as_their_pictures(pictures: int, squares: int) -> None:
    """Squares of a picture are alike; 95 of 100 intervals hold the truth, which is 0."""
    held, numbers = 0, np.arange(pictures).repeat(squares)
    for seed in range(200):
        draw = np.random.default_rng(seed)
        values = draw.normal(size=pictures).repeat(squares) + 0.3 * draw.normal(size=len(numbers))
        one = mean_bounds(values, numbers)
        held += (one.low or 0) <= 0 <= (one.high or 0)
    assert 180 <= held <= 199


def test_leaving_out_pictures_of_one_square_each_is_the_interval_of_their_mean() -> None:
    values = np.random.default_rng(0).normal(size=9)
    left_out, student = mean_bounds(values, np.arange(9)), mean_interval(values)
    assert (left_out.low, left_out.high) == pytest.approx((student.low, student.high))
    error = values.std(ddof=1) / 3
    expected = stats.t.interval(0.95, 8, values.mean(), error)
    assert (student.low, student.high) == pytest.approx(expected)
    assert mean_interval(values[:2]) == Interval(float(values[:2].mean()))


def checked(values: Sequence[float], name: str, limits: Limits = USUAL) -> dict[str, Check]:
    scores = [{name: value} for value in values]
    found = paired_checks(scores, limits, [f"{number}.jpg" for number in range(len(values))])
    return {check.key: check for check in found}


def verdicts(values: Sequence[float], name: str, **limits: float | None) -> dict[str, str | None]:
    return {key: one.verdict for key, one in checked(values, name, USUAL.changed(**limits)).items()}


def test_one_spoiled_picture_of_many_fails_though_the_mean_is_fine_and_is_named() -> None:
    found = checked([40.0] * 99 + [15.0], "psnr_db")
    assert found["drift_psnr_mean_db"].verdict == "PASS"
    worst = found["drift_psnr_worst_db"]
    assert (worst.verdict, worst.note, worst.new) == ("FAIL", "99.jpg", 15)


def test_a_blotch_in_one_picture_fails_though_nothing_else_sees_it() -> None:
    assert verdicts([3.0] * 99 + [25.0], "place_levels") == {"drift_place_levels": "FAIL"}
    assert verdicts([3.0] * 99 + [14.0], "place_levels") == {"drift_place_levels": "PASS"}


def test_a_cast_that_one_sees_fails_and_that_of_int8_passes() -> None:
    assert verdicts([4.0, 3.9, 4.1], "cast_levels") == {"drift_cast_levels": "FAIL"}
    assert verdicts([0.1, 0.4, 0.2], "cast_levels") == {"drift_cast_levels": "PASS"}


def test_a_mean_that_chance_may_have_moved_is_inconclusive() -> None:
    values = [0.9 + 0.05 * (-1) ** n for n in range(20)]
    assert verdicts(values, "ssim", drift_ssim_mean=0.901)["drift_ssim_mean"] == "INCONCLUSIVE"
    for level in (10.0, 60.0):  # of two pictures, whatever it is
        assert verdicts([level] * 2, "psnr_db")["drift_psnr_mean_db"] == "INCONCLUSIVE"


def test_the_bounds_of_a_mean_stay_where_the_measure_can_be() -> None:
    one = checked([0.8, 1.0, 1.0], "ssim")["drift_ssim_mean"]
    assert one.high == 1
    assert 0 < (one.low or 0) < 0.8


def test_limits_that_are_none_are_not_judged_and_limits_of_nothing_are_refused() -> None:
    assert verdicts([10.0] * 9, "psnr_db", drift_psnr_mean_db=None, drift_psnr_worst_db=None) == {}
    none = USUAL.changed(drift_benign_times=None, drift_percent=None)
    for name in ("drift", "direct"):
        check = of(name, judged(ORIGINAL - 0.5), none)
        assert (check.verdict, check.limit) == (None, None)
        assert check.new is not None
    with pytest.raises(RecipeError, match="drift_benign_times judges nothing"):
        USUAL.changed(drift_benign_times=0)
