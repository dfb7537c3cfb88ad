"""A discriminator beside a distillation: off by default, learnt and saved with it where asked for."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylepress.compress.distil import Teacher, distil_student
from stylepress.ports import Port
from stylepress.progress import Silent
from stylepress.steps import DistilStep
from stylepress.train.photos import Photos
from stylepress.train.student import StudentSize
from stylepress.train.trainer.plan import Session, TrainingSummary

UNIT = Port(name="image", shape=("batch", 3, "height", "width"), dtype="float32", low=0.0, high=1.0)
SIZE = StudentSize(width=4, blocks=0, half=4)


class Grainy(torch.nn.Module):
    """A teacher that strews black and white over a photo: no student can tell where."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return (image + 0.6 * torch.randn(image.shape).sign()).clamp(0, 1)


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    folder = tmp_path / "photos"
    folder.mkdir()
    levels = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    Image.fromarray(levels).save(folder / "0.png")
    return Photos.below(folder, Silent())


def learnt(photos: Photos, folder: Path, weight: float = 0.0) -> TrainingSummary:
    """Distil shortly, the student all but standing still."""
    step = DistilStep(
        steps=40, batch=2, learning_rate=1e-6, seed=3, crop_px=64, pool=4, pool_px=64,
        style_weight=0.0, content_weight=0.0, grid_weight=0.0, noise_weight=0.0, patchgan_weight=weight,
    )  # fmt: skip
    _, summary = distil_student(Teacher(Grainy(), UNIT), photos, SIZE, step, Session(folder))
    return summary


def test_without_a_weight_there_is_no_discriminator(photos: Photos, tmp_path: Path) -> None:
    summary = learnt(photos, tmp_path / "plain")
    assert not {"patchgan", "judge"} & {*summary.terms}


def test_a_discriminator_learns_to_tell_and_the_student_minds_it(
    photos: Photos, tmp_path: Path
) -> None:
    summary = learnt(photos, tmp_path / "judged", 2.0)
    # To guess costs 0.25, and a student that is told from its teacher more than twice that.
    assert summary.terms["judge"] < 0.25
    assert summary.terms["patchgan"] > 2 * 0.25
