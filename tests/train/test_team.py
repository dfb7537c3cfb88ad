"""Several processes learn what one learns with the whole batch, and end together."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from stylepress.train.trainer.state import STATE
from stylepress.train.trainer.team import Team, norms_of_the_team
from tests.processes import bound
from tests.train.team_program import sampled, trained

REPOSITORY = Path(__file__).parents[2]
LAUNCHER = (
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--nproc-per-node=2",
    "-m",
    "tests.train.team_program",
)


def test_two_processes_learn_what_one_learns_and_end_together_when_one_fails(
    tmp_path: Path,
) -> None:
    ran = subprocess.run(
        [sys.executable, *LAUNCHER, str(tmp_path), "short"],
        check=False,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )
    together = load_file(tmp_path / "weights.safetensors")
    alone, loss = trained(tmp_path / "alone", Team())
    assert together.pop("loss").item() == pytest.approx(loss, rel=1e-5)
    assert set(together) == set(alone)
    for key, value in alone.items():
        assert torch.allclose(together[key], value, atol=2e-5), key
    styles = load_file(tmp_path / "styles.safetensors")
    for key, value in sampled(tmp_path / "styles-alone", Team()).items():
        assert torch.allclose(styles[key], value, atol=2e-5), key
    assert ran.returncode != 0
    assert "The second process has had enough." in ran.stderr
    assert "left no message" not in ran.stderr


def test_ctrl_c_stops_all_after_the_same_step_and_keeps_the_state(tmp_path: Path) -> None:
    command = [sys.executable, *LAUNCHER, str(tmp_path), "long"]
    with subprocess.Popen(
        bound(command, "TERM"),
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as launcher:
        deadline = time.monotonic() + 100
        while not (tmp_path / STATE).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(launcher.pid, signal.SIGINT)
        _, said = launcher.communicate(timeout=60)
    stopped = re.findall(r"Stopped after step (\d+)", said)
    assert len(stopped) == 2
    assert stopped[0] == stopped[1]
    with safe_open(tmp_path / STATE, framework="pt") as state:
        assert state.metadata()["done"] == stopped[0]


def test_batch_norms_are_plain_again_after_the_training() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    with norms_of_the_team([net], Team(size=2)):
        assert type(net[1]) is not nn.BatchNorm2d
        assert isinstance(net[1], nn.BatchNorm2d)
    assert type(net[1]) is nn.BatchNorm2d
