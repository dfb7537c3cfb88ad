"""What the export tests share: real photos, and a small student-like network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from stylepress.export.frame_graph import FrameGraph, ImageRange
from stylepress.export.onnx_file import onnx_model
from stylepress.train.transformer import LEAST_SIDE, TransformerNet

PHOTOS = Path(__file__).parents[2] / "recipes" / "photos" / "heldout"


@pytest.fixture(autouse=True, scope="session")
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(min(2, before))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def photos() -> list[NDArray[np.uint8]]:
    """Three photos, (1, H, W, 3) uint8, of three shapes."""
    paths = sorted(PHOTOS.glob("*.jpg"))
    sides = ((256, 256), (200, 300), (192, 256))
    return [
        np.asarray(Image.open(path).convert("RGB").resize(side[::-1]), np.uint8)[None]
        for path, side in zip(paths, sides, strict=False)
    ]


def stand_in(width: int = 48, blocks: int = 2) -> nn.Sequential:
    """A student-like network with random weights that keep the contrast of what comes in."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU()]
    layers += [nn.Conv2d(16, width, 3, 2, 1), nn.ReLU()]
    for _ in range(blocks):
        layers += [nn.Conv2d(width, width, 3, 1, 1), nn.ReLU()]
    layers += [nn.Conv2d(width, 64, 3, 1, 1), nn.PixelShuffle(2), nn.ReLU()]
    layers += [nn.Conv2d(16, 12, 3, 1, 1), nn.PixelShuffle(2)]
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return nn.Sequential(*layers)


@pytest.fixture(scope="session")
def student() -> Callable[..., nn.Sequential]:
    """Build the stand-in of a given width and depth."""
    return stand_in


@pytest.fixture(scope="session")
def graph() -> FrameGraph:
    """The stand-in as a frame graph in centred levels."""
    return FrameGraph(stand_in(), ImageRange(-128, 127))


@pytest.fixture(scope="session")
def model(graph: FrameGraph) -> onnx.ModelProto:
    """The stand-in, exported once."""
    return onnx_model(graph)


@pytest.fixture(scope="session")
def small_teacher() -> FrameGraph:
    """The teacher everybody has, untrained, with as little in it as it can have."""
    torch.manual_seed(0)
    return FrameGraph(TransformerNet(width=4, blocks=1), ImageRange(0, 255), least=LEAST_SIDE)


@pytest.fixture(scope="session")
def small_teacher_model(small_teacher: FrameGraph) -> onnx.ModelProto:
    """The small one, exported once."""
    return onnx_model(small_teacher)
