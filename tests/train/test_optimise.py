"""One picture by optimisation, on a narrow network with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import torch
from PIL import Image
from torch import Tensor

from stylepress.errors import FrameError, OutputError
from stylepress.progress import Silent
from stylepress.train.features.distances import STYLE_LAYERS, style_distance, style_grams
from stylepress.train.features.vgg import Vgg
from stylepress.train.gatys.optimise import OptimiseOptions, optimise
from stylepress.train.gatys.picture_file import optimise_file
from tests.train.small_vgg import small_vgg
from tests.train.test_vgg import caffe


@pytest.fixture
def vgg() -> Vgg:
    return small_vgg()


def picture(seed: int, height: int = 40, width: int = 48) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_the_style_comes_nearer_and_the_size_is_as_asked(
    vgg: Vgg, optimizer: Literal["adam", "lbfgs"]
) -> None:
    content, style = picture(1), picture(2) ** 4
    options = OptimiseOptions(
        side=64, steps=30, levels=2, content_weight=0, optimizer=optimizer, learning_rate=0.05
    )
    shown: list[Tensor] = []
    done = optimise(vgg, content, style, options, Silent(), shown.append)
    before = float(style_distance(vgg(content[None], STYLE_LAYERS), style_grams(vgg, style)))
    assert done.style_distance < 0.9 * before
    assert done.picture.shape == (3, 64, 77)
    assert 0 <= float(done.picture.min()) <= float(done.picture.max()) <= 1
    assert len(shown) == 5
    assert shown[0].shape == (3, 32, 38)


def test_more_content_weight_stays_nearer_to_the_photo(vgg: Vgg) -> None:
    runs = [
        optimise(
            vgg,
            picture(1),
            picture(2) ** 4,
            OptimiseOptions(side=40, steps=12, levels=1, content_weight=weight),
            Silent(),
        )
        for weight in (0.0, 5.0)
    ]
    assert runs[1].content_distance < runs[0].content_distance


def test_sizes_that_cannot_be_are_refused(vgg: Vgg) -> None:
    for options in (OptimiseOptions(side=32, levels=3), OptimiseOptions(side=4000, levels=2)):
        with pytest.raises(FrameError, match="16 to 4096"):
            optimise(vgg, picture(1), picture(2), options, Silent())


def test_a_picture_file_is_written_with_its_figures(tmp_path: Path) -> None:
    torch.save(caffe("vgg19"), tmp_path / "vgg.pth")
    paths = (tmp_path / "photo.png", tmp_path / "style.png", tmp_path / "out.png")
    for number, path in enumerate(paths[:2]):
        pixels = picture(number, 80, 96).mul(255).byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(path)
    options = OptimiseOptions(side=64, steps=2, levels=1)
    done = optimise_file(
        paths,
        options,
        Silent(),
        weights=tmp_path / "vgg.pth",
        watch=True,
        env={},
        home=tmp_path,
    )
    assert Image.open(paths[2]).convert("L").size == (done["width"], done["height"]) == (77, 64)
    assert done["weights"].startswith("vgg19-caffe@")
    with pytest.raises(OutputError, match="no ending"):
        optimise_file(
            (*paths[:2], tmp_path / "out.doc"),
            options,
            Silent(),
            weights=tmp_path / "vgg.pth",
            watch=False,
            env={},
            home=tmp_path,
        )
