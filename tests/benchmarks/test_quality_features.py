"""Points have a name, and only the genuine network's may be called FID."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from pydantic import ValidationError

from stylepress.benchmarks.quality.features import extractor
from stylepress.benchmarks.quality.features.extractor import (
    FID_DIMENSION,
    FID_LAYER,
    HANDCRAFTED_SHA256,
    INCEPTION_SHA256,
    ExtractorFact,
    HandcraftedExtractor,
    open_extractor,
)
from stylepress.benchmarks.quality.features.handcrafted import (
    digest,
    golden_picture,
    handcrafted,
)
from stylepress.benchmarks.quality.features.onnx_extractor import OnnxExtractor
from stylepress.benchmarks.quality.features.preprocessing import prepared
from stylepress.benchmarks.quality.result import FrechetDrift
from stylepress.benchmarks.quality.sets import Features, frechet_drift
from stylepress.errors import (
    ArtifactError,
    BackendError,
    CheckpointError,
    FrameError,
    VerificationError,
)

Pixels = NDArray[np.uint8]

GENUINE = ExtractorFact(
    name="inception-2015-12-05",
    kind="inception",
    sha256=INCEPTION_SHA256,
    layer=FID_LAYER,
    dimension=FID_DIMENSION,
    preprocessing="clean",
)


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


def test_an_extractor_that_computes_something_else_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extractor, "handcrafted", lambda p: handcrafted(p) * (1 + 2**-52))
    with pytest.raises(VerificationError, match="raises the version"):
        HandcraftedExtractor()


def test_features_do_not_depend_on_how_a_picture_lies_in_memory_or_in_what_company() -> None:
    pictures = np.stack([picture(seed) for seed in range(20)])
    together = handcrafted(pictures)
    assert digest(handcrafted(np.asfortranarray(pictures))) == digest(together)
    assert digest(np.concatenate([handcrafted(one[None]) for one in pictures])) == digest(together)


def test_pictures_of_several_sizes_are_described_in_their_order() -> None:
    mixed = [picture(0), picture(1, (64, 64)), picture(2), *(picture(n) for n in range(3, 25))]
    seen = HandcraftedExtractor().see(mixed).features
    assert (seen == np.concatenate([handcrafted(one[None]) for one in mixed])).all()


def test_mirrored_features_are_the_same_up_to_which_column_a_grid_begins_with() -> None:
    one = picture(size=(64, 64))[None]
    mirrored = handcrafted(one[:, :, ::-1])
    np.testing.assert_allclose(handcrafted(one)[0, :87], mirrored[0, :87], rtol=1e-12)


def test_an_even_picture_has_no_edges_and_finite_features() -> None:
    even = np.full((1, 40, 40, 3), 90, np.uint8)
    (features,) = handcrafted(even)
    assert np.isfinite(features).all()
    assert not features[33:].any()
    assert features[0] == 4 * 90 / 1020


@pytest.mark.parametrize("shape", [(1, 31, 64, 3), (64, 64, 3), (1, 64, 64, 4)])
def test_what_has_no_features_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(FrameError):
        handcrafted(np.zeros(shape, np.uint8))


def test_only_the_genuine_network_may_be_called_fid() -> None:
    assert GENUINE.metric == "fid[clean]"
    for change in (
        {"sha256": "0" * 64},
        {"kind": "onnx"},
        {"preprocessing": "clean-unit"},
        {"layer": "mixed_6e"},
        {"dimension": 768},
    ):
        other = GENUINE.model_copy(update=change)
        assert other.metric == "frechet_distance"
        assert other.title.endswith("not FID")


def test_a_report_that_calls_another_distance_fid_is_refused() -> None:
    rows = np.random.default_rng(0).normal(size=(8, 8, 4))
    own = HandcraftedExtractor().fact.model_copy(update={"dimension": 4})
    made = frechet_drift(Features(*rows[:4]), own, seed=0, benign_change="x").model_dump()
    assert made["metric"] == "frechet_distance"
    with pytest.raises(ValidationError, match=r"not 'fid\[clean\]'"):
        FrechetDrift.model_validate({**made, "metric": "fid[clean]"})


def test_an_inception_file_with_another_digest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pt_inception-2015-12-05-6726825d.pth"
    torch.save({"fc.weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="may not be called FID"):
        open_extractor(path)


def averaging(path: Path, size: tuple[int | str, int | str] = ("h", "w")) -> Path:
    """Write an extractor that gives the mean of each channel."""
    node = helper.make_node("Identity", ["image"], ["planes"])
    graph = helper.make_graph(
        [node],
        "mean",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, *size])],
        [helper.make_tensor_value_info("planes", TensorProto.FLOAT, ["n", 3, *size])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def test_an_onnx_extractor_sees_what_its_graph_says_and_carries_its_hash(tmp_path: Path) -> None:
    own = OnnxExtractor(averaging(tmp_path / "mean.onnx"), preprocessing="native")
    pictures = [picture(seed) for seed in range(20)]
    expected = np.stack([one.mean((0, 1)) / 255 for one in pictures])
    np.testing.assert_allclose(own.see(pictures).features, expected, rtol=1e-5)
    assert own.see(pictures).logits is None
    assert (own.fact.kind, own.fact.dimension, own.fact.layer) == ("onnx", 3, "planes")
    assert own.fact.metric == "frechet_distance"


def test_an_onnx_extractor_of_fixed_size_resizes(tmp_path: Path) -> None:
    own = open_extractor(averaging(tmp_path / "mean.onnx", (16, 16)))
    assert own.fact.preprocessing == "clean-unit"
    smooth = np.full((60, 50, 3), 51, np.uint8)
    np.testing.assert_allclose(own.see([smooth, smooth]).features, 0.2, rtol=1e-5)


def test_files_that_are_no_extractor_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        open_extractor(tmp_path / "none.onnx")
    with pytest.raises(ArtifactError, match="Export it so"):
        OnnxExtractor(averaging(tmp_path / "mean.onnx"), output="fc")
    (tmp_path / "text.onnx").write_bytes(b"no graph at all")
    with pytest.raises((ArtifactError, BackendError)):
        open_extractor(tmp_path / "text.onnx")


def test_each_preprocessing_has_its_own_values_and_keeps_an_even_picture_even() -> None:
    even = np.full((30, 40, 3), 64, np.uint8)
    expected = {
        "clean": -0.5,
        "clean-unit": 64 / 255,
    }
    for way, value in expected.items():
        np.testing.assert_allclose(prepared(even, way, (29, 31)), value, atol=1e-6)  # type: ignore[arg-type]
    assert prepared(even, "native", (9, 9)).shape == (3, 30, 40)


def test_without_a_file_the_extractor_is_the_one_that_needs_none() -> None:
    assert open_extractor(None).fact == HandcraftedExtractor().fact
