"""Batches, prepared ahead by threads: what a step sees depends on the seed and its number alone."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import torch
from torch import Tensor
from typing_extensions import Self

from stylepress.train.trainer.device import Device
from stylepress.train.trainer.plan import Plan
from stylepress.train.trainer.team import Team

Sample = Callable[[torch.Generator], tuple[Tensor, ...]]
"""Draws one training sample, CPU tensors of fixed shapes, from nothing but its generator.

Called from several threads at once.
"""
MOST_WORKERS = 8


class Feed:
    """The batches of steps ``first`` to ``plan.steps``, in order, on the device.

    ``waited_s`` adds up how long the training waited for them. Use it as a context manager.
    ``threads`` prepare a batch each; by default as many as ``workers`` says.
    """

    def __init__(
        self,
        sample: Sample,
        plan: Plan,
        first: int,
        team: Team,
        device: Device,
        *,
        threads: int | None = None,
    ) -> None:
        self._sample, self._plan, self._team, self._device = sample, plan, team, device
        self._next = first
        self._ahead = 1 + (threads or workers(device, team))
        self._pool = ThreadPoolExecutor(
            self._ahead - 1,
            thread_name_prefix="batches",
            initializer=torch.set_num_threads,
            initargs=(1,),  # a crop is small, and the processor is the training's
        )
        self._ready: deque[Future[tuple[Tensor, ...]]] = deque()
        self.waited_s = 0.0

    def __enter__(self) -> Self:
        while len(self._ready) < self._ahead and self._next < self._plan.steps:
            self._order()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        # The workers changed what threads to come would begin with.
        torch.set_num_threads(torch.get_num_threads())

    def take(self) -> tuple[Tensor, ...]:
        """Return the next batch: the samples of this process stacked, on the device."""
        began = time.monotonic()
        batch = self._ready.popleft().result()
        self.waited_s += time.monotonic() - began
        if self._next < self._plan.steps:
            self._order()
        return self._device.receive(batch)

    def _order(self) -> None:
        self._ready.append(self._pool.submit(self._prepared, self._next))
        self._next += 1

    def _prepared(self, number: int) -> tuple[Tensor, ...]:
        draws = sample_draws(self._plan, number, self._team)
        columns = zip(*(self._sample(draw) for draw in draws), strict=True)
        batch = tuple(torch.stack(column) for column in columns)
        return tuple(t.pin_memory() for t in batch) if self._device.cuda else batch


def workers(device: Device, team: Team) -> int:
    """Say how many threads prepare batches.

    One beside a CPU that trains: a crop of 256 pixels takes it 5 ms, a step hundreds. For a GPU
    this process's share of the cores, up to 8.
    """
    if not device.cuda:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(MOST_WORKERS, (cores or 1) // team.local_size - 1))


def sample_draws(plan: Plan, number: int, team: Team) -> list[torch.Generator]:
    """Return a generator for each sample of this process at step ``number``.

    Which samples a step holds does not depend on how many processes share it.
    """
    share = plan.batch // team.size
    first = number * plan.batch + team.rank * share
    return [generator(plan.seed or 0, 2 * (first + n) + 1) for n in range(share)]


def shared_draw(plan: Plan, number: int, objective: int = 0) -> torch.Generator:
    """Return the generator that all processes share at step ``number`` for one objective."""
    return generator((plan.seed or 0) + objective * 0x632BE5AB, 2 * number)


def generator(seed: int, index: int) -> torch.Generator:
    """Return the generator number ``index`` of ``seed``.

    Two odd multipliers keep neighbouring seeds and indices apart (those of splitmix64).
    """
    return torch.Generator().manual_seed(mixed(seed, index))


def mixed(seed: int, index: int) -> int:
    """Return the seed of that generator."""
    return (seed * 0x9E3779B97F4A7C15 + index * 0xBF58476D1CE4E5B9 + 1) & ((1 << 63) - 1)
