"""A named part of what is trained: a module, its optimizer, its schedule, its average."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from stylepress.train.trainer.device import CPU, Device
from stylepress.train.trainer.team import Team

Schedule = Callable[[int], float]
"""From the number of a step to the factor on the optimizer's learning rate."""

_KNOWN = inspect.signature(DistributedDataParallel).parameters
_NO_BUFFERS: dict[str, Any] = {
    "forward_sync_buffers" if "forward_sync_buffers" in _KNOWN else "broadcast_buffers": False
}
"""From torch 2.13 on the second name is deprecated."""


def constant(_number: int) -> float:
    """Keep the rate that the optimizer was made with."""
    return 1.0


def warm_linear(steps: int, hold: int = 0) -> Schedule:
    """Return the schedule that warms up over 2 % of the steps and falls linearly to zero.

    It stays at 1 until step ``hold``.
    """
    warm = max(1, steps // 50)
    top = max(warm, hold)
    return lambda number: min((number + 1) / warm, (steps - number) / max(1, steps - top), 1.0)


@dataclass
class Part:
    """A network, a discriminator, adapters, an image pool: whatever is trained or kept.

    Without ``optimizer`` it is only carried along in the saved state. ``ema`` is the decay of a
    moving average of the weights, kept in ``average``; it begins quickly: after n steps at most
    (1 + n) / (10 + n). ``channels_last`` asks for that layout on a CPU too.
    """

    name: str
    module: nn.Module
    optimizer: torch.optim.Optimizer | None = None
    schedule: Schedule = constant
    clip_norm: float | None = 1.0
    ema: float | None = None
    channels_last: bool = False
    average: nn.Module | None = field(default=None, init=False)
    active: nn.Module = field(init=False)
    _rates: list[float] = field(default_factory=list, init=False)
    _trainable: list[nn.Parameter] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.active = self.module
        if self.optimizer is not None:
            self._rates = [group["lr"] for group in self.optimizer.param_groups]
            self._trainable = [p for p in self.module.parameters() if p.requires_grad]
        if self.ema is not None:
            self.average = copy.deepcopy(self.module).eval().requires_grad_(False)

    def place(self, device: Device) -> None:
        """Move the module and its average to ``device``; before a saved state is loaded."""
        for module in (self.module, self.average):
            if module is not None:
                device.hold(module, channels_last=self.channels_last)

    def wrap(self, team: Team, device: Device) -> None:
        """Let the processes of ``team`` share the gradients of this part.

        Buffers are not broadcast: batch statistics are the team's already, and a second forward
        pass before the backward one would find them changed in place.
        """
        if team.size > 1 and self._trainable:
            self.active = DistributedDataParallel(
                self.module,
                device_ids=[device.place.index] if device.cuda else None,
                **_NO_BUFFERS,
            )

    def release(self) -> None:
        """Be a plain module again: on the CPU, in torch's usual layout, all of it trainable."""
        self.active = self.module
        self.open(trained=True)
        for module in (self.module, self.average):
            if module is not None:
                module.to(CPU)
                module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    def open(self, *, trained: bool) -> None:
        """Let gradients reach the weights, or pass them by."""
        for parameter in self._trainable:
            parameter.requires_grad_(trained)

    def begin(self, number: int) -> None:
        """Set the rates of step ``number`` and forget old gradients."""
        if self.optimizer is not None:
            for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate * self.schedule(number)
            self.optimizer.zero_grad(set_to_none=True)

    def update(self, number: int, scaler: torch.amp.GradScaler) -> None:
        """Clip the gradients, go one step, and move the average."""
        if self.optimizer is None:
            return
        if self.clip_norm is not None:
            scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self._trainable, self.clip_norm)
        scaler.step(self.optimizer)
        if self.average is not None and self.ema is not None:
            _follow(self.average, self.module, min(self.ema, (1 + number) / (10 + number)))


@torch.no_grad()
def _follow(average: nn.Module, module: nn.Module, decay: float) -> None:
    mine = [p.detach() for p in average.parameters()]
    torch._foreach_lerp_(mine, [p.detach() for p in module.parameters()], 1 - decay)
    for kept, now in zip(average.buffers(), module.buffers(), strict=True):
        kept.copy_(now)


def adam(module: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """Return Adam over the weights of ``module`` (Kingma and Ba 2015, arXiv 1412.6980)."""
    return cast("torch.optim.Optimizer", torch.optim.Adam(module.parameters(), lr=learning_rate))
