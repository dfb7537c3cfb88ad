"""The gate is two-sided and three-valued, and cannot be flattered."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from stylepress.benchmarks.drift.distances.frechet import features_distance
from stylepress.benchmarks.drift.features.extractor import HandcraftedExtractor
from stylepress.benchmarks.drift.frechet_drift import Features, frechet_drift
from stylepress.benchmarks.drift.gate import Limits, checks
from stylepress.benchmarks.drift.paired import PairScores, paired
from stylepress.benchmarks.drift.resampling import Resampling, resampling_for
from stylepress.benchmarks.drift.result import Check, FrechetDrift
from stylepress.errors import RecipeError

Rows = NDArray[np.float64]

DIMENSION = 6


def drawn(count: int = 300, seed: int = 0, shift: float = 0.0) -> Rows:
    return np.asarray(np.random.default_rng(seed).normal(shift, 1, (count, DIMENSION)), np.float64)


def judged(
    compressed: Rows, *, original: Rows | None = None, benign: float = 1e-2, count: int = 300
) -> FrechetDrift:
    """Original around 1, reference around 0: a shift down is nearer to the reference."""
    own = drawn(count, 1, 1.0) if original is None else original
    fact = HandcraftedExtractor().fact.model_copy(update={"dimension": DIMENSION})
    rows = Features(drawn(count, 2), own, compressed, own + benign * drawn(count, 3))
    return frechet_drift(rows, fact, seed=0, benign_change="a change")


def of(name: str, frechet: FrechetDrift, limits: Limits | None = None) -> Check:
    found = checks(frechet, (), limits or Limits())
    return next(check for check in found if check.name.startswith(name))


ORIGINAL = drawn(300, 1, 1.0)


def test_the_same_pictures_pass() -> None:
    same = judged(ORIGINAL)
    assert same.drift is not None
    assert abs(same.drift.value) < 1e-9
    assert [of(name, same).verdict for name in ("drift", "direct")] == ["ok", "ok"]


def test_pictures_nearer_to_the_reference_than_the_original_fail() -> None:
    better = judged(ORIGINAL - 0.5)
    assert better.drift is not None
    assert better.drift.high is not None
    assert better.drift.high < 0
    check = of("drift", better)
    assert check.verdict == "regression"
    assert "not the original's pictures" in check.why
    assert of("direct", better).verdict == "regression"


def test_pictures_farther_from_the_reference_fail_too() -> None:
    assert of("drift", judged(ORIGINAL + 0.5)).verdict == "regression"


def test_a_change_that_moves_no_nearer_and_no_farther_is_seen_by_the_direct_distance() -> None:
    turned = judged(ORIGINAL * np.array([1, 1, 1, 1, 1, -1]) + np.array([0, 0, 0, 0, 0, 2]))
    assert turned.drift is not None
    assert of("direct", turned).verdict in ("regression", "ok")
    swapped = judged(ORIGINAL[:, ::-1] * np.array([1, 1.5, 1, 1, 1 / 1.5, 1]))
    assert of("direct", swapped).verdict == "regression"


def test_a_change_as_small_as_the_benign_one_passes() -> None:
    small = judged(ORIGINAL + 1e-2 * drawn(300, 9))
    assert of("direct", small).verdict == "ok"
    assert of("drift", small).verdict == "ok"


def test_the_benign_change_itself_never_fails_however_narrow_the_limit() -> None:
    benign = 1e-2 * drawn(300, 3)
    check = of("drift", judged(ORIGINAL + benign), Limits(drift=1e-9))
    assert check.verdict != "regression"
    assert "a change alone moves it" in check.why


@pytest.mark.parametrize(
    ("count", "policy", "shown"),
    [(5, "paired only", False), (11, "biased", False), (20, "printed", True), (30, "gated", True)],
)
def test_few_pictures_are_not_judged_by_distances(count: int, policy: str, shown: bool) -> None:
    few = judged(drawn(count, 1, 1.0) - 0.5, original=drawn(count, 1, 1.0), count=count)
    assert few.policy == policy
    assert (few.drift is not None) == shown
    verdict = of("drift", few).verdict
    assert (verdict == "not judged") == (policy != "gated")


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


def mean_of(values: Rows, chosen: NDArray[np.intp]) -> float:
    return float(values[chosen].mean())


def test_half_samples_cover_the_mean_as_often_as_they_say() -> None:
    """The statistic is a mean, whose law is known: 95 of 100 intervals hold 0."""
    held = 0
    for seed in range(200):
        values = np.random.default_rng(seed).normal(size=60)
        interval = Resampling(seed, jackknife=False).interval(
            float(values.mean()), 60, partial(mean_of, values)
        )
        assert interval.low is not None
        assert interval.high is not None
        held += interval.low <= 0 <= interval.high
    assert 180 <= held <= 199


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=2000)
    interval = resampling_for(2048, seed=0).interval(0.0, 2000, partial(mean_of, values))
    assert interval.high == pytest.approx(1.96 * values.std() / np.sqrt(2000), rel=0.5)
    assert resampling_for(89, seed=0).title == "100 random halves"


def verdicts(values: list[float], name: str, **limits: float | None) -> dict[str, str]:
    scores = [PairScores(n, {name: value}) for n, value in enumerate(values)]
    found = checks(judged(ORIGINAL), paired(scores), Limits(**limits))
    return {check.name: check.verdict for check in found if check.name.startswith(name)}


def test_one_spoiled_picture_of_many_fails_though_the_mean_is_fine() -> None:
    seen = verdicts([40.0] * 99 + [15.0], "psnr_db")
    assert seen == {"psnr_db mean": "ok", "psnr_db worst": "regression"}


def test_a_mean_that_chance_may_have_moved_is_inconclusive() -> None:
    values = [0.9 + 0.05 * (-1) ** n for n in range(20)]
    assert verdicts(values, "ssim", ssim_mean=0.901)["ssim mean"] == "inconclusive"


def test_more_is_worse_for_lpips() -> None:
    assert verdicts([0.2] * 10, "lpips") == {"lpips mean": "regression", "lpips p95": "regression"}
    assert verdicts([0.01] * 10, "lpips") == {"lpips mean": "ok", "lpips p95": "ok"}


def test_limits_that_are_none_are_not_judged_and_limits_of_nothing_are_refused() -> None:
    assert verdicts([10.0] * 9, "psnr_db", psnr_mean_db=None, psnr_worst_db=None) == {}
    with pytest.raises(RecipeError, match="benign_factor judges nothing"):
        Limits(benign_factor=0)
