"""The Frechet distance obeys its closed forms, in both of its forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import linalg  # type: ignore[import-untyped]

from stylepress.benchmarks.quality.frechet import (
    Gaussian,
    features_distance,
    rounding,
)
from tests.benchmarks.recorded import TORCH_FIDELITY, fixed_features

Rows = NDArray[np.float64]


def rows(count: int, dimension: int, seed: int = 0) -> Rows:
    draw = np.random.default_rng(seed)
    mix = draw.normal(size=(dimension, dimension)) / np.sqrt(dimension)
    return np.asarray(draw.normal(size=(count, dimension)) @ mix + draw.normal(), np.float64)


def frechet_distance(one: Gaussian, two: Gaussian) -> float:
    return one.distance(two)


@given(seed=st.integers(0, 2**31), dimension=st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_diagonal_gaussians_have_their_closed_form(seed: int, dimension: int) -> None:
    draw = np.random.default_rng(seed)
    means, deviations = draw.normal(size=(2, dimension)), draw.uniform(0.01, 3, (2, dimension))
    expected = np.square(means[0] - means[1]).sum() + np.square(deviations[0] - deviations[1]).sum()
    one, two = (Gaussian(m, np.diag(np.square(s))) for m, s in zip(means, deviations, strict=True))
    assert frechet_distance(one, two) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_it_is_what_scipys_matrix_square_root_says() -> None:
    one, two = Gaussian.of(rows(300, 20)), Gaussian.of(rows(200, 20, 1))
    root = linalg.sqrtm(one.covariance @ two.covariance).real
    gap = one.mean - two.mean
    expected = gap @ gap + np.trace(one.covariance + two.covariance - 2 * root)
    assert frechet_distance(one, two) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("count", "dimension"), list(TORCH_FIDELITY))
def test_it_is_what_torch_fidelity_said_of_the_same_features(count: int, dimension: int) -> None:
    one, two = (fixed_features(count, dimension, seed) for seed in (0, 1))
    expected = TORCH_FIDELITY[count, dimension]
    assert features_distance(one, two) == pytest.approx(expected, rel=1e-6)


def test_a_set_is_at_distance_zero_from_itself_in_any_order() -> None:
    one = rows(200, 12)
    scale = np.trace(Gaussian.of(one).covariance)
    shuffled = np.random.default_rng(0).permutation(one)
    assert features_distance(one, shuffled) <= 1e-12 * scale


@given(seed=st.integers(0, 2**31), factor=st.floats(0.1, 4))
@settings(max_examples=20, deadline=None)
def test_a_set_drawn_larger_about_its_mean_has_its_closed_form(seed: int, factor: float) -> None:
    """Covariances C and s^2 C that are not diagonal: the distance is (1 - s)^2 tr C."""
    one = rows(60, 8, seed)
    larger = one.mean(0) + factor * (one - one.mean(0))
    expected = (1 - factor) ** 2 * np.trace(Gaussian.of(one).covariance)
    scale = 1e-9 * np.trace(Gaussian.of(larger).covariance)
    assert features_distance(one, larger) == pytest.approx(expected, rel=1e-6, abs=scale)


@pytest.mark.parametrize("count", [30, 200])
def test_turning_all_features_changes_nothing_and_a_unit_enters_squared(count: int) -> None:
    one, two = rows(count, 90), rows(count, 90, 1)
    turned = np.linalg.qr(np.random.default_rng(2).normal(size=(90, 90)))[0]
    whole = features_distance(one, two)
    assert features_distance(one @ turned, two @ turned) == pytest.approx(whole, rel=1e-6)
    assert features_distance(3 * one, 3 * two) == pytest.approx(9 * whole, rel=1e-6)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_its_root_keeps_to_the_triangle(seed: int) -> None:
    """It is a distance of Gaussians (Dowson & Landau), on which the gate's ceiling rests."""
    a, b, c = (rows(40, 5, seed + number) for number in range(3))
    ab, bc, ac = (np.sqrt(features_distance(*pair)) for pair in ((a, b), (b, c), (a, c)))
    assert ac <= ab + bc + 1e-6


def test_far_from_the_origin_no_digits_are_lost() -> None:
    one, two = rows(100, 5), rows(100, 5, 1)
    assert features_distance(one + 1e5, two + 1e5) == pytest.approx(
        features_distance(one, two), rel=1e-6
    )


@pytest.mark.parametrize(("count", "dimension"), [(300, 90), (60, 90)])
def test_what_is_called_rounding_is_larger_than_rounding(count: int, dimension: int) -> None:
    """Also of features that hang together, whose covariance has eigenvalues of nearly nothing."""
    one = rows(count, dimension)
    one[:, 1:40] = one[:, :1] + 1e-7 * one[:, 1:40]
    shuffled = np.random.default_rng(0).permutation(one)
    assert features_distance(one, shuffled) <= rounding(one)
    assert rounding(one) < 1e-6 * np.square(one - one.mean(0)).sum() / (count - 1)
