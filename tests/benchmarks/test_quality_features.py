"""Points have a name, and only the genuine network's may be called FID."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stylepress.benchmarks.quality.features.extractor import (
    HANDCRAFTED_SHA256,
    INCEPTION_SHA256,
    ExtractorFact,
    HandcraftedExtractor,
    open_extractor,
    prepared,
)
from stylepress.benchmarks.quality.features.handcrafted import handcrafted
from stylepress.benchmarks.quality.features.networks import Inception
from stylepress.errors import (
    ArtifactError,
    CheckpointError,
)
from tests.benchmarks.inception_shapes import shapes
from tests.benchmarks.recorded import fixed_uniform

Pixels = NDArray[np.uint8]

GENUINE = ExtractorFact(
    name="inception-2015-12-05",
    kind="inception",
    sha256=INCEPTION_SHA256,
    layer="pool3",
    dimension=2048,
    preprocessing="clean",
)


def digest(features: NDArray[np.float64]) -> str:
    """SHA-256 of features, bit by bit."""
    return hashlib.sha256(np.ascontiguousarray(features, "<f8").tobytes()).hexdigest()


def golden_picture() -> Pixels:
    """Draw the (72, 88, 3) picture whose features tell whether an extractor is this version."""
    y, x = np.indices((72, 88))
    red = (7 * x + 3 * y) % 256
    green = (x * x // 9 + 5 * y) % 256
    blue = ((x // 11) * 37 + (y // 7) * 91 + (x * y) % 13) % 256
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def picture(seed: int = 0, size: tuple[int, int] = (48, 40)) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)


def test_the_golden_picture_has_the_features_of_this_version() -> None:
    assert digest(handcrafted(golden_picture()[np.newaxis])[0]) == HANDCRAFTED_SHA256
    fact = HandcraftedExtractor().fact
    assert (fact.sha256, fact.dimension, fact.metric) == (
        HANDCRAFTED_SHA256,
        89,
        "frechet_distance",
    )


def test_features_do_not_depend_on_how_a_picture_lies_in_memory_or_in_what_company() -> None:
    pictures = np.stack([picture(seed) for seed in range(20)])
    together = handcrafted(pictures)
    assert digest(handcrafted(np.asfortranarray(pictures))) == digest(together)
    assert digest(np.concatenate([handcrafted(one[None]) for one in pictures])) == digest(together)


def test_many_pictures_are_described_as_one_by_one() -> None:
    many = np.stack([picture(number) for number in range(25)])
    seen = HandcraftedExtractor().describe(many)
    assert (seen == np.concatenate([handcrafted(one[None]) for one in many])).all()


def test_an_even_picture_has_no_edges_and_finite_features() -> None:
    even = np.full((1, 40, 40, 3), 90, np.uint8)
    (features,) = handcrafted(even)
    assert np.isfinite(features).all()
    assert not features[33:].any()
    assert features[0] == 4 * 90 / 1020


def test_only_the_genuine_network_may_be_called_fid() -> None:
    assert GENUINE.metric == "fid[clean]"
    for change in (
        {"sha256": "0" * 64},
        {"kind": "code"},
    ):
        other = GENUINE.model_copy(update=change)
        assert other.metric == "frechet_distance"
        assert other.title.endswith("not FID")


def test_an_inception_file_with_another_digest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pt_inception-2015-12-05-6726825d.pth"
    torch.save({"fc.weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="may not be called FID"):
        open_extractor(path)


def as_tensorflow_1_resizes(one: Pixels, side: int) -> torch.Tensor:
    """Bilinear without half-pixel centres, as the recorded values were taken; (x - 128) / 128."""
    image = one.transpose(2, 0, 1).astype(np.float64)
    for axis in (1, 2):
        old = image.shape[axis]
        places = np.arange(side) * np.float32(old / side)
        below = np.minimum(places.astype(np.intp), old - 1)
        share = (places - below).reshape((-1, 1) if axis == 1 else (1, -1))
        low = image.take(below, axis)
        image = low + (image.take(np.minimum(below + 1, old - 1), axis) - low) * share
    return torch.from_numpy(((image - 128) / 128).astype(np.float32))[None]


def test_inception_says_what_torch_fidelity_said_of_the_same_weights() -> None:
    state = {}
    for number, (key, shape) in enumerate(shapes().items()):
        count = int(np.prod(shape))
        values = torch.from_numpy(fixed_uniform(count, number).reshape(shape)).float()
        spread = 0.2 if len(shape) == 1 else float((24 / np.prod(shape[1:])) ** 0.5)
        positive = key.endswith(("running_var", "bn.weight"))
        state[key] = 0.5 + values if positive else (values - 0.5) * spread
    features = Inception(state)(as_tensorflow_1_resizes(golden_picture(), 299))
    wanted = [3.1614673137664795, 0.19894623756408691, 0.0, 0.14500996470451355]
    np.testing.assert_allclose(features[0, :4], wanted, rtol=1e-4, atol=1e-5)
    assert float(features.mean()) == pytest.approx(3.1495723724365234, rel=1e-5)


def test_a_file_that_is_not_there_is_no_extractor(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no file"):
        open_extractor(tmp_path / "none.pth")


def test_the_clean_resize_keeps_an_even_picture_even() -> None:
    even = np.full((30, 40, 3), 64, np.uint8)
    np.testing.assert_allclose(prepared(even, (29, 31)), -0.5, atol=1e-6)


def test_without_a_file_the_extractor_is_the_one_that_needs_none() -> None:
    assert open_extractor(None).fact == HandcraftedExtractor().fact
