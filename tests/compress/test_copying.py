"""The terms that compare a student's pictures with the teacher's in features, and its judges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from stylepress.artifact import Artifact
from stylepress.compress.copying import Copying
from stylepress.compress.distil import Teacher
from stylepress.compress.fidelity import fidelity, parted
from stylepress.compress.stage import beginning, distil
from stylepress.compress.terms import Comparison, weighted
from stylepress.errors import RecipeError
from stylepress.progress import Silent
from stylepress.steps import DistilStep, LoadStep
from stylepress.train.features.distances import COPY_LAYERS, copy_distance
from stylepress.train.folding import fold
from stylepress.train.photos import Photos
from stylepress.train.stage import load
from stylepress.train.student import IMAGE, PRESETS, FoldedStudent, Student
from stylepress.train.transformer import TransformerNet
from stylepress.train.weights.checkpoint import load_network
from stylepress.usual import with_loss
from stylepress.work import Work
from tests.train.small_vgg import small_vgg


class Heard(Silent):
    """A progress that keeps its warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def pictures(seed: int) -> Tensor:
    return torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Fourteen small photos."""
    (tmp_path / "photos").mkdir()
    noise = np.random.default_rng(1)
    for number in range(14):
        blocks = noise.integers(0, 255, (8, 8, 3), np.uint8)
        Image.fromarray(blocks).resize((160, 128)).save(tmp_path / f"photos/{number:02}.png")
    return tmp_path / "photos"


def test_a_copy_costs_nothing_and_both_terms_weigh_as_told() -> None:
    step = with_loss(DistilStep(copy_weight=2, gram_weight=3), "vgg")
    terms = Copying(small_vgg()).terms
    content, target, other = pictures(1), pictures(2), pictures(3)
    same = weighted(terms, step, Comparison(target, content, target, torch.Generator()))
    assert {name: float(value) for name, value in same.items()} == {"copy": 0, "grams": 0}
    apart = weighted(terms, step, Comparison(other, content, target, torch.Generator()))
    once = with_loss(DistilStep(gram_weight=0), "vgg")
    (single,) = weighted(
        terms, once, Comparison(other, content, target, torch.Generator())
    ).values()
    assert float(apart["copy"]) == pytest.approx(2 * float(single))
    assert float(apart["grams"]) > 0


def test_gradients_reach_the_student_only() -> None:
    copying = Copying(small_vgg())
    output, target = pictures(1).requires_grad_(), pictures(2).requires_grad_()
    copying.distance(Comparison(output, pictures(3), target, torch.Generator())).backward()  # type: ignore[no-untyped-call]
    assert output.grad is not None
    assert target.grad is None


def test_one_photo_in_ten_is_held_out_of_many_and_none_of_few(folder: Path) -> None:
    photos = Photos.below(folder, Silent())
    learnt, held = parted(photos)
    assert len(learnt) + len(held) == 14
    assert len(held) == 1
    assert not set(learnt.paths) & set(held.paths)
    few = Photos(photos.paths[:3], Silent())
    assert parted(few) == (few, few)


def test_a_student_that_draws_something_else_is_warned_about(folder: Path) -> None:
    photos, heard = Photos.below(folder, Silent()), Heard()
    torch.manual_seed(0)
    student = Teacher(fold(Student(PRESETS["nano"]).eval()), IMAGE)
    numbers = fidelity(lambda image: 1 - image, student, photos, heard, env={}, home=Path.home())
    if not numbers:
        assert "Nobody judged" in heard.warnings[0]
        pytest.skip("no judge is installed: pip install 'stylepress[vgg,judge]'")
    assert all(value > 0.5 for value in numbers.values())
    assert any("does not copy its teacher" in warning for warning in heard.warnings)


def test_a_distillation_goes_on_from_a_student_of_its_size_only(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "stylepress.compress.fidelity.find_judges", lambda **_: {}
    )  # they take long
    torch.manual_seed(0)
    torch.save(TransformerNet(8, 1).state_dict(), tmp_path / "net.pth")
    work = Work(name="x", folder=tmp_path / "state", board=tmp_path / "board", home=tmp_path)
    teacher = load(None, LoadStep(checkpoint=tmp_path / "net.pth"), tmp_path / "teacher", work)
    step = DistilStep(
        preset="nano", steps=2, batch=1, crop_px=64, pool=2, pool_px=64, photos=folder, loss="swd"
    )
    first: Artifact = distil(teacher, step, tmp_path / "first", work)
    again = step.model_copy(update={"start": tmp_path / "first", "learning_rate": 1e-6})
    second = distil(teacher, again, tmp_path / "second", work)
    one, two = (load_network(artifact.folder).module for artifact in (first, second))
    image = torch.rand(1, 3, 64, 64) * 255 - 128
    assert isinstance(one, FoldedStudent)
    torch.testing.assert_close(one(image), two(image), atol=1.0, rtol=0)
    with pytest.raises(RecipeError, match="must be of StudentSize"):
        beginning(tmp_path / "first", PRESETS["base"])
    with pytest.raises(RecipeError, match="holds transformer"):
        beginning(tmp_path / "teacher", PRESETS["nano"])


def test_features_leave_out_the_rim_and_look_at_corners_now_and_then() -> None:
    copying = Copying(small_vgg(), margin_px=8)
    target = pictures(2)
    rim = target.clone()
    rim[..., :4, :] = 0  # seen from the corners at the top only
    draw = torch.Generator().manual_seed(1)
    gaps = [float(copying.distance(Comparison(rim, pictures(1), target, draw))) for _ in range(24)]
    assert 0 < sum(gap > 0 for gap in gaps) < 12


def test_the_deepest_layer_is_seen_at_a_third_of_the_steps_and_counts_three_times() -> None:
    vgg = small_vgg()
    output, target, draw = pictures(1), pictures(2), torch.Generator().manual_seed(1)
    copying = Copying(vgg)
    found = [
        float(copying.distance(Comparison(output, pictures(3), target, draw))) for _ in range(90)
    ]
    whole = float(copy_distance(vgg(output, COPY_LAYERS), vgg(target, COPY_LAYERS)).mean())
    assert len({round(value, 5) for value in found}) == 2
    assert sum(found) / len(found) == pytest.approx(whole, rel=0.2)


def test_a_style_picture_draws_the_gram_matrices_for_its_share() -> None:
    vgg, style = small_vgg(), pictures(5)[0]
    step = with_loss(DistilStep(gram_weight=2, to_style=0.25), "vgg")

    def of(copying: Copying) -> dict[str, Tensor]:
        same = Comparison(style[None], pictures(1)[:1], pictures(2)[:1], torch.Generator())
        return weighted(copying.terms, step, same)

    terms, without = of(Copying(vgg, style=style)), of(Copying(vgg))
    assert float(terms["style_grams"]) == pytest.approx(0, abs=1e-4)
    assert float(terms["grams"]) == pytest.approx(0.75 * float(without["grams"]))
    assert "style_grams" not in without
