"""Distillation: the student comes nearer to its teacher, whatever the teacher is."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from stylepress.artifact import Artifact
from stylepress.compress.distil import Teacher, distil_student, save_student
from stylepress.compress.pool import Pool
from stylepress.compress.terms import (
    Comparison,
    Term,
    feature_distance,
    frame_distance,
    grid_pattern,
    unsteadiness,
)
from stylepress.errors import RecipeError
from stylepress.ports import Port
from stylepress.progress import Silent
from stylepress.steps import DistilStep
from stylepress.train.photos import Photos
from stylepress.train.student import IMAGE, StudentSize
from stylepress.train.trainer.plan import Session
from stylepress.train.trainer.state import STATE
from stylepress.train.weights.checkpoint import load_network
from stylepress.usual import with_loss

UNIT = Port(
    name="image", shape=("batch", 3, "height", "width"), dtype="float32", low=-1.0, high=1.0
)
SIZE = StudentSize(width=8, blocks=1, half=8)


class Negative(nn.Module):
    """A teacher in [-1, 1] that turns a picture into its negative, with a layer to tap."""

    def __init__(self) -> None:
        super().__init__()
        self.flip = nn.Conv2d(3, 3, 1)
        nn.init.zeros_(self.flip.weight)
        nn.init.zeros_(self.flip.bias)  # type: ignore[arg-type]
        self.flip.weight.data[range(3), range(3)] = -1

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.flip(image)
        return result


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(3):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((96, 96), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    return Photos.below(folder, Silent())


def a_step(steps: int = 60, **changes: float | tuple[str, ...]) -> DistilStep:
    settings = {"crop_px": 64, "pool": 4, "pool_px": 72, "save_every": 10, **changes}
    return DistilStep(steps=steps, batch=2, learning_rate=0.01, seed=3, **settings)  # type: ignore[arg-type]


def test_a_student_learns_what_its_teacher_does(tmp_path: Path, photos: Photos) -> None:
    teacher = Teacher(Negative(), UNIT)
    image = photos.crop(torch.Generator().manual_seed(9), 64)[None]

    def gap(steps: int) -> float:
        frame_only = a_step(steps, style_weight=0.0, content_weight=0.0, grid_weight=0.0)
        student, _ = distil_student(
            teacher, photos, SIZE, frame_only, Session(tmp_path / str(steps))
        )
        with torch.no_grad():
            return float(frame_distance((student(image * 255 - 128) + 128) / 255, 1 - image))

    assert gap(120) < 0.6 * gap(2)


def test_a_resumed_distillation_ends_where_the_undisturbed_one_ends(
    tmp_path: Path, photos: Photos
) -> None:
    teacher = Teacher(Negative(), UNIT)
    whole, _ = distil_student(
        teacher, photos, SIZE, a_step(10, save_every=4), Session(tmp_path / "a")
    )

    class CutOffError(Exception):
        pass

    class Cut(Silent):
        steps = 0

        def advance(self, steps: int = 1, note: str = "") -> None:
            self.steps += steps
            if self.steps == 4 + 6:  # of the pool, of the training
                raise CutOffError

    with pytest.raises(CutOffError):
        distil_student(
            teacher, photos, SIZE, a_step(10, save_every=4), Session(tmp_path / "b", progress=Cut())
        )
    assert (tmp_path / "b" / STATE).exists()
    again = Session(tmp_path / "b", resume=True)
    resumed, _ = distil_student(teacher, photos, SIZE, a_step(10, save_every=4), again)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key])


def pool(module: nn.Module, photos: Photos, folder: Path, *, first: int = 0) -> Pool:
    drawn = Pool(Teacher(module, UNIT), photos, a_step(40), Session(folder))
    drawn.draw(first)
    return drawn


def test_the_teacher_draws_each_picture_once_and_only_what_will_be_looked_at(
    tmp_path: Path, photos: Photos
) -> None:
    module = Negative()
    calls: list[int] = []
    module.register_forward_hook(lambda _m, _i, output: calls.append(len(output)))
    pictures = pool(module, photos, tmp_path)
    for seed in range(40):
        pictures.cut(torch.Generator().manual_seed(seed))
    assert sum(calls) == 4
    calls.clear()
    pool(module, photos, tmp_path, first=39)
    assert 1 <= sum(calls) <= 2


def test_the_pictures_lie_on_disk_and_are_gone_at_the_end(tmp_path: Path, photos: Photos) -> None:
    pictures = pool(Negative(), photos, tmp_path)
    assert pictures.path.stat().st_size == 4 * 6 * 72 * 72
    pictures.close()
    assert list(tmp_path.glob("pictures*")) == []
    distil_student(Teacher(Negative(), UNIT), photos, SIZE, a_step(2), Session(tmp_path))
    assert list(tmp_path.glob("pictures*")) == []


def test_a_pair_shows_the_same_place(tmp_path: Path, photos: Photos) -> None:
    pictures = pool(Negative(), photos, tmp_path)
    for seed in range(5):
        (pair,) = pictures.cut(torch.Generator().manual_seed(seed))
        assert pair.shape == (6, 64, 64)
        assert (pair[:3].int() + pair[3:].int() - 255).abs().max() <= 1


def test_a_term_more_is_one_function(tmp_path: Path, photos: Photos) -> None:
    def darkness(comparison: Comparison) -> Tensor:
        return comparison.output.mean()

    extra = [Term("darkness", lambda step, _: 2 * (step.frame_weight or 0), darkness)]
    session = Session(tmp_path)
    _, summary = distil_student(
        Teacher(Negative(), UNIT), photos, SIZE, a_step(4), session, extra=extra
    )
    assert {"frame", "style", "content", "grid", "noise", "range", "darkness"} == set(summary.terms)


def test_the_first_steps_look_at_pixels_alone(tmp_path: Path, photos: Photos) -> None:
    compared: list[Comparison] = []

    def noticed(comparison: Comparison) -> Tensor:
        compared.append(comparison)
        return comparison.output.mean()

    term = Term("noticed", lambda _step, _styled: 1.0, noticed)
    step = a_step(5, pixel_share=0.6)
    distil_student(Teacher(Negative(), UNIT), photos, SIZE, step, Session(tmp_path), extra=[term])
    assert len(compared) == 2


def test_a_student_that_goes_on_learning_has_no_first_steps() -> None:
    begun = DistilStep(start=Path("student"))
    assert with_loss(begun, "vgg").pixel_share == 0
    assert with_loss(DistilStep(), "vgg").pixel_share == 0.5
    assert with_loss(begun.model_copy(update={"pixel_share": 0.2}), "vgg").pixel_share == 0.2


def test_the_feature_distance_of_a_batch_is_the_mean_of_its_pictures() -> None:
    guesses, features = torch.rand(2, 4, 5, 6, 6)
    alone = [feature_distance([g[None]], [f[None]]) for g, f in zip(guesses, features, strict=True)]
    together = feature_distance([guesses], [features])
    assert torch.allclose(together, torch.stack(alone).mean())


def test_a_tapped_layer_is_learnt_too(tmp_path: Path, photos: Photos) -> None:
    seen: list[dict[str, float]] = []

    class Board:
        def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
            seen.append({tag: scalar_value})

        def add_image(self, tag: str, img_tensor: Tensor, global_step: int) -> None:
            assert img_tensor.shape == (3, 64, 128)

    chosen = a_step(30, feature_weight=1.0, taps=("flip",))
    distil_student(
        Teacher(Negative(), UNIT), photos, SIZE, chosen, Session(tmp_path, board=Board())
    )
    features = [row["loss/features"] for row in seen if "loss/features" in row]
    assert np.mean(features[-5:]) < np.mean(features[:5])


def test_a_tap_that_is_not_there_names_what_is(tmp_path: Path, photos: Photos) -> None:
    chosen = a_step(2, feature_weight=1.0, taps=("nowhere",))
    with pytest.raises(RecipeError, match=r"'nowhere'.*flip"):
        distil_student(Teacher(Negative(), UNIT), photos, SIZE, chosen, Session(tmp_path))


@pytest.mark.parametrize("shift", [(0, 0), (3, 1), (16, 16)])
def test_what_moves_with_the_picture_is_steady_and_what_stays_is_not(
    shift: tuple[int, int],
) -> None:
    scene = torch.rand(1, 3, 96, 96)
    down, right = shift
    still, moved = (
        scene[..., 16:80, 16:80],
        scene[..., 16 - down : 80 - down, 16 - right : 80 - right],
    )
    assert unsteadiness(still, moved, shift) == 0
    assert unsteadiness(still, moved + 0.1, shift) == pytest.approx(0.1, rel=1e-4)
    if shift != (0, 0):
        assert unsteadiness(still, still, shift) > 0.2


def test_a_grid_is_seen_and_a_shade_is_not() -> None:
    shade = torch.full((1, 3, 64, 96), 0.3)
    dots = shade.clone()
    dots[..., ::4, ::4] += 0.16
    assert grid_pattern(shade).abs().max() < 1e-6
    # One phase of 16 is 0.16 higher: 0.15 over the mean of all, the others 0.01 below it.
    assert grid_pattern(dots).max() == pytest.approx(0.15, rel=1e-4)
    assert grid_pattern(dots.roll(2, dims=3)).max() == pytest.approx(0.15, rel=1e-4)
    assert grid_pattern(dots).shape == (1, 48, 2, 3)


def test_a_saved_student_comes_back_equal(tmp_path: Path, photos: Photos) -> None:
    session = Session(tmp_path / "run")
    net, summary = distil_student(Teacher(Negative(), UNIT), photos, SIZE, a_step(4), session)
    save_student(
        net, tmp_path / "s", name="s", step=a_step(4), parent="x", numbers={"loss": summary.loss}
    )
    again = load_network(tmp_path / "s")
    assert (again.family, again.image) == ("student", IMAGE)
    image = torch.rand(1, 3, 20, 20)
    assert torch.equal(again.module(image), net(image))
    made_by = Artifact.load(tmp_path / "s").made_by
    assert (made_by["step"], made_by["pool"]) == ("distil", 4)
    assert "photos" not in made_by


def test_what_a_teacher_drew_is_not_drawn_again(tmp_path: Path, photos: Photos) -> None:
    calls: list[int] = []

    class Counting(Negative):
        def forward(self, image: Tensor) -> Tensor:
            calls.append(1)
            return super().forward(image)

    def drawn(name: str) -> bytes:
        session = Session(tmp_path / name, pictures=tmp_path / "pictures")
        pool = Pool(Teacher(Counting(), UNIT), photos, a_step(40), session)
        pool.draw(0)
        data = pool.path.read_bytes()
        pool.close()
        return data

    first = drawn("one")
    assert len(calls) == 4
    assert drawn("two") == first
    assert len(calls) == 4
