"""One small real measurement, shared: a narrow teacher, its float and INT8 bundles, two photos."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylepress.benchmarks.bench import BenchOptions, bench
from stylepress.benchmarks.quality.photos import Photo, read_photos
from stylepress.benchmarks.report import Report
from stylepress.benchmarks.timing.baselines import Baselines
from stylepress.benchmarks.timing.latency import Plan
from stylepress.benchmarks.timing.loop import WarmRule
from stylepress.benchmarks.timing.outcome import Length
from stylepress.benchmarks.timing.scenarios import camera
from stylepress.ports import Port
from stylepress.progress import Silent
from stylepress.train.transformer import LEAST_SIDE, TransformerNet
from stylepress.train.weights.checkpoint import save_checkpoint

SIZE = (96, 128)
PLAN = Plan(rounds=6, turn_s=0.01, most_calls=4, warm_up=1)
CAMERA = camera(20)


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for seed, name in enumerate(("hill.png", "lake.png")):
        small = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
        Image.fromarray(small).resize((160, 120), Image.Resampling.BICUBIC).save(folder / name)
    return folder


@pytest.fixture(scope="session")
def photos(photo_folder: Path) -> Sequence[Photo]:
    return read_photos(photo_folder, SIZE, limit=2, progress=Silent())


@pytest.fixture(scope="session")
def style(
    tmp_path_factory: pytest.TempPathFactory, photo_folder: Path, photos: Sequence[Photo]
) -> Mapping[str, Path]:
    folder = tmp_path_factory.mktemp("style")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = TransformerNet(width=4, blocks=1).eval()
        # Untrained, it would draw black: give its pictures contrast around grey.
        with torch.no_grad():
            network.deconv3.conv2d.weight.mul_(60)
            network.deconv3.conv2d.bias.fill_(128)  # type: ignore[union-attr]
    save_checkpoint(
        network,
        folder / "teacher",
        family="transformer",
        config={"width": 4, "blocks": 1},
        spec=Port(
            name="image",
            shape=("batch", 3, "height", "width"),
            dtype="float32",
            low=0,
            high=255,
            least=LEAST_SIDE,
        ),
        made_by={"step": "train"},
        name="dots",
    )
    frames = [photo.frame for photo in photos]
    made = Baselines(folder / "teacher", folder, frames=frames, progress=Silent())
    noise = np.random.default_rng(9).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(folder / "dots.png")
    return {
        "teacher": folder / "teacher",
        "student": made.float_bundle.artifact.folder,
        "bundle": made.quantized().folder,
        "photos": photo_folder,
        "picture": folder / "dots.png",
    }


@pytest.fixture(scope="session")
def recipes(style: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as recipes/ is; the student is the teacher's network once more."""
    folder = tmp_path_factory.mktemp("recipes")
    shutil.copytree(style["teacher"], folder / "dots" / "teacher")
    shutil.copytree(style["teacher"], folder / "dots" / "student")
    shutil.copytree(style["bundle"], folder / "dots" / "bundle")
    for name in ("heldout", "train"):
        shutil.copytree(style["photos"], folder / "photos" / name)
    (folder / "styles").mkdir()
    shutil.copyfile(style["picture"], folder / "styles" / "dots.png")
    return folder


@pytest.fixture(scope="session")
def options() -> BenchOptions:
    return BenchOptions(
        size=SIZE,
        plan=PLAN,
        clip_frames=3,
        shown=1,
        settings=(CAMERA,),
        length=Length(min_s=0.2, min_count=8),
        rule=WarmRule(min_s=0, min_count=1, window_s=0.01, most_s=0.1),
        created="2026-01-02T03:04:05+00:00",
        environ={"OMP_NUM_THREADS": "2"},
    )


@pytest.fixture(scope="session")
def report(style: Mapping[str, Path], options: BenchOptions) -> Report:
    return bench(
        [style["bundle"]],
        teacher=style["teacher"],
        student=style["student"],
        photos=style["photos"],
        style=style["picture"],
        options=options,
        progress=Silent(),
    )
