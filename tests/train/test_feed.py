"""Batches come in order, whole and the same, however many threads prepare them."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from stylepress.errors import FrameError
from stylepress.train.trainer.device import Device
from stylepress.train.trainer.feed import Feed, workers
from stylepress.train.trainer.team import Team
from tests.train.test_trainer import Numbers


def uneven(draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Take longer for some samples than for others."""
    value = torch.rand(2, generator=draw)
    time.sleep(0.002 * float(value[0]))
    return value, value.double()


def batches(threads: int, first: int = 0, team: Team | None = None) -> list[Tensor]:
    plan = Numbers(steps=12, batch=4)
    with Feed(uneven, plan, first, team or Team(), Device(), threads=threads) as feed:
        return [feed.take()[0] for _ in range(first, plan.steps)]


def test_any_number_of_threads_gives_the_same_batches_in_the_same_order() -> None:
    alone = batches(1)
    assert len({tuple(value.tolist()) for batch in alone for value in batch}) == 48
    for mine, theirs in zip(alone, batches(5), strict=True):
        assert torch.equal(mine, theirs)


def test_a_feed_can_begin_anywhere_and_teams_share_a_batch() -> None:
    whole = batches(1)
    assert all(map(torch.equal, whole[7:], batches(2, first=7)))
    halves = [batches(2, team=Team(rank=rank, size=2)) for rank in (0, 1)]
    joined = [torch.cat(pair) for pair in zip(*halves, strict=True)]
    assert all(map(torch.equal, whole, joined))


def test_what_is_wrong_with_a_sample_reaches_the_training() -> None:
    def unreadable(draw: torch.Generator) -> tuple[Tensor]:
        raise FrameError("No photo can be read. Copy them again.")

    with (
        pytest.raises(FrameError, match="No photo"),
        Feed(unreadable, Numbers(), 0, Team(), Device()) as feed,
    ):
        feed.take()


def test_threads_that_come_later_compute_with_as_many_as_before() -> None:
    before = torch.get_num_threads()
    batches(2)
    with ThreadPoolExecutor(1) as later:
        assert later.submit(torch.get_num_threads).result() == torch.get_num_threads() == before


def test_a_processor_that_trains_prepares_with_one_thread_and_feeds_a_gpu_with_more() -> None:
    assert workers(Device(), Team()) == 1
    assert 1 <= workers(Device(torch.device("cuda", 0)), Team()) <= 8
