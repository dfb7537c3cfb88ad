"""Trainings of the other models: each learns, resumes, and becomes a bundle that runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from stylepress.export.stage import export
from stylepress.model_steps import (
    AdainStep,
    LibraryStep,
    LibraryStyle,
    ModelStep,
    SampleStep,
    TranslateStep,
)
from stylepress.picture import read_picture
from stylepress.progress import Silent
from stylepress.runtime.bundle import read_bundle
from stylepress.runtime.stylize import StylizeOptions, stylize
from stylepress.steps import ExportStep
from stylepress.train.families.adain import AdaIn
from stylepress.train.models import adain, stage
from stylepress.train.models.adain import load_encoder
from stylepress.train.models.inversion import invert
from stylepress.train.models.stage import train_model
from stylepress.train.models.translate import Pool
from stylepress.train.trainer.state import STATE
from stylepress.work import Work
from tests.processes import bound
from tests.train.small_vgg import small_vgg

PHOTOS = Path(__file__).parents[2] / "recipes" / "photos" / "train"
STYLES = Path(__file__).parents[2] / "recipes" / "styles"
GLASS = LibraryStyle(pattern="glass", size=64)
STROKES = LibraryStyle(pattern="strokes", size=64)
QUICK: dict[str, Any] = {"photos": PHOTOS, "crop_px": 64, "precision": "fp32", "seed": 1}
STEPS: dict[str, ModelStep] = {
    "adain": AdainStep(styles=STYLES, steps=24, decoder=2, **QUICK),
    "library": LibraryStep(
        styles={"glass": GLASS, "strokes": STROKES}, steps=12, width=4, blocks=1, loss="swd", **QUICK
    ),
    "resnet": TranslateStep(paintings=STYLES, steps=6, width=4, blocks=1, judge_width=4, **QUICK),
    "dcgan": SampleStep(
        model="dcgan", side_px=16, width=4, noise=8, steps=6, batch=4,
        photos=PHOTOS, precision="fp32", seed=1,
    ),
    "unet2d": SampleStep(
        model="ddpm", side_px=16, width=8, sampling=2, steps=60, batch=8, learning_rate=2e-3,
        photos=PHOTOS, precision="fp32", seed=1,
    ),
}  # fmt: skip
CYCLE = TranslateStep(
    paintings=STYLES, width=2, blocks=1, judge_width=2, steps=4, save_every=2, pool=2, **QUICK
)


def work(folder: Path) -> Work:
    return Work("any", folder / "training", folder / "board", device="cpu", home=folder)


@pytest.fixture
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "step_vgg", lambda *_: small_vgg())
    monkeypatch.setattr(adain, "INVERTED", 12)


@pytest.mark.usefixtures("_narrow")
@pytest.mark.parametrize("family", STEPS)
def test_a_model_trained_here_becomes_a_bundle_that_runs(tmp_path: Path, family: str) -> None:
    made = train_model(None, STEPS[family], tmp_path / "c", work(tmp_path))
    assert made.made_by["step"] == STEPS[family].step
    assert np.isfinite(made.numbers["loss"])
    if family == "unet2d":  # its graph is tested with those of the public layouts
        assert made.numbers["loss"] < 0.8  # 1 is what predicting nothing costs
        return
    step = ExportStep(verify_sizes=((33, 48),))
    bundle = read_bundle(export(made, step, tmp_path / "b", work(tmp_path)).folder)
    assert bundle.artifact.made_by["family"] == family
    if family == "dcgan":
        return
    photo = tmp_path / "photo.png"
    with Image.open(next(PHOTOS.glob("*.jpg"))) as whole:
        whole.resize((97, 64)).save(photo)
    named: dict[str, list[str | None]] = {"adain": [str(STYLES / "starry.jpg"), str(STYLES / "glass.png")],
             "library": ["glass", "strokes=1,glass=1"], "resnet": [None]}  # fmt: skip
    drawn = []
    for number, style in enumerate(named[family]):
        options = StylizeOptions(style=style, backend="onnxruntime")
        out = tmp_path / f"{number}.png"
        stylize(bundle, photo, out, options=options, progress=Silent())
        drawn.append(read_picture(out).pixels)
    assert drawn[0].shape == read_picture(photo).pixels.shape
    assert len(drawn) == 1 or not np.array_equal(drawn[0], drawn[1])


@pytest.fixture
def _in_one_thread() -> Iterator[None]:
    """Sums of several threads are added in another order, and the killed process has its own count."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_in_one_thread")
