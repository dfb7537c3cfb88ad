"""Training in the rounding of INT8: what rounds, what learns, and what is left as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from stylepress.artifact import Artifact
from stylepress.compress.learner import learner_of
from stylepress.compress.qat.rounding import (
    RoundedLayer,
    chosen_limits,
    observed_limits,
    rounded,
    rounding,
)
from stylepress.compress.qat.stage import qat
from stylepress.errors import CheckpointError
from stylepress.qat_step import QatStep
from stylepress.steps import LoadStep
from stylepress.train.stage import load
from stylepress.train.student import FoldedStudent, StudentSize
from stylepress.train.weights.checkpoint import load_network
from stylepress.work import Work

PHOTOS = Path(__file__).parents[2] / "recipes" / "photos" / "train"
PICTURE = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
SIZE = StudentSize(width=8, blocks=1, half=8)


def work(folder: Path) -> Work:
    return Work("any", folder / "state", folder / "board", device="cpu", home=folder)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("qat")
    torch.manual_seed(0)
    torch.save(FoldedStudent(SIZE).state_dict(), folder / "student.pth")
    return load(None, LoadStep(checkpoint=folder / "student.pth"), folder / "student", work(folder))


def step(**values: object) -> QatStep:
    usual: dict[str, object] = {
        "steps": 2, "crop_px": 64, "batch": 1, "pictures": 1, "loss": "swd", "photos": PHOTOS,
        "seed": 1, "precision": "fp32",
    }  # fmt: skip
    return QatStep.model_validate(usual | values)


def test_gradients_pass_the_rounding_and_not_what_is_clipped() -> None:
    x = torch.tensor([0.3, -90.0], requires_grad=True)
    torch.autograd.backward(rounded(x, torch.tensor(0.25)).sum())
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 0.0]


def test_every_layer_rounds_in_the_context_and_none_behind_it(student: Artifact) -> None:
    learner = learner_of(load_network(student.folder))
    with torch.no_grad():
        before = learner.module(PICTURE)
        limits = observed_limits(learner.module, learner.layers, [PICTURE], percentile=100)
        with rounding(learner.layers, limits):
            inside = learner.module(PICTURE)
            count = sum(isinstance(one, RoundedLayer) for one in learner.layers.modules())
        after = learner.module(PICTURE)
    # The stem's two, the block's one, the decoder's two, which fold to one convolution each.
    assert count == len(limits) == 5
    assert list(chosen_limits(limits, "ends")) == list(limits)[1:-1]
    assert torch.equal(before, after)
    assert (
        0 < float((inside - before).abs().max()) < 0.2 * float((before - before.mean()).abs().max())
    )


def test_a_network_that_bears_rounding_stays_as_it_was(student: Artifact, tmp_path: Path) -> None:
    kept = qat(student, step(min_psnr_db=1), tmp_path / "kept", work(tmp_path))
    assert "nothing to train" in kept.made_by["verdict"]
    before, after = (load_network(at.folder).module.state_dict() for at in (student, kept))
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_what_is_saved_is_the_nearer_of_before_and_after(student: Artifact, tmp_path: Path) -> None:
    trained = qat(student, step(min_psnr_db=100), tmp_path / "trained", work(tmp_path))
    numbers = trained.numbers
    better = numbers["rounded_after_db"] > numbers["rounded_before_db"]
    assert trained.made_by["accepted"] == better
    before, after = (load_network(at.folder).module.state_dict() for at in (student, trained))
    assert better != all(torch.equal(before[key], after[key]) for key in before)


def test_a_layer_that_reads_infinity_is_named() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 3, 1))
    nn.init.constant_(net.get_parameter("0.bias"), float("inf"))
    with torch.no_grad(), pytest.raises(CheckpointError, match="Layer '1' reads"):
        observed_limits(net, net, [PICTURE], percentile=100)
