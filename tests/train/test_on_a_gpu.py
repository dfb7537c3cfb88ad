"""What only training on an NVIDIA GPU can show; skipped elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from stylepress.artifact import Artifact
from stylepress.progress import Silent
from stylepress.step_fields import Style
from stylepress.steps import TrainStep
from stylepress.train.models.stage import train_model
from stylepress.train.photos import Photos
from stylepress.train.stage import image_loss, style_pixels
from stylepress.train.teacher import train_teacher
from stylepress.train.trainer.device import Precision, resolve_device
from stylepress.train.trainer.plan import Board, Session, TrainingSummary
from stylepress.train.weights.standard import find_vgg19
from stylepress.work import Work
from tests.gpu_record import keep
from tests.train.test_models import PHOTOS, STEPS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no NVIDIA GPU"),
]
REPOSITORY = Path(__file__).parents[2]
TEACHER = TrainStep(
    style=Style(pattern="woodcut", size=768), photos=PHOTOS, loss="vgg", content_weight=0.15,
    crop_px=256, batch=4, learning_rate=1e-3, seed=1, save_every=10_000,
)  # fmt: skip
COMPARED, TIMED = 12, 120
TRAINING = "batch: 2, crop_px: 64, save_every: 4, loss: swd"
RECIPE = f"""
name: every
photos: {PHOTOS}
style: {{pattern: strokes, size: 64}}
steps:
  - {{step: train, width: 8, blocks: 1, style_px: 64, steps: 12, {TRAINING}}}
  - {{step: distil, preset: nano, pool: 3, pool_px: 64, steps: 12, temporal_weight: 0.2, {TRAINING}}}
  - {{step: prune, keep: 0.8, multiple_of: 4, rounds: 1, steps: 4, pictures: 1, max_drift: 10, {TRAINING}}}
  - {{step: qat, steps: 4, min_psnr_db: 100, pictures: 1, {TRAINING}}}
  - {{step: export, verify_sizes: [[64, 64]]}}
"""


class Losses(Board):
    """Keeps each term of the loss, by its name, step by step."""

    def __init__(self) -> None:
        self.terms: dict[str, list[float]] = {}

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        self.terms.setdefault(tag, []).append(scalar_value)

    def add_image(self, tag: str, img_tensor: torch.Tensor, global_step: int) -> None:
        pass


def trained(
    place: str, precision: Precision, folder: Path, steps: int
) -> tuple[dict[str, list[float]], TrainingSummary]:
    """Train the teacher for so many steps; return the curves of its losses and the summary."""
    work = Work("gpu", folder, folder, environ=os.environ, home=Path.home())
    if find_vgg19(env=work.environ, home=work.home) is None:
        pytest.skip("there is no VGG-19: pip install 'stylepress[vgg]'")
    device, board = resolve_device(place, precision), Losses()
    step = TEACHER.model_copy(update={"steps": steps})
    assert step.style is not None
    loss = image_loss(step, style_pixels(step.style).to(device.place), work, device)
    session = Session(folder, device=device, board=board)
    photos = Photos.below(PHOTOS, Silent())
    return board.terms, train_teacher(photos, loss, step, session)[1]


@pytest.fixture(scope="module")
def by_processor(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, list[float]], TrainingSummary]:
    return trained("cpu", "fp32", tmp_path_factory.mktemp("cpu"), COMPARED)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_teacher_learns_on_a_gpu_as_on_the_processor_and_hardly_waits(
    precision: Precision,
    by_processor: tuple[dict[str, list[float]], TrainingSummary],
    tmp_path: Path,
) -> None:
    curve, slow = by_processor
    other, _ = trained("cuda", precision, tmp_path, COMPARED)
    _, summary = trained("cuda", precision, tmp_path / "long", TIMED)
    keep(
        {
            "test": "a teacher's training",
            "torch": torch.__version__,
            "step": TEACHER.model_dump(mode="json", include={"width", "batch", "crop_px", "loss"}),
            "cpu": {"images_per_s": slow.images_per_s, "cores": os.cpu_count(), "loss": curve},
            precision: {
                "device": summary.device,
                "images_per_s": summary.images_per_s,
                "waiting_share": summary.waiting_share,
                "loss": other,
            },
        }
    )
    for name in ("loss/style", "loss/content"):
        assert np.mean(other[name]) == pytest.approx(np.mean(curve[name]), rel=0.15), name
    assert summary.waiting_share is not None
    assert summary.waiting_share < 0.05


@pytest.mark.parametrize("family", STEPS)
def test_the_other_models_learn_on_a_gpu_what_they_learn_without(
    tmp_path: Path, family: str
) -> None:
    losses = []
    for place in ("cpu", "cuda"):
        folder = tmp_path / place
        work = Work(
            "any", folder / "training", folder, device=place, environ=os.environ, home=Path.home()
        )
        if family == "adain" and find_vgg19(env=work.environ, home=work.home) is None:
            pytest.skip("there is no VGG-19: pip install 'stylepress[vgg]'")
        made = train_model(None, STEPS[family], folder / "c", work)
        losses.append(made.numbers["loss"])
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


def test_every_step_that_trains_goes_to_the_gpu_by_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "every.yaml").write_text(RECIPE)
    command = [sys.executable, "-m", "stylepress", "build", "every.yaml", "--device", "cuda"]
    ran = subprocess.run(
        [*command, "--out", "out", "--no-cache"], cwd=tmp_path, check=False, timeout=300, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    assert torch.cuda.get_device_name(0) in ran.stdout
    assert Artifact.load(tmp_path / "out" / "bundle").kind == "bundle"
