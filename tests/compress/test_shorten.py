"""Samplers of few steps: a turn is exact, half the steps end where all did, fewer blocks begin well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional as F

from stylepress.artifact import Artifact
from stylepress.compress.sampler.halving import halving, velocity_between
from stylepress.compress.sampler.judging import sets_distance
from stylepress.compress.sampler.ladder import Noisy, stepped
from stylepress.compress.sampler.matching import begun
from stylepress.compress.sampler.stage import shorten
from stylepress.errors import RecipeError
from stylepress.export.stage import export
from stylepress.model_steps import SampleStep, ShortenStep
from stylepress.runtime.backends import EngineOptions, open_engine
from stylepress.runtime.bundle import read_bundle
from stylepress.steps import ExportStep
from stylepress.train.families.diffusion import Ladder, Noise, ddim, picture_and_noise
from stylepress.train.families.unet2d import USUAL, UNet2D
from stylepress.train.models.stage import train_model
from stylepress.train.trainer.plan import Session
from stylepress.train.weights.checkpoint import load_network
from stylepress.work import Work

PHOTOS = Path(__file__).parents[2] / "recipes" / "photos" / "train"
SCHEDULE = Noise(1000, "squaredcos_cap_v2", 1e-4, 0.02)
SMALL: dict[str, Any] = {
    **USUAL, "channels": "8,16", "attends_down": "01", "attends_up": "10", "layers": 2, "size": 8,
    "groups": 4, "schedule": "squaredcos_cap_v2", "predicts": "v_prediction", "padding": 1,
}  # fmt: skip


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def work(folder: Path) -> Work:
    return Work("any", folder / "training", folder / "board", device="cpu", home=folder)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("teacher")
    step = SampleStep(
        side_px=16, width=8, sampling=8, steps=8, batch=4, photos=PHOTOS, precision="fp32", seed=1
    )
    return train_model(None, step, folder / "teacher", work(folder))


def test_a_step_of_ddim_is_a_turn_whose_velocity_follows_from_its_ends() -> None:
    ladder = Ladder.of(SCHEDULE, 4)
    x, velocity = noise(4, 3, 4, 4), 0.1 * noise(4, 3, 4, 4, seed=1)
    rung = torch.arange(4)
    left, later = (ladder.left[at].view(-1, 1, 1, 1) for at in (rung, rung + 1))
    x = 0.1 * x  # so that no picture is clipped
    end, _ = stepped(lambda _x, _t: velocity, x, rung, ladder, "v_prediction")
    assert torch.allclose(velocity_between(x, end, left, later), velocity, atol=1e-5)


def test_a_ladder_of_half_the_steps_has_every_second_rung() -> None:
    fine, coarse = Ladder.of(SCHEDULE, 32), Ladder.of(SCHEDULE, 16)
    assert torch.equal(fine.times[::2], coarse.times)
    assert float(fine.left[-1]) == 1.0


def test_what_meets_the_aim_of_a_halving_ends_where_two_steps_end() -> None:
    torch.manual_seed(0)
    net = UNet2D(**SMALL)
    clean, more = noise(4, 3, 8, 8).clamp(-1, 1), noise(4, 3, 8, 8, seed=1)
    coarse, rung = Ladder.of(net.noise, 4), torch.arange(4)
    left = coarse.left[rung].view(-1, 1, 1, 1)
    x = left.sqrt() * clean + (1 - left).sqrt() * more
    noisy = Noisy(clean, more, x, rung, left, coarse.times[rung].float())
    aim, wanted = halving(net, 4, Session(Path())), torch.zeros_like(x).requires_grad_(True)
    loss = aim(lambda _x, _t: wanted, noisy)["velocity"]
    (slope,) = torch.autograd.grad(loss, wanted)
    # Of a square the slope tells the minimum.
    met = (wanted - slope * wanted.numel() / 2).detach()
    assert float(aim(lambda _x, _t: met, noisy)["velocity"]) < 1e-9
    _, around = picture_and_noise(x, met, left, "v_prediction")
    later = coarse.left[rung + 1].view(-1, 1, 1, 1)
    one = (left.sqrt() * x - (1 - left).sqrt() * met) * later.sqrt() + (1 - later).sqrt() * around
    fine = Ladder.of(net.noise, 8)
    with torch.no_grad():
        for number in (0, 1):
            x, _ = stepped(net.predict, x, 2 * rung + number, fine, "v_prediction")
    assert torch.allclose(one, x, atol=1e-4)


def test_a_network_that_knows_the_picture_draws_it_in_any_number_of_steps() -> None:
    picture = noise(2, 3, 8, 8).clamp(-1, 1)
    for steps in (1, 2, 8):
        drawn = ddim(lambda _x, _t: picture, noise(2, 3, 8, 8, seed=1), SCHEDULE, steps, "sample")
        assert torch.allclose(drawn, picture, atol=1e-5)


def test_blocks_that_stay_keep_their_weights_and_the_others_are_gone() -> None:
    torch.manual_seed(0)
    teacher = UNet2D(**SMALL)
    student = begun(teacher, 1)
    theirs, own = teacher.state_dict(), student.state_dict()
    assert len(own) < len(theirs)
    assert torch.equal(
        own["up_blocks.0.resnets.1.conv1.weight"], theirs["up_blocks.0.resnets.2.conv1.weight"]
    )
    assert torch.equal(
        own["down_blocks.1.resnets.0.conv2.bias"], theirs["down_blocks.1.resnets.0.conv2.bias"]
    )
    with pytest.raises(RecipeError, match="`blocks` is 3"):
        begun(teacher, 3)


def test_a_set_is_near_itself_and_far_from_noise() -> None:
    smooth = F.interpolate(noise(64, 3, 2, 2), (16, 16), mode="bilinear").clamp(-1, 1)
    other = F.interpolate(noise(64, 3, 2, 2, seed=1), (16, 16), mode="bilinear").clamp(-1, 1)
    assert sets_distance(smooth, smooth) < 1e-5
    assert sets_distance(other, smooth) < sets_distance(noise(64, 3, 16, 16), smooth)


def quick(method: str, **values: Any) -> ShortenStep:
    usual = {
        "sampling": 2, "teacher_sampling": 4, "steps": 6, "batch": 4, "photos": PHOTOS,
        "precision": "fp32", "seed": 1, "judged": 8, "max_ratio": 100,
    }  # fmt: skip
    return ShortenStep.model_validate({"method": method, **usual, **values})


def test_halving_stops_at_the_steps_that_were_asked_for(teacher: Artifact, tmp_path: Path) -> None:
    student = shorten(teacher, quick("halving"), tmp_path / "student", work(tmp_path))
    assert student.made_by["accepted"]
    config = load_network(student.folder).config
    assert (config["sampling"], config["predicts"]) == (2, "v_prediction")
    before, after = (load_network(at.folder).module.state_dict() for at in (teacher, student))
    assert not all(torch.equal(before[key], after[key]) for key in before)


def test_a_consistency_model_becomes_one_graph_with_noise_for_each_guess(
    teacher: Artifact, tmp_path: Path
) -> None:
    step = quick("consistency", blocks=1)
    student = shorten(teacher, step, tmp_path / "student", work(tmp_path))
    bundle = export(student, ExportStep(), tmp_path / "bundle", work(tmp_path))
    assert bundle.graphs["sample"].inputs[0].shape == ("batch", 6, 16, 16)
    feed = noise(1, 6, 16, 16)
    options = EngineOptions()
    engine = open_engine(read_bundle(bundle.folder), "onnxruntime", options=options)
    (drawn,) = engine.run({"noise": feed.numpy()}).values()
    engine.close()
    module = load_network(student.folder).module
    expected = ((module(feed) + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1).numpy()
    assert np.abs(drawn.astype(np.float32) - expected).max() <= 1
    with pytest.raises(RecipeError, match="a consistency model"):
        shorten(student, quick("halving"), tmp_path / "again", work(tmp_path))


def test_a_student_too_far_from_photos_is_taken_back(teacher: Artifact, tmp_path: Path) -> None:
    step = quick("halving", sampling=1, teacher_sampling=2, steps=1, max_ratio=1, learning_rate=1)
    kept = shorten(teacher, step, tmp_path / "kept", work(tmp_path))
    assert not kept.made_by["accepted"]
    before, after = (load_network(at.folder).module.state_dict() for at in (teacher, kept))
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert load_network(kept.folder).config == load_network(teacher.folder).config


def test_steps_that_cannot_be_halved_are_refused_with_the_mend() -> None:
    with pytest.raises(ValidationError, match="Take 3 times 2, 4, 8"):
        ShortenStep(sampling=3, teacher_sampling=32)
