"""Frozen norms: on what they were frozen on nothing changes, elsewhere the adaptation is gone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stylepress.compress.frozen import frozen_norms
from stylepress.errors import RecipeError
from stylepress.train.transformer import TransformerNet


def test_on_the_one_picture_it_was_frozen_on_a_network_draws_the_same() -> None:
    torch.manual_seed(0)
    net = TransformerNet(8, 1).eval()
    picture, other = torch.rand(2, 1, 3, 48, 48) * 255
    frozen = frozen_norms(net, [picture])
    with torch.no_grad():
        assert torch.allclose(frozen(picture), net(picture), atol=1e-3)
        assert not torch.allclose(frozen(other * 0.3), net(other * 0.3), atol=1e-1)
    assert not [layer for layer in frozen.modules() if isinstance(layer, nn.InstanceNorm2d)]


def test_a_network_without_instance_norms_is_refused() -> None:
    with pytest.raises(RecipeError, match="0 instance norms"):
        frozen_norms(nn.Conv2d(3, 3, 1), [torch.rand(1, 3, 8, 8)])
