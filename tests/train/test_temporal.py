"""The temporal term: what moves with the scene costs nothing, what sticks to the screen does."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from stylepress.compress.steadiness import TEMPORAL
from stylepress.compress.terms import Comparison, weighted
from stylepress.steps import DistilStep
from stylepress.train.temporal import Movement, inconsistency, movement, ramp
from stylepress.train.trainer.feed import generator

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
