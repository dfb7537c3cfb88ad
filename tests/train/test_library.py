"""A library of styles that are other networks': it begins as one of them, and copies all."""

from pathlib import Path

import pytest
import torch
from torch import nn

from stylepress.errors import RecipeError
from stylepress.model_steps import LibraryStep, LibraryStyle
from stylepress.train.families.library import StyleLibrary
from stylepress.train.models.library import begin_as
from stylepress.train.models.stage import train_model
from stylepress.train.transformer import TransformerNet
from stylepress.train.weights.checkpoint import load_network, save_checkpoint
from stylepress.train.weights.families import FAMILIES
from stylepress.work import Work

PHOTOS = Path(__file__).parents[2] / "recipes" / "photos" / "train"


def teacher(folder: Path, seed: int) -> Path:
    """Write a small TransformerNet that was never trained; its pictures are what is copied."""
    torch.manual_seed(seed)
    net = TransformerNet(width=4, blocks=1)
    with torch.no_grad():
        net.deconv3.conv2d.weight *= 60
        nn.init.constant_(net.deconv3.conv2d.bias, 128.0)  # type: ignore[arg-type]
    save_checkpoint(
        net, folder, family="transformer", config={"width": 4, "blocks": 1},
        spec=FAMILIES["transformer"].image, made_by={}, name="teacher",
    )  # fmt: skip
    return folder


def test_a_library_begins_as_a_teacher_in_each_of_its_styles(tmp_path: Path) -> None:
    net = load_network(teacher(tmp_path / "one", 1)).module
    library, photo = StyleLibrary("a,b", 4, 1), torch.rand(1, 3, 32, 32)
    assert isinstance(net, TransformerNet)
    begin_as(library, net)
    with torch.no_grad():
        drawn = [library(photo, style[None]) for style in torch.eye(2)]
        aim = net(photo * 255) / 255
    assert all(torch.allclose(one, aim, atol=1e-4) for one in drawn)


def test_a_library_draws_like_each_of_its_teachers(tmp_path: Path) -> None:
    folders = {name: teacher(tmp_path / name, seed) for seed, name in enumerate(("one", "two"))}
    step = LibraryStep(
        styles={name: LibraryStyle(teacher=folder) for name, folder in folders.items()},
        width=4, blocks=1, steps=40, crop_px=64, learning_rate=1e-2, photos=PHOTOS,
        precision="fp32", loss="swd", seed=1,
    )  # fmt: skip
    work = Work("any", tmp_path / "training", tmp_path / "board", device="cpu", home=tmp_path)
    library = load_network(train_model(None, step, tmp_path / "c", work).folder).module
    photo = torch.rand(1, 3, 64, 64)
    aims = [load_network(folder).module(photo * 255) / 255 for folder in folders.values()]
    for number, style in enumerate(torch.eye(2)):
        drawn = library(photo, style[None])
        gaps = [float((drawn - one.clamp(0, 1)).abs().mean()) for one in aims]
        assert min(gaps) == gaps[number]


def test_a_teacher_that_needs_more_than_a_photo_is_refused(tmp_path: Path) -> None:
    save_checkpoint(
        StyleLibrary("a,b", 4, 1), tmp_path / "l", family="library",
        config={"styles": "a,b", "width": 4, "blocks": 1},
        spec=FAMILIES["library"].image, made_by={}, name="l",
    )  # fmt: skip
    styles = {name: LibraryStyle(teacher=tmp_path / "l") for name in "ab"}
    step = LibraryStep(styles=styles, photos=PHOTOS, loss="swd", seed=1)
    work = Work("any", tmp_path / "t", tmp_path / "b", device="cpu", home=tmp_path)
    with pytest.raises(RecipeError, match="draw a picture of a photo alone"):
        train_model(None, step, tmp_path / "c", work)
