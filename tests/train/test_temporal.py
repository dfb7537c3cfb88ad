"""The temporal term: what moves with the scene costs nothing, what sticks to the screen does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from stylepress.compress.distil import Teacher, distil_student
from stylepress.compress.steadiness import TEMPORAL
from stylepress.compress.terms import Comparison, weighted
from stylepress.progress import Silent
from stylepress.steps import DistilStep, TrainStep
from stylepress.train.patterns import draw
from stylepress.train.photos import Photos
from stylepress.train.student import StudentSize
from stylepress.train.style_loss import StyleContentLoss
from stylepress.train.teacher import train_teacher
from stylepress.train.temporal import Movement, inconsistency, movement, ramp
from stylepress.train.trainer.feed import generator
from stylepress.train.trainer.plan import Session
from stylepress.train.weights.families import FAMILIES

CPU = torch.device("cpu")
SIZE = (48, 80)


def moves(count: int = 6) -> list[Movement]:
    """Movements without noise, which no network can be asked to foresee."""
    drawn = (movement(SIZE, generator(3, number), CPU) for number in range(count))
    return [replace(move, noise=torch.zeros_like(move.noise)) for move in drawn]


def grey() -> Tensor:
    """A grey picture (2, 3, 48, 80) of middle values, so that no light clips it."""
    values = torch.rand((2, 1, *SIZE), generator=generator(0, 0)) * 0.5 + 0.2
    return values.expand(-1, 3, -1, -1).contiguous()


def test_pictures_are_carried_to_where_the_places_say() -> None:
    across = torch.arange(SIZE[1]).float().expand(1, 1, *SIZE)
    for move in moves():
        # Bilinear interpolation is exact on a ramp: the value is the column it was taken from.
        column = ((move.places[..., 0] + 1) * SIZE[1] - 1) / 2
        apart = (move.carried(across)[:, 0] - column).abs() * move.inside[:, 0]
        assert float(move.inside.mean()) > 0.2
        assert float(apart.max()) < 1e-3


def test_a_network_that_changes_nothing_is_steady_and_one_that_prints_a_grid_is_not() -> None:
    content = grey()
    grid = torch.zeros(SIZE)
    grid[::4, ::4] = 0.3
    for move in moves():
        seen = move.seen(content)
        assert float(inconsistency(content, seen, content, move)) < 1e-6
    stuck = [inconsistency(content + grid, m.seen(content) + grid, content, m) for m in moves()]
    assert float(torch.stack(stuck).mean()) > 0.005


def test_a_student_is_asked_for_a_second_picture_only_where_the_term_weighs() -> None:
    asked: list[Tensor] = []

    def redraw(pictures: Tensor) -> Tensor:
        asked.append(pictures)
        return pictures * scale

    scale = torch.ones((), requires_grad=True)
    content = grey()
    comparison = Comparison(content * scale, content, content, generator(1, 1), redraw=redraw)
    assert weighted((TEMPORAL,), DistilStep(), comparison) == {}
    assert not asked
    terms = weighted((TEMPORAL,), DistilStep(temporal_weight=3), comparison)
    terms["temporal"].backward()  # type: ignore[no-untyped-call]
    assert asked[0].shape == content.shape
    assert scale.grad is not None
    assert torch.isfinite(scale.grad)


def test_the_term_comes_in_over_the_first_third_of_a_training() -> None:
    assert ramp(0, 1000) < 0.01
    assert ramp(150, 1000) < ramp(200, 1000) < 1
    assert ramp(300, 1000) == ramp(999, 1000) == 1


def test_teachers_and_students_learn_with_the_term(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(draw("glass", seed=1, size=96).copy()).save(folder / "a.png")
    photos = Photos.below(folder, Silent())
    style = StyleContentLoss(torch.rand((3, 64, 64), generator=generator(0, 1)), style_px=64)
    train = TrainStep(
        width=4, blocks=1, steps=2, batch=2, crop_px=64, style_px=64, temporal_weight=2, seed=1
    )
    teacher, summary = train_teacher(photos, style, train, Session(tmp_path / "teacher"))
    assert summary.terms["temporal"] > 0
    distil = DistilStep(
        steps=2, batch=2, crop_px=64, pool=2, pool_px=64, temporal_weight=2, seed=1, loss="swd"
    )
    size = StudentSize(width=8, blocks=1, half=8)
    image = FAMILIES["transformer"].image
    session = Session(tmp_path / "student")
    _, summary = distil_student(
        Teacher(teacher, image), photos, size, distil, session, extra=(TEMPORAL,)
    )
    assert summary.terms["temporal"] > 0