def test_a_cyclegan_that_was_killed_ends_bit_for_bit_where_the_undisturbed_one_ends(
    tmp_path: Path,
) -> None:
    whole = train_model(None, CYCLE, tmp_path / "whole", work(tmp_path / "a"))
    words = "import sys, tests.train.test_models as t; t.train_until_killed(sys.argv[1])"
    ran = subprocess.run(
        bound([sys.executable, "-c", words, str(tmp_path / "b")], "KILL"),
        cwd=Path(__file__).parents[2], check=False, timeout=120,
    )  # fmt: skip
    assert ran.returncode == -signal.SIGKILL
    gone_on = replace(work(tmp_path / "b"), resume=True)
    assert train_model(None, CYCLE, tmp_path / "b" / "part", gone_on).digest == whole.digest


def train_until_killed(folder: str) -> None:
    """Train a CycleGAN; once a state was saved, this process is ended as `kill -9` ends it."""
    torch.set_num_threads(1)
    place = work(Path(folder))

    class Killed(Silent):
        def advance(self, steps: int = 1, note: str = "") -> None:
            if (place.folder / STATE).exists():
                os.kill(os.getpid(), signal.SIGKILL)

    train_model(None, CYCLE, Path(folder) / "part", replace(place, progress=Killed()))


def test_half_of_what_is_judged_was_drawn_before() -> None:
    pool, draw = Pool(2, 4), torch.Generator().manual_seed(0)
    first, later = torch.rand(2, 3, 4, 4), torch.rand(8, 3, 4, 4)
    assert torch.equal(pool(first, draw), first)
    judged = pool(later, draw)
    older = [one for one in judged if any(torch.equal(one, two) for two in first)]
    fresh = [one for one, two in zip(judged, later, strict=True) if torch.equal(one, two)]
    assert 0 < len(fresh) < len(later)
    assert 0 < len(older) <= len(first)


def test_the_encoder_of_adain_is_vgg_up_to_a_factor_a_layer() -> None:
    vgg, net = small_vgg(), AdaIn(width=4, decoder=2)
    pictures = torch.rand(2, 3, 48, 48)
    load_encoder(net, vgg, pictures)
    with torch.no_grad():
        stages = net.stages(pictures)
        theirs = vgg(pictures, ["relu1_1", "relu4_1"])
    assert all(abs(float(stage.mean()) - 1) < 1e-4 for stage in stages)
    # The borders differ: VGG pads with zeros, AdaIN reflects.
    ours, given = stages[0][..., 2:-2, 2:-2], theirs["relu1_1"][..., 2:-2, 2:-2]
    factor = float(given.sum() / ours.sum())
    assert torch.allclose(factor * ours, given, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("side", [48, 52])
def test_the_decoder_of_adain_begins_by_drawing_what_the_encoder_saw(side: int) -> None:
    # Smooth pictures, other ones than it is judged on.
    draw = torch.Generator().manual_seed(1)
    coarse = torch.rand(24, 3, 4, 4, generator=draw)
    pictures = nn.functional.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1)
    net = AdaIn(width=4, decoder=4)
    load_encoder(net, small_vgg(), pictures[:4])
    invert(net, pictures[:16], draw, Silent())
    with torch.no_grad():
        drawn = net.decoder(net.encoder(pictures[16:]))[..., :side, :side]
    error = (drawn - pictures[16:]).square().mean()
    # Random features keep little: a flat grey is 1 away, a fresh decoder 4 to 6.
    assert error < 0.9 * pictures[16:].var()


@pytest.mark.usefixtures("_narrow", "_in_one_thread")
def test_an_adain_that_goes_on_is_not_inverted_anew_and_ends_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = STEPS["adain"].model_copy(update={"steps": 2})
    whole = train_model(None, step, tmp_path / "whole", work(tmp_path))
    monkeypatch.delattr("stylepress.train.models.adain.invert")
    gone_on = replace(work(tmp_path), resume=True)
    assert train_model(None, step, tmp_path / "again", gone_on).files == whole.files
