"""Several processes learn what one learns with the whole batch, and end together."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from stylepress.train.trainer.team import Team, norms_of_the_team
from tests.train.team_program import trained

REPOSITORY = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("team_program.py")


def torchrun(folder: Path, mode: str) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.run(
        [*launcher, "-m", "tests.train.team_program", str(folder), mode],
        check=False,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_two_processes_learn_what_one_learns_with_the_whole_batch(tmp_path: Path) -> None:
    ran = torchrun(tmp_path, "train")
    assert ran.returncode == 0, ran.stderr
    together = load_file(tmp_path / "weights.safetensors")
    alone, loss = trained(tmp_path / "alone", Team())
    assert together.pop("loss").item() == pytest.approx(loss, rel=1e-5)
    assert set(together) == set(alone)
    for key, value in alone.items():
        assert torch.allclose(together[key], value, atol=2e-5), key


def test_when_one_process_fails_all_end_and_its_sentence_is_read(tmp_path: Path) -> None:
    ran = torchrun(tmp_path, "fail")
    assert ran.returncode != 0
    assert "The second process has had enough." in ran.stderr
    assert "left no message" not in ran.stderr


def test_batch_norms_are_plain_again_after_the_training() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    with norms_of_the_team([net], Team(size=2)):
        assert type(net[1]) is not nn.BatchNorm2d
        assert isinstance(net[1], nn.BatchNorm2d)
    assert type(net[1]) is nn.BatchNorm2d
