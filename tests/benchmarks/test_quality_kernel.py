"""Kernel distance, Inception Score and patch distance keep to their known limits."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from stylepress.benchmarks.quality.kernel import discrepancy, inception_score, kernel_distance
from stylepress.benchmarks.quality.patches import Patches
from stylepress.errors import FrameError
from tests.benchmarks.recorded import TORCH_FIDELITY, fixed_features

Rows = NDArray[np.float64]
Pixels = NDArray[np.uint8]


def normal(count: int, seed: int, shift: float = 0.0) -> Rows:
    return np.asarray(np.random.default_rng(seed).normal(shift, 1, (count, 6)), np.float64)


@pytest.mark.parametrize(("count", "dimension"), list(TORCH_FIDELITY))
def test_discrepancy_is_what_torch_fidelity_said(count: int, dimension: int) -> None:
    one, two = (fixed_features(count, dimension, seed) for seed in (0, 1))
    expected = TORCH_FIDELITY[count, dimension].kernel
    assert discrepancy(one, two) == pytest.approx(expected, rel=1e-9)


def test_discrepancy_is_the_mean_over_all_pairs() -> None:
    one, two = normal(4, 0), normal(5, 1)

    def kernel(a: Rows, b: Rows) -> float:
        return float((a @ b / 6 + 1) ** 3)

    within = [
        np.mean([kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
        for x in (one, two)
    ]
    across = np.mean([kernel(a, b) for a in one for b in two])
    assert discrepancy(one, two) == pytest.approx(within[0] + within[1] - 2 * across)


def test_kernel_distance_is_unbiased_where_frechet_distance_is_not() -> None:
    """Of two sets from one law it is zero on average, however few pictures there are."""
    values = [discrepancy(normal(10, 2 * seed), normal(10, 2 * seed + 1)) for seed in range(400)]
    assert abs(np.mean(values)) < 3 * np.std(values) / 20


def test_paired_discrepancy_of_equal_sets_is_nothing_and_unpaired_is_below() -> None:
    one = normal(40, 0)
    assert discrepancy(one, one, paired=True) == pytest.approx(0, abs=1e-12)
    assert discrepancy(one, one) < -0.01
    assert kernel_distance(one, one).value == pytest.approx(0, abs=1e-12)


def test_paired_discrepancy_leaves_out_each_picture_with_itself() -> None:
    one, two = normal(5, 0), normal(5, 1)

    def kernel(a: Rows, b: Rows) -> float:
        return float((a @ b / 6 + 1) ** 3)

    terms = [
        kernel(one[i], one[j]) + kernel(two[i], two[j]) - kernel(one[i], two[j]) * 2
        for i in range(5)
        for j in range(5)
        if i != j
    ]
    assert discrepancy(one, two, paired=True) == pytest.approx(np.mean(terms))


def test_paired_discrepancy_of_a_small_change_is_unbiased_where_the_other_is_not() -> None:
    """The same small shift of many small sets: the truth is that of one large set."""
    shift = 0.2
    large = normal(4000, 10**6)
    truth = discrepancy(large, normal(4000, 10**6 + 1, shift))
    sets = [normal(16, seed) for seed in range(300)]
    paired, unpaired = (
        [discrepancy(one, one + shift, paired=way) for one in sets] for way in (True, False)
    )
    error = np.std(paired) / np.sqrt(len(sets))
    assert truth > 0
    assert abs(np.mean(paired) - truth) < 4 * error + 0.1 * truth
    assert np.mean(unpaired) < 0


def test_kernel_distance_sees_a_shift_and_is_the_same_for_the_same_seed() -> None:
    one, noise = normal(80, 0), 0.1 * normal(80, 1)
    near, far = (kernel_distance(one, one + noise + shift) for shift in (0.0, 1.0))
    assert far.value > near.value + 5 * far.deviation > 0
    assert far == kernel_distance(one, one + noise + 1.0)
    assert (far.subset, far.subsets) == (40, 100)


@pytest.mark.parametrize(("first", "second"), [(3, 3), (8, 9)])
def test_kernel_distance_of_three_pictures_or_of_no_pairs_is_refused(
    first: int, second: int
) -> None:
    with pytest.raises(FrameError, match="at least four pictures"):
        kernel_distance(normal(first, 0), normal(second, 0))


def test_inception_score_of_unsure_pictures_is_one() -> None:
    assert inception_score(np.zeros((20, 7)), splits=4) == pytest.approx(1)


def test_inception_score_of_sure_and_varied_pictures_is_the_number_of_classes() -> None:
    sure = 60.0 * np.eye(5)[np.arange(50) % 5]
    assert inception_score(sure, splits=1) == pytest.approx(5, rel=1e-9)


def test_inception_score_does_not_depend_on_an_offset_of_the_logits() -> None:
    logits = normal(40, 3)
    assert inception_score(logits + 1000) == pytest.approx(inception_score(logits))


def test_inception_score_of_fewer_pictures_than_splits_is_refused() -> None:
    with pytest.raises(FrameError, match="one picture a split"):
        inception_score(normal(3, 0), splits=4)


def gathered(pictures: Rows) -> Patches:
    patches = Patches()
    for number, picture in enumerate(pictures):
        patches.add(np.clip(picture, 0, 255).astype(np.uint8), number)
    return patches


def test_patch_distance_of_a_brightness_shift_is_proportional_to_it() -> None:
    pictures = np.random.default_rng(0).integers(0, 100, (3, 64, 64, 3)).astype(float)
    whole = gathered(pictures)
    small, large = (whole.distance(gathered(pictures + shift)) for shift in (10, 40))
    assert whole.distance(gathered(pictures)) == 0
    assert large == pytest.approx(4 * small, rel=1e-4)


def test_patch_distance_takes_sets_of_two_sizes_and_refuses_an_empty_one() -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (6, 64, 64, 3)).astype(float)
    other = gathered(pictures[:4])
    assert 0 < gathered(pictures).distance(other) < 0.3
    assert gathered(pictures).distance(other) == pytest.approx(other.distance(gathered(pictures)))
    with pytest.raises(FrameError, match="both sets"):
        other.distance(Patches())
