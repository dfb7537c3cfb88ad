"""The drawn style pictures."""

import numpy as np
import pytest

from stylepress.errors import RecipeError
from stylepress.train.patterns import PATTERNS, draw, smooth_noise


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_seed_is_a_picture(pattern: str) -> None:
    one, again = draw(pattern, seed=1, size=96), draw(pattern, seed=1, size=96)
    assert one.shape == (96, 96, 3)
    assert one.dtype == np.uint8
    assert np.array_equal(one, again)
    assert not np.array_equal(one, draw(pattern, seed=2, size=96))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_looks_alike_everywhere(pattern: str) -> None:
    picture = draw(pattern, seed=3, size=512).astype(np.float64)
    quarters = [picture[y : y + 256, x : x + 256] for y in (0, 256) for x in (0, 256)]
    means = np.array([quarter.mean(axis=(0, 1)) for quarter in quarters])
    assert np.ptp(means, axis=0).max() < 0.5 * picture.std()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_is_neither_flat_nor_clipped(pattern: str) -> None:
    picture = draw(pattern, seed=3, size=256)
    assert picture.std() > 30
    assert (picture == 255).mean() < 0.05


def test_noise_wraps_around() -> None:
    noise = smooth_noise(np.random.default_rng(0), 128, 20)
    inner = np.abs(np.diff(noise, axis=0)).max()
    assert np.abs(noise[0] - noise[-1]).max() <= 1.5 * inner
    assert noise.std() == pytest.approx(0.5, rel=1e-3)


def test_an_unknown_pattern_names_the_known_ones() -> None:
    with pytest.raises(RecipeError, match="glass, strokes, woodcut"):
        draw("mosaic", seed=0, size=64)


def test_a_size_that_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(RecipeError, match="32 to 4096"):
        draw("glass", seed=0, size=7)
