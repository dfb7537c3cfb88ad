"""Inception and LPIPS are the published networks: torch-fidelity said the same of equal weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from stylepress.artifact import file_digest
from stylepress.benchmarks.quality.features.extractor import LpipsFact, open_lpips
from stylepress.benchmarks.quality.features.handcrafted import golden_picture
from stylepress.benchmarks.quality.features.inception import Inception, shapes
from stylepress.benchmarks.quality.features.lpips import ALEX, VGG, Lpips, find_lpips
from stylepress.errors import CheckpointError, FrameError, RecipeError
from stylepress.train.weights.standard import STANDARD, StandardFile
from tests.benchmarks.recorded import fixed_uniform

VGG_CHANNELS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
ALEX_SHAPES = (
    (64, 3, 11, 11),
    (192, 64, 5, 5),
    (384, 192, 3, 3),
    (256, 384, 3, 3),
    (256, 256, 3, 3),
)
FACT = LpipsFact(net="vgg", backbone_sha256="0", heads_sha256="0")


def uniform(shape: tuple[int, ...], seed: int) -> Tensor:
    count = int(np.prod(shape))
    return torch.from_numpy(fixed_uniform(count, seed).reshape(shape)).float()


def spread(shape: tuple[int, ...]) -> float:
    """Keep the size of activations from layer to layer."""
    return float((24 / np.prod(shape[1:])) ** 0.5)


@pytest.fixture(scope="module")
def inception_state() -> Mapping[str, Tensor]:
    state = {}
    for number, (key, shape) in enumerate(shapes().items()):
        values = uniform(shape, number)
        if key.endswith(("running_var", "bn.weight")):
            state[key] = 0.5 + values
        elif key.endswith("conv.weight"):
            state[key] = (values - 0.5) * spread(shape)
        else:
            state[key] = (values - 0.5) * 0.2
    return state


def as_tensorflow_1_resizes(picture: NDArray[np.uint8], side: int) -> Tensor:
    """Bilinear without half-pixel centres, as the recorded values were taken; (x - 128) / 128."""
    image = picture.transpose(2, 0, 1).astype(np.float64)
    for axis in (1, 2):
        old = image.shape[axis]
        places = np.arange(side) * np.float32(old / side)
        below = np.minimum(places.astype(np.intp), old - 1)
        share = (places - below).reshape((-1, 1) if axis == 1 else (1, -1))
        low = image.take(below, axis)
        image = low + (image.take(np.minimum(below + 1, old - 1), axis) - low) * share
    return torch.from_numpy(((image - 128) / 128).astype(np.float32))[None]


def test_inception_says_what_torch_fidelity_said_of_the_same_weights(
    inception_state: Mapping[str, Tensor],
) -> None:
    batch = as_tensorflow_1_resizes(golden_picture(), 299)
    features, logits = Inception(inception_state)(batch)
    wanted = [3.1614673137664795, 0.19894623756408691, 0.0, 0.14500996470451355]
    np.testing.assert_allclose(features[0, :4], wanted, rtol=1e-4, atol=1e-5)
    assert float(features.mean()) == pytest.approx(3.1495723724365234, rel=1e-5)
    classes = [3.3006744384765625, -16.377117156982422, -30.74405860900879, -18.739612579345703]
    np.testing.assert_allclose(logits[0, :4], classes, rtol=1e-4)


def test_inception_of_other_weights_is_refused_by_its_layers() -> None:
    with torch.device("meta"):
        state = {key: torch.empty(shape) for key, shape in shapes().items()}
    size_bytes = 4 * sum(tensor.numel() for tensor in state.values())
    assert 0 < 95_628_359 - size_bytes < 200_000  # what else the published file holds: its names
    state["fc.weight"] = torch.empty(1000, 2048)
    with pytest.raises(CheckpointError, match=r"fc\.weight"):
        Inception(state)


def vgg() -> dict[str, Tensor]:
    state, inputs = {}, 3
    for number, (layer, outputs) in enumerate(zip(VGG, VGG_CHANNELS, strict=True)):
        shape = (outputs, inputs, 3, 3)
        state[f"features.{layer.place}.weight"] = (uniform(shape, number) - 0.5) * spread(shape)
        state[f"features.{layer.place}.bias"] = (uniform((outputs,), 100 + number) - 0.5) * 0.2
        inputs = outputs
    return state


def heads(channels: tuple[int, ...]) -> dict[str, Tensor]:
    return {
        f"lin{number}.model.1.weight": uniform((1, count, 1, 1), 200 + number) / count
        for number, count in enumerate(channels)
    }


def test_lpips_says_what_torch_fidelity_said_of_the_same_weights() -> None:
    lpips = Lpips("vgg", vgg(), heads((64, 128, 256, 512, 512)), FACT)
    one = golden_picture()
    two = 255 - one[::-1]
    assert lpips.distance(one, two) == pytest.approx(0.010202617384493351, rel=1e-4)
    assert lpips.distance(one, one) == 0
    with pytest.raises(FrameError, match="of one size"):
        lpips.distance(one, one[:40])
    with pytest.raises(CheckpointError, match="Name both files"):
        Lpips("vgg", vgg(), heads((64, 192, 384, 256, 256)), FACT)


def test_lpips_over_alexnet_is_symmetric_and_names_a_missing_layer() -> None:
    state = {}
    for number, (layer, shape) in enumerate(zip(ALEX, ALEX_SHAPES, strict=True)):
        state[f"features.{layer.place}.weight"] = (uniform(shape, number) - 0.5) * spread(shape)
        state[f"features.{layer.place}.bias"] = uniform(shape[:1], 50 + number)
    own = heads((64, 192, 384, 256, 256))
    lpips = Lpips("alex", state, own, FACT)
    one = golden_picture()
    two = np.ascontiguousarray(one[:, ::-1])
    assert lpips.distance(one, two) == pytest.approx(lpips.distance(two, one), rel=1e-5)
    assert lpips.distance(one, two) > 0
    del state["features.8.bias"]
    with pytest.raises(CheckpointError, match=r"features\.8\.bias"):
        Lpips("alex", state, own, FACT)


def test_lpips_without_files_says_what_is_missing_and_other_files_do_not_carry_the_name(
    tmp_path: Path,
) -> None:
    reason = find_lpips("alex", env={}, home=tmp_path)
    assert isinstance(reason, str)
    assert "STYLEPRESS_WEIGHTS" in reason
    own = tmp_path / "own.pth"
    torch.save({"features.0.weight": torch.zeros(1)}, own)
    with pytest.raises(CheckpointError, match="may not be called LPIPS"):
        find_lpips("alex", env={}, home=tmp_path, heads=own)


def test_lpips_of_a_users_heads_takes_the_network_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files with made-up weights stand for the published ones: their digests are put in place."""
    torch.save(heads((64, 128, 256, 512, 512)), tmp_path / "mine.pth")
    with pytest.raises(CheckpointError, match="may not be called LPIPS"):
        open_lpips(tmp_path / "mine.pth", env={}, home=tmp_path)
    digest = file_digest(tmp_path / "mine.pth")
    monkeypatch.setitem(STANDARD, "lpips-vgg", StandardFile("vgg.pth", digest, "LPIPS (vgg)"))
    with pytest.raises(RecipeError, match="the vgg16 weights were not found"):
        open_lpips(tmp_path / "mine.pth", env={}, home=tmp_path)
    tower = tmp_path / STANDARD["vgg16"].file
    torch.save(vgg(), tower)
    known = StandardFile(tower.name, file_digest(tower), "LPIPS (vgg)")
    monkeypatch.setitem(STANDARD, "vgg16", known)
    found = open_lpips(tmp_path / "mine.pth", env={}, home=tmp_path)
    assert not isinstance(found, str)
    assert (found.fact.net, found.fact.heads_sha256) == ("vgg", digest)
    one = golden_picture()
    assert found.distance(one, 255 - one[::-1]) == pytest.approx(0.010202617384493351, rel=1e-4)


def test_lpips_that_nobody_named_is_left_out_with_the_reason(tmp_path: Path) -> None:
    assert "were not found" in str(open_lpips(None, env={}, home=tmp_path))
    with pytest.raises(RecipeError, match="not a file"):
        open_lpips(tmp_path / "none.pth", env={}, home=tmp_path)
