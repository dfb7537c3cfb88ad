"""The processes that train together: those that torchrun started, or one alone."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from stylepress.errors import TrainingError

T = TypeVar("T")
TIMEOUT = timedelta(hours=2)
"""How long a process waits for the others before it gives up."""
PATIENCE = timedelta(seconds=5)
"""How long a process that lost another one waits for that one's own word."""
FAILED = "failed"
ENDING = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Team:
    """Which of how many processes this is, and which of its machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Team:
        """Read what torchrun announced in ``environ``; nothing means a team of one."""
        size = int(environ.get("WORLD_SIZE", "1"))
        return cls(
            rank=int(environ.get("RANK", "0")),
            size=size,
            local_rank=int(environ.get("LOCAL_RANK", "0")),
            local_size=int(environ.get("LOCAL_WORLD_SIZE", str(size))),
        )

    @property
    def leads(self) -> bool:
        """Whether this process writes what the team makes."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Say on every process whether ``flag`` holds on at least one."""
        if self.size == 1:
            return flag
        flags = torch.tensor([float(flag)])
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return bool(flags)

    def mean(self, values: Sequence[float]) -> list[float]:
        """Return the mean over the processes of each of ``values``."""
        if self.size == 1:
            return list(values)
        together = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(together)
        return (together / self.size).tolist()

    def same(self, number: int) -> bool:
        """Say whether all processes hold the same ``number``."""
        if self.size == 1:
            return True
        bounds = torch.tensor([number, -number])
        dist.all_reduce(bounds, dist.ReduceOp.MAX)
        return int(bounds[0]) == -int(bounds[1])

    def wait(self) -> None:
        """Return when all processes have come here."""
        self.any(False)

    def written(self, write: Callable[[], T], *, otherwise: Callable[[], T]) -> T:
        """Let the first process ``write`` something, and the others read it afterwards."""
        result = write() if self.leads else None
        self.wait()
        return otherwise() if result is None else result


@contextmanager
def joined_team(environ: Mapping[str, str]) -> Iterator[Team]:
    """Join the processes that torchrun announced in ``environ``, or be a team of one.

    gloo carries what lies in main memory, nccl what lies on a GPU. When a process fails, its own
    error ends it, and the others end quietly: its sentence is on the same terminal.

    Raises:
        TrainingError: a process was lost without a word.
    """
    team = Team.of(environ)
    if team.size == 1 or dist.is_initialized():
        yield team
        return
    store = _join(team)
    try:
        yield team
    except BaseException as error:
        if isinstance(error, RuntimeError) and _of_a_collective(error):
            _explain_loss(store, team, error)
        with suppress(RuntimeError):  # the launcher may be gone too
            store.set(FAILED, str(team.rank))
        raise
    dist.destroy_process_group()


def _join(team: Team) -> Store:
    """Meet the other processes; return the store that all of them read."""
    with _ended_by_signals():
        store: Store = next(rendezvous("env://", team.rank, team.size, timeout=TIMEOUT))[0]
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
            store=PrefixStore("stylepress", store),
            rank=team.rank,
            world_size=team.size,
            timeout=TIMEOUT,
        )
    return store


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let Ctrl-C end the process at once: who waits for one that is gone hears no Python."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {kind: signal.signal(kind, signal.SIG_DFL) for kind in ENDING}
    try:
        yield
    finally:
        for kind, handler in handlers.items():
            signal.signal(kind, handler)


def _of_a_collective(error: RuntimeError) -> bool:
    words = str(error).lower()
    return isinstance(error, dist.DistError) or "gloo" in words or "nccl" in words


def _explain_loss(store: Store, team: Team, error: RuntimeError) -> NoReturn:
    """Turn what a collective says when a process is gone into an end that a user understands."""
    try:
        store.wait([FAILED], PATIENCE)
    except RuntimeError:
        raise TrainingError(
            f"Process {team.rank} of {team.size} lost another one, which left no message "
            f"({str(error).splitlines()[0]}).",
            "See what stopped it, often too little memory; then go on with `--resume`.",
        ) from error
    raise SystemExit(1) from error


class _Summed(torch.autograd.Function):
    """Sum over all processes; so does the gradient."""

    @staticmethod
    def forward(_ctx: torch.autograd.function.FunctionCtx, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        return summed(grads[0].contiguous())  # differentiable again, for gradient penalties


def summed(values: Tensor) -> Tensor:
    """Return the sum of ``values`` over all processes, differentiably."""
    total: Tensor = _Summed.apply(values)  # type: ignore[no-untyped-call]
    return total


class TeamBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation whose statistics are those of the whole team's batch.

    As torch's SyncBatchNorm, on the CPU too. Shares of the batch may differ in size.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        axes = [0, *range(2, x.ndim)]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        wide = x.float()
        count = torch.full((1,), wide.numel() / wide.shape[1], device=x.device)
        sums = summed(torch.cat([wide.sum(axes), count]))
        total, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
        apart = wide - mean.view(shape)
        variance = summed(apart.square().sum(axes)) / total
        self._remember(mean.detach(), (variance * total / (total - 1).clamp_min(1)).detach())
        y = apart * (variance + self.eps).rsqrt().view(shape)
        if self.weight is not None:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(x.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        share = 0.0 if self.momentum is None else self.momentum
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                share = 1 / float(self.num_batches_tracked)
        with torch.no_grad():
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(variance, share)


class TeamBatchNorm1d(TeamBatchNorm, nn.BatchNorm1d):
    """The same for (N, C) and (N, C, L)."""


class TeamBatchNorm2d(TeamBatchNorm, nn.BatchNorm2d):
    """The same for (N, C, H, W)."""


TEAM_NORMS: Mapping[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: TeamBatchNorm1d,
    nn.BatchNorm2d: TeamBatchNorm2d,
}


@contextmanager
def norms_of_the_team(modules: Sequence[nn.Module], team: Team) -> Iterator[None]:
    """Let every batch normalisation in ``modules`` see the whole team's batch, for a while.

    Weights and buffers stay the same tensors; afterwards the layers are plain ones again.
    """
    layers = [
        layer
        for module in modules
        for layer in module.modules()
        if team.size > 1 and type(layer) in TEAM_NORMS
    ]
    plain = [type(layer) for layer in layers]
    for layer, kind in zip(layers, plain, strict=True):
        layer.__class__ = TEAM_NORMS[kind]
    try:
        yield
    finally:
        for layer, kind in zip(layers, plain, strict=True):
            layer.__class__ = kind
