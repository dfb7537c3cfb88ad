"""The intervals have the coverage they promise, and the closed forms of their tests."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from stylepress.benchmarks.intervals import (
    _signed_rank_counts,
    larger_p,
    paired_ratio,
    upper_percentile,
)
from stylepress.errors import RecipeError

times = st.lists(st.floats(0.1, 1e4), min_size=1, max_size=12)


@given(times, st.floats(0.01, 100))
def test_a_constant_factor_is_found_exactly_in_pairs(first: list[float], factor: float) -> None:
    ratio = paired_ratio(first, [factor * time for time in first])
    assert ratio.value == pytest.approx(factor)
    if ratio.low is not None and ratio.high is not None:
        assert [ratio.low, ratio.high] == pytest.approx([factor, factor])


@pytest.mark.parametrize(("pairs", "has"), [(5, False), (6, True)])
def test_six_pairs_are_the_fewest_with_an_interval(pairs: int, has: bool) -> None:
    ratio = paired_ratio([1.0] * pairs, list(np.linspace(1, 2, pairs)))
    assert (ratio.low is not None) is has


def test_signed_rank_counts_are_those_of_all_sign_patterns() -> None:
    sums = [
        sum(r for r, s in zip(range(1, 6), signs, strict=True) if s)
        for signs in product((0, 1), repeat=5)
    ]
    assert _signed_rank_counts(5).tolist() == np.bincount(sums, minlength=16).tolist()


def test_paired_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        drift = np.cumsum(rng.normal(0, 0.05, 10))
        first = np.exp(drift + rng.normal(0, 0.02, 10))
        ratio = paired_ratio(list(first), list(1.1 * np.exp(drift + rng.normal(0, 0.02, 10))))
        assert ratio.low is not None
        assert ratio.high is not None
        covered += ratio.low <= 1.1 <= ratio.high
    assert covered / 400 > 0.92


@pytest.mark.parametrize(("pairs", "has"), [(7, False), (8, True)])
def test_eight_pairs_are_the_fewest_with_an_interval_at_99_percent(pairs: int, has: bool) -> None:
    ratio = paired_ratio([1.0] * pairs, list(np.linspace(1, 2, pairs)), confidence=0.99)
    assert (ratio.low is not None) is has


@given(st.integers(6, 14), st.integers(0, 10**6), st.sampled_from([0.95, 0.96, 0.99]))
def test_the_test_rejects_exactly_what_lies_below_the_interval(
    pairs: int, seed: int, confidence: float
) -> None:
    rng = np.random.default_rng(seed)
    one, two = rng.lognormal(size=pairs), rng.lognormal(0.5, size=pairs)
    ratio = paired_ratio(list(one), list(two), confidence=confidence)
    if ratio.low is not None:
        alpha = (1 - confidence) / 2
        assert larger_p(list(one), list(two), above=ratio.low * (1 - 1e-9)) <= alpha
        assert larger_p(list(one), list(two), above=ratio.low * (1 + 1e-9)) > alpha


@pytest.mark.parametrize("pairs", [6, 10, 20])
def test_the_one_sided_p_is_that_of_scipy(pairs: int) -> None:
    rng = np.random.default_rng(pairs)
    one, two = rng.lognormal(size=pairs), rng.lognormal(0.3, size=pairs)
    logs = np.log(two) - np.log(one) - np.log(1.01)
    expected = stats.wilcoxon(logs, alternative="greater", method="exact").pvalue
    assert larger_p(list(one), list(two), above=1.01) == pytest.approx(expected)


def test_a_percentile_is_never_below_that_of_the_samples() -> None:
    assert 900 <= (upper_percentile(range(1, 1001), 0.9) or 0) < 930


def test_equal_pairs_never_speak_for_being_larger() -> None:
    assert larger_p([3.0] * 10, [3.0] * 10) == 1.0


@pytest.mark.parametrize("values", [[0.0, 1.0], [-1.0, 1.0], [float("nan"), 1.0], []])
def test_times_that_have_no_logarithm_are_refused(values: list[float]) -> None:
    with pytest.raises(RecipeError, match="above 0"):
        paired_ratio(values, values)
