"""The numbers of what was learned: what they measure, and what they call better."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from stylepress.benchmarks.evidence.learned import Learned, learned, sliced
from stylepress.errors import RecipeError
from stylepress.model_steps import PairsStep, ShortenStep

PHOTOS = Path(__file__).parents[2] / "recipes" / "photos" / "heldout"


def test_pictures_are_no_way_from_themselves_in_any_order_and_a_shift_from_shifted_ones() -> None:
    pictures = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(0)) - 0.5
    assert sliced(pictures, pictures.flip(0)) < 1e-6
    shifts = [sliced(pictures + shift, pictures) for shift in (0.1, 0.2, 0.4)]
    assert shifts[1] == pytest.approx(2 * shifts[0], rel=0.2)
    assert shifts[2] == pytest.approx(2 * shifts[1], rel=0.2)


def test_a_translator_that_changes_nothing_is_as_far_as_its_input() -> None:
    step = PairsStep(photos=PHOTOS)
    grey = nn.Hardtanh(-0.01, 0.01)
    judged = learned(step, (nn.Identity(), grey), PHOTOS)
    assert judged.trained == pytest.approx(judged.trivial, rel=1e-5)
    assert judged.fresh > judged.trivial
    assert not judged.better
    assert "not learned" in judged.line()
    assert Learned("distance", 0.1, 0.3, 0.2).better


def test_what_nothing_is_measured_of_is_said() -> None:
    with pytest.raises(RecipeError, match="shorten"):
        learned(ShortenStep(), (nn.Identity(), nn.Identity()), PHOTOS)
