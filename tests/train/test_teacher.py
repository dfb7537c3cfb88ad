"""A teacher is trained on the step's own numbers, on any device."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylepress.errors import RecipeError
from stylepress.progress import Silent
from stylepress.step_fields import Style
from stylepress.steps import TrainStep
from stylepress.train.photos import Photos
from stylepress.train.stage import train
from stylepress.train.style_loss import StyleContentLoss
from stylepress.train.teacher import save_teacher, train_teacher
from stylepress.train.trainer.device import Device, resolve_device
from stylepress.train.trainer.plan import Board, Session
from stylepress.train.weights.checkpoint import load_network
from stylepress.work import Work
from tests.train.small_vgg import small_vgg

STEP = TrainStep(width=4, blocks=1, steps=8, batch=2, crop_px=64, style_px=64, seed=1, save_every=4)


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(2):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((96, 96), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    return Photos.below(folder, Silent())


def style(device: Device) -> StyleContentLoss:
    return StyleContentLoss(
        torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(5)).to(device.place)
    )


class Curve(Board):
    """Keeps the style loss of each step."""

    def __init__(self) -> None:
        self.style: list[float] = []

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        if tag == "loss/style":
            self.style.append(scalar_value)

    def add_image(self, tag: str, img_tensor: torch.Tensor, global_step: int) -> None:
        assert img_tensor.shape == (3, 64, 128)


def test_a_teacher_learns_and_works_on_levels_afterwards(tmp_path: Path, photos: Photos) -> None:
    curve = Curve()
    step = STEP.model_copy(update={"steps": 24, "learning_rate": 0.01})
    net, summary = train_teacher(photos, style(Device()), step, Session(tmp_path, board=curve))
    assert np.mean(curve.style[-5:]) < 0.8 * np.mean(curve.style[:5])
    with torch.no_grad():
        painted = net(photos.crop(torch.Generator().manual_seed(1), 64)[None] * 255)
    assert 10 < painted.mean() < 245
    assert set(summary.terms) == {"style", "content", "range"}


def test_bf16_goes_the_way_of_float(tmp_path: Path, photos: Photos) -> None:
    losses = [
        train_teacher(
            photos,
            style(Device()),
            STEP,
            Session(tmp_path / kind, device=resolve_device("cpu", kind)),
        )[1].loss
        for kind in ("fp32", "bf16")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_gpu_goes_the_way_of_the_cpu(tmp_path: Path, photos: Photos, precision: str) -> None:
    curves = []
    for device in (Device(), resolve_device("cuda", precision)):  # type: ignore[arg-type]
        curves.append(Curve())
        session = Session(tmp_path / device.place.type, device=device, board=curves[-1])
        train_teacher(photos, style(device), STEP, session)
    assert curves[1].style == pytest.approx(curves[0].style, rel=0.1)
    resumed = Session(tmp_path / "cuda", device=device, resume=True)
    assert train_teacher(photos, style(device), STEP, resumed)[1].images_per_s is None


def test_a_teacher_goes_on_from_one_of_its_size_only(tmp_path: Path, photos: Photos) -> None:
    first, summary = train_teacher(photos, style(Device()), STEP, Session(tmp_path / "first"))
    save_teacher(
        first,
        tmp_path / "teacher",
        name="x",
        step=STEP,
        summary=summary,
    )
    again = STEP.model_copy(
        update={
            "start": tmp_path / "teacher",
            "learning_rate": 1e-6,
            "photos": tmp_path / "photos",
            "style": Style(pattern="glass", size=64),
            "loss": "swd",
        }
    )
    work = Work(name="x", folder=tmp_path / "state", board=tmp_path / "board", home=tmp_path)
    second = load_network(train(None, again, tmp_path / "second", work).folder).module
    image = torch.rand(1, 3, 64, 64) * 255
    torch.testing.assert_close(first(image), second(image), atol=1.0, rtol=0)
    with pytest.raises(RecipeError, match="goes on from transformer"):
        train(None, again.model_copy(update={"width": 8}), tmp_path / "third", work)
    with pytest.raises(RecipeError, match="features of VGG"):
        train(None, again.model_copy(update={"near": tmp_path / "first"}), tmp_path / "third", work)


def test_the_step_stays_near_the_network_that_it_names(
    tmp_path: Path, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stylepress.train.stage.step_vgg", lambda *_: small_vgg())
    work = Work(name="x", folder=tmp_path / "state", board=tmp_path / "board", home=tmp_path)
    usual = {"photos": tmp_path / "photos", "style": Style(pattern="glass", size=64), "loss": "vgg",
             "precision": "fp32"}  # fmt: skip
    alone = STEP.model_copy(update={**usual, "steps": 24, "learning_rate": 0.01})
    aim = load_network(train(None, alone, tmp_path / "aim", work).folder).module
    image = photos.crop(torch.Generator().manual_seed(9), 64)[None] * 255
    gaps = []
    other = {"start": tmp_path / "aim", "style": Style(pattern="strokes", size=64), "seed": 2,
             "learning_rate": 0.002}  # fmt: skip
    for number, weight in enumerate((0.0, 50.0)):
        near = {"near": tmp_path / "aim", "near_weight": weight}
        place = replace(work, folder=tmp_path / f"state-{number}")
        step = alone.model_copy(update=other | near)
        drawn = load_network(train(None, step, tmp_path / f"{number}", place).folder).module(image)
        gaps.append(float((drawn - aim(image)).abs().mean()))
    assert gaps[1] < 0.8 * gaps[0]
