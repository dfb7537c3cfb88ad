"""Several processes of torchrun build what one builds, through the command line."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stylepress.artifact import Artifact
from stylepress.build import BuildOptions, BuildResult, build
from stylepress.cache import Cache
from stylepress.errors import CheckpointError
from stylepress.progress import Silent
from stylepress.train.weights.checkpoint import load_network
from tests.core.homes import TARGET
from tests.processes import bound

REPOSITORY = Path(__file__).parents[2]
TRAINING = "precision: fp32, steps: 2, batch: 2, crop_px: 64, save_every: 1"
RECIPE = f"""
name: pair
photos: photos
style: {{pattern: strokes, size: 64}}
target: small.yaml
device: cpu
steps:
  - {{step: train, width: 4, blocks: 1, style_px: 64, {TRAINING}}}
  - {{step: distil, preset: nano, pool: 3, pool_px: 64, feature_weight: 0.1, taps: [res1], {TRAINING}}}
  - {{step: export, verify_sizes: [[64, 64]]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path
    rng = np.random.default_rng(0)
    (place / "photos").mkdir()
    for index in range(2):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((96, 96), Image.Resampling.BICUBIC).save(place / f"photos/{index}.png")
    (place / "pair.yaml").write_text(RECIPE)
    (place / "small.yaml").write_text(TARGET)
    return place


def pair(folder: Path, command: str, out: str) -> str:
    """Run one command in two processes; return what it shows."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {"PYTHONPATH": str(REPOSITORY), "STYLEPRESS_CACHE": str(folder / "cache")}
    whole = [sys.executable, *launcher, "-m", "stylepress", command, "pair.yaml", "--out", out]
    ran = subprocess.run(
        bound(whole, "TERM"),
        check=False,
        cwd=folder,
        env=os.environ | environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def alone(folder: Path, recipe: str, **options: Any) -> BuildResult:
    """Build in this process, without a cache unless one is named."""
    return build(
        folder / recipe,
        options=BuildOptions(**{"out": folder / "alone", **options}),
        progress=Silent(),
    )


def pictures(folder: Path) -> torch.Tensor:
    """What a network paints of one picture, in its own range of levels."""
    net = load_network(folder)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    low = net.image.low or 0.0
    with torch.no_grad():
        painted: torch.Tensor = net.module.eval()(image * 255 + low)
    return painted


def test_two_processes_build_what_one_builds_and_share_the_cache(folder: Path) -> None:
    shown = pair(folder, "build", "pair")
    assert "(reused)" not in shown
    assert shown.count("fastest here") == 1
    built = alone(folder, "pair.yaml", until="compress").artifacts
    for name, artifact in built.items():
        # Adam turns the rounding of gradients that should be zero into steps of the learning
        # rate: weights in front of a norm differ, pictures hardly.
        difference = pictures(folder / "pair" / name) - pictures(artifact.folder)
        assert difference.abs().mean() < 0.5, name
        loss = Artifact.load(folder / "pair" / name).numbers["loss"]
        assert loss == pytest.approx(artifact.numbers["loss"], rel=1e-3)
    again = alone(folder, "pair.yaml", cache=Cache(folder / "cache"))
    assert again.reused == set(again.artifacts)


def test_an_edited_recipe_is_not_gone_on_with(folder: Path) -> None:
    alone(folder, "pair.yaml", until="train")
    assert alone(folder, "pair.yaml", until="train", resume=True).teacher.numbers["loss"] > 0
    recipe = RECIPE.replace("steps: 2", "steps: 2, learning_rate: 0.01", 1)
    (folder / "edited.yaml").write_text(recipe)
    with pytest.raises(CheckpointError, match=r"step\.learning_rate was 0\.0015 and is 0\.01\."):
        alone(folder, "edited.yaml", until="train", resume=True)
    Image.new("RGB", (80, 80), "red").save(folder / "photos/1.png")
    with pytest.raises(CheckpointError, match=r"step\.photos changed\."):
        alone(folder, "pair.yaml", until="train", resume=True)
