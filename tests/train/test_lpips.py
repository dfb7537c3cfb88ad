"""LPIPS: a distance by its definition, from weights that fit the network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from stylepress.errors import CheckpointError
from stylepress.train.features.lpips import LAYERS, find_lpips, lpips_from
from stylepress.train.features.vgg import vgg_from
from tests.train.test_vgg import WIDTHS, torchvision

HEADS = {
    f"lin{n}.model.1.weight": torch.full((1, width, 1, 1), 0.5) for n, width in enumerate(WIDTHS)
}


def test_it_is_zero_for_the_same_picture_and_twice_the_weight_is_twice_the_distance() -> None:
    network = vgg_from(torchvision("vgg16"))
    one, two = torch.rand((2, 2, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    distance = lpips_from(network, HEADS, "heads")
    assert not distance(one, one).any()
    apart = distance(one, two)
    assert (apart > 0).all()
    torch.testing.assert_close(apart, distance(two, one))
    doubled = lpips_from(network, {key: 2 * head for key, head in HEADS.items()}, "heads")
    torch.testing.assert_close(doubled(one, two), 2 * apart)
    only = {key: head * (key == "lin0.model.1.weight") for key, head in HEADS.items()}
    maps = [normalize(network(image, LAYERS[:1])[LAYERS[0]], dim=1) for image in (one, two)]
    expected = 0.5 * (maps[0] - maps[1]).square().sum(1).mean((1, 2))
    torch.testing.assert_close(lpips_from(network, only, "heads")(one, two), expected)


def test_weights_of_another_network_are_named_by_layer_and_shape(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"lin0\.model\.1\.weight .*\(1, 64, 1, 1\).*relu1_2"):
        lpips_from(
            vgg_from(torchvision("vgg16")),
            {**HEADS, "lin0.model.1.weight": torch.ones(1, 64, 1, 1)},
            "heads",
        )
    assert find_lpips(env={}, home=tmp_path) is None
