"""The judges over genuine weights: what a damage, a blur and a wrong colour do to a copy."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from stylepress.errors import CheckpointError, FrameError
from stylepress.train.features.effnet import EfficientNetLite0
from stylepress.train.features.gaussians import Gaussian, frechet, gaussian, relative_frechet
from stylepress.train.features.judges import Judge, find_judges
from stylepress.train.patterns import draw

ROOT = Path(__file__).parents[2]
PHOTO = ROOT / "recipes/photos/heldout/coffee.jpg"
SIDE = 160

Frames = NDArray[np.uint8]


@pytest.fixture(scope="module")
def judges() -> list[Judge]:
    found = list(find_judges(env={}, home=Path.home()).values())
    if not found:
        pytest.skip("no judge is installed: pip install 'stylepress[vgg,judge]'")
    return found


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.open(PHOTO).convert("RGB").resize((SIDE, SIDE))


@pytest.fixture(scope="module")
def style() -> Frames:
    return draw("strokes", seed=1, size=SIDE)


def frame(picture: Image.Image | Frames) -> Frames:
    return np.asarray(picture, np.uint8)[None]


def as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def test_fidelity_is_0_for_the_original_1_for_the_photo_and_grows_with_damage(
    judges: list[Judge], photo: Image.Image, style: Frames
) -> None:
    original = Image.fromarray(style)
    for judge in judges:

        def of(copy: Image.Image, judge: Judge = judge) -> float:
            return judge.fidelity(frame(photo), frame(original), frame(copy))

        assert of(original) == 0
        assert of(photo) == pytest.approx(1)
        ladder = [of(as_jpeg(original, quality)) for quality in (90, 30, 8)]
        assert 0 < ladder[0] < ladder[1] < ladder[2] < 1
        assert ladder[0] < 0.15


def test_a_blurred_copy_and_one_with_broken_colours_are_far(
    judges: list[Judge], photo: Image.Image, style: Frames
) -> None:
    original = Image.fromarray(style)
    blurred = original.filter(ImageFilter.GaussianBlur(3))
    broken = Image.fromarray(np.ascontiguousarray(style[..., ::-1]))
    for judge in judges:
        jpeg = judge.fidelity(frame(photo), frame(original), frame(as_jpeg(original, 50)))
        for copy in (blurred, broken):
            assert judge.fidelity(frame(photo), frame(original), frame(copy)) > 2 * jpeg


def test_the_style_picture_is_0_from_itself_and_a_photo_far(
    judges: list[Judge], photo: Image.Image, style: Frames
) -> None:
    for judge in judges:
        assert judge.style(style[None], style) == pytest.approx(0, abs=1e-4)
        other = judge.style(draw("strokes", seed=2, size=SIDE)[None], style)
        assert other < judge.style(frame(photo), style) / 2


def test_judges_are_named_by_their_weights(judges: list[Judge]) -> None:
    labels = {judge.name: judge.label for judge in judges}
    assert all("@" in label for label in labels.values())
    assert labels.get("effnet", "effnet-lite0@57934424") == "effnet-lite0@57934424"


def test_what_cannot_be_judged_is_refused(judges: list[Judge], photo: Image.Image) -> None:
    (judge, *_) = judges
    small = np.zeros((1, 32, 64, 3), np.uint8)
    with pytest.raises(FrameError, match="64 pixels a side"):
        judge.style(small, small[0])
    with pytest.raises(FrameError, match="same pictures"):
        judge.fidelity(frame(photo), frame(photo), small)
    with pytest.raises(FrameError, match="uint8 frames"):
        judge.style(frame(photo).astype(np.float32), frame(photo)[0])


def test_another_network_is_no_efficientnet() -> None:
    with pytest.raises(CheckpointError, match="is no EfficientNet-Lite0"):
        EfficientNetLite0({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)}, "some.pth")


def test_the_frechet_distance_of_diagonal_gaussians_is_its_closed_form() -> None:
    one = Gaussian(torch.tensor([1.0, 2.0]).double(), torch.diag(torch.tensor([4.0, 9.0])).double())
    two = Gaussian(
        torch.tensor([3.0, 2.0]).double(), torch.diag(torch.tensor([1.0, 16.0])).double()
    )
    assert frechet(one, two) == pytest.approx(4 + (2 - 1) ** 2 + (3 - 4) ** 2)
    assert relative_frechet(one, two) == pytest.approx(6 / (17 + 13))
    assert frechet(one, one) == pytest.approx(0, abs=1e-9)


def test_a_gaussian_takes_positions_as_samples() -> None:
    activation = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(1))
    mean, covariance = gaussian(activation)
    torch.testing.assert_close(covariance, torch.cov(activation.flatten(1).double()))
    torch.testing.assert_close(mean, activation.double().mean((1, 2)))
