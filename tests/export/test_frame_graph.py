"""The frame graph in PyTorch: ranges, colour order, strength, rounding, cropping."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from stylepress.errors import ExportError
from stylepress.export.frame_graph import FrameGraph, ImageRange

RANGES = [
    ImageRange(0, 255),
    ImageRange(0, 1),
    ImageRange(-1, 1),
    ImageRange(-128, 127),
    ImageRange(0, 255, bgr=True),
    ImageRange(-1, 1, bgr=True),
]


class Painter(nn.Module):
    """A network that is any function of its image."""

    def __init__(self, paint: str) -> None:
        super().__init__()
        self.paint = paint

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = eval(self.paint, {"x": x, "torch": torch, "pad": nn.functional.pad})
        return result


def frames(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.manual_seed(0))


def one(strength: float = 1.0, batch: int = 1) -> Tensor:
    return torch.full((batch,), strength)


@pytest.mark.parametrize("image", RANGES)
def test_the_identity_gives_every_level_back_in_every_range(image: ImageRange) -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(1, 16, 16, 3)
    assert torch.equal(FrameGraph(nn.Identity(), image)(levels, one()), levels)


@pytest.mark.parametrize("image", RANGES)
def test_a_network_sees_its_own_black_and_white(image: ImageRange) -> None:
    ends = torch.tensor([0, 255], dtype=torch.float32).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    seen = image.from_levels(ends)
    assert seen.min() == pytest.approx(image.low)
    assert seen.max() == pytest.approx(image.high)


def test_a_bgr_network_finds_blue_in_its_first_channel() -> None:
    no_first = Painter("x * torch.tensor([0., 1., 1.]).view(1, 3, 1, 1)")
    frame = frames(1, 5, 7, 3)
    drawn = FrameGraph(no_first, ImageRange(0, 255, bgr=True))(frame, one())
    assert torch.equal(drawn[..., :2], frame[..., :2])
    assert not drawn[..., 2].any()


@given(st.floats(-2, 3, allow_nan=False))
def test_no_strength_leaves_the_line_between_frame_and_picture(strength: float) -> None:
    frame = frames(1, 4, 4, 3)
    negative = FrameGraph(Painter("255 - x"), ImageRange(0, 255))
    drawn = negative(frame, one(strength)).int()
    share = min(1.0, max(0.0, strength))
    expected = frame + share * (255 - 2.0 * frame)
    assert (drawn - expected).abs().max() <= 0.5 + 1e-3


def test_strength_zero_gives_the_frame_back_exactly() -> None:
    frame = frames(2, 9, 6, 3)
    wild = FrameGraph(Painter("x * 1000 - 4000"), ImageRange(-1, 1))
    assert torch.equal(wild(frame, one(0.0, 2)), frame)


def test_each_frame_of_a_batch_has_its_own_strength() -> None:
    frame = frames(2, 4, 4, 3)
    drawn = FrameGraph(Painter("255 - x"), ImageRange(0, 255))(frame, torch.tensor([0.0, 1.0]))
    assert torch.equal(drawn[0], frame[0])
    assert torch.equal(drawn[1], 255 - frame[1])


def test_half_strength_mixes_with_the_picture_that_full_strength_shows() -> None:
    frame = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)
    glaring = FrameGraph(Painter("x + 1000"), ImageRange(0, 255))
    assert glaring(frame, one()).unique().tolist() == [255]
    assert glaring(frame, one(0.5)).unique().tolist() == [128]


@pytest.mark.parametrize(("level", "rounded"), [(0.5, 0), (1.5, 2), (2.5, 2), (254.5, 254)])
def test_halves_go_to_the_even_level(level: float, rounded: int) -> None:
    frame = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)
    drawn = FrameGraph(Painter(f"x * 0 + {level}"), ImageRange(0, 255))(frame, one())
    assert drawn.unique().tolist() == [rounded]


@given(st.integers(1, 9), st.integers(1, 9))
def test_what_a_network_adds_below_and_on_the_right_is_cropped(height: int, width: int) -> None:
    frame = frames(1, height, width, 3)
    larger = FrameGraph(Painter("pad(x, (0, 3, 0, 2), value=77.0)"), ImageRange(0, 255))
    assert torch.equal(larger(frame, one()), frame)


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(ExportError, match="value of black first"):
        ImageRange(1, 1)


def test_the_manifest_tells_default_strength_and_least_side() -> None:
    frame, strength = FrameGraph(nn.Identity(), ImageRange(0, 1), least=16).ports.inputs
    assert (frame.name, frame.dtype, frame.least, frame.high) == ("frame", "uint8", 16, 255)
    assert (strength.name, strength.default, strength.high) == ("strength", 1.0, 1)


def test_the_graph_takes_numpy_sized_batches() -> None:
    batch = torch.from_numpy(np.zeros((3, 8, 8, 3), np.uint8))
    assert FrameGraph(nn.Identity(), ImageRange(0, 1))(batch, one(1.0, 3)).shape == (3, 8, 8, 3)
