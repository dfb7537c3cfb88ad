"""One training loop for teachers and students: seeds, schedule, saving, resuming, processes."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast

import torch
import torch.distributed as dist
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from stylepress.errors import CheckpointError, TrainingError
from stylepress.interrupt import deferred_interrupt
from stylepress.progress import Progress
from stylepress.replace import replacing_file, writing

Precision = Literal["fp32", "bf16"]
STATE = "training.safetensors"


@dataclass(frozen=True, slots=True)
class LoopOptions:
    """How long and how fast to train.

    The rate warms up over 2 % of the steps and falls linearly to zero. ``batch`` counts the
    samples of all processes together.
    """

    steps: int
    batch: int
    learning_rate: float
    seed: int
    save_every: int = 200
    sample_every: int = 100
    precision: Precision = "fp32"


@dataclass(frozen=True, slots=True)
class Team:
    """Which of how many processes this is (torchrun); one process is a team of one."""

    rank: int = 0
    size: int = 1


@contextmanager
def joined_team(environ: Mapping[str, str]) -> Iterator[Team]:
    """Join the process group that torchrun announced in ``environ``, or be a team of one.

    gloo on the CPU; the group is left at the end.
    """
    size = int(environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Team()
        return
    dist.init_process_group("gloo")
    try:
        yield Team(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()


@dataclass(frozen=True, slots=True)
class Step:
    """What one training step may draw from: nothing but the seed and the number of the step.

    So a resumed run sees the very samples that the undisturbed one would have seen.
    """

    number: int
    options: LoopOptions
    team: Team

    def samples(self) -> list[torch.Generator]:
        """Return one generator for each sample of this process."""
        share = self.options.batch // self.team.size
        first = self.number * self.options.batch + self.team.rank * share
        return [_generator(self.options.seed, 2 * (first + n) + 1) for n in range(share)]

    def shared(self) -> torch.Generator:
        """Return the generator that all processes of the team share."""
        return _generator(self.options.seed, 2 * self.number)


class Board(Protocol):
    """Where curves and sample pictures go; TensorBoard's SummaryWriter is one."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Draw one point of a curve."""

    def add_image(self, tag: str, img_tensor: Tensor, global_step: int) -> None:
        """Show one (3, H, W) picture in [0, 1]."""


Losses = Callable[[nn.Module, Step], dict[str, Tensor]]
Sample = Callable[[nn.Module], Tensor]


@dataclass(frozen=True)
class Run:
    """Where a training run lives and who watches it."""

    folder: Path
    progress: Progress
    resume: bool = False
    team: Team = Team()
    board: Board | None = None
    sample: Sample | None = None
    at_step: Callable[[int, nn.Module], None] | None = None


def fit(module: nn.Module, losses: Losses, options: LoopOptions, run: Run, *, title: str) -> float:
    """Train ``module`` in place and return the mean loss of the last tenth of the steps.

    ``losses(module, step)`` returns weighted scalar terms; their sum is minimised with Adam.
    The state is saved every ``save_every`` steps and on Ctrl-C; ``run.resume`` goes on from
    there and ends bit for bit where the undisturbed run ends (same machine, same threads).

    Raises:
        TrainingError: the loss stopped being a finite number; the last state saved stays.
        CheckpointError: the saved state is of another run.
    """
    if options.batch % run.team.size:
        raise TrainingError(
            f"A batch of {options.batch} cannot be shared by {run.team.size} processes. "
            f"Set `batch` to a multiple of {run.team.size}."
        )
    optimizer = torch.optim.Adam(module.parameters(), lr=options.learning_rate)
    state = run.folder / STATE
    first = load_state(state, module, optimizer, options) if run.resume and state.exists() else 0
    active = _wrapped(module, run.team)
    run.progress.start(title, options.steps)
    run.progress.advance(first)
    tail: list[float] = []
    began = time.monotonic()
    try:
        with deferred_interrupt() as interrupted:
            for number in range(first, options.steps):
                if run.at_step:
                    run.at_step(number, module)
                terms = _update(active, losses, optimizer, Step(number, options, run.team))
                total = sum(terms.values())
                if not math.isfinite(total):
                    raise TrainingError(_not_finite(number, terms, state))
                if number >= options.steps * 0.9:
                    tail.append(total)
                rate = (number + 1 - first) * options.batch / (time.monotonic() - began)
                run.progress.advance(1, f"loss {total:.4f}, {rate:.1f} images/s")
                done, stop = number + 1, interrupted()
                if run.team.rank == 0:
                    _show(run, module, options, number, terms)
                    if stop or done % options.save_every == 0 or done == options.steps:
                        save_state(state, module, optimizer, done, options)
                if stop:
                    run.progress.say(f"Stopped after step {done}; go on with `--resume`.")
                    raise KeyboardInterrupt
    finally:
        run.progress.finish()
    return sum(tail) / max(1, len(tail))


def load_state(
    path: Path, module: nn.Module, optimizer: torch.optim.Adam, options: LoopOptions
) -> int:
    """Put a saved state into ``module`` and ``optimizer``; return how many steps were done.

    Raises:
        CheckpointError: the file is damaged or was saved by a run with other options.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"The training state {path} cannot be read ({error}). "
            f"Delete it, or train without `--resume`."
        ) from error
    if about.get("options") != _fingerprint(module, options):
        raise CheckpointError(
            f"The training state {path} was saved by a run with other options. "
            f"Restore the recipe, or train without `--resume`."
        )
    module.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model/")})
    for name, parameter in module.named_parameters():
        optimizer.state[parameter] = {
            key: tensors[f"adam/{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq")
        }
    return int(about["done"])


def save_state(
    path: Path, module: nn.Module, optimizer: torch.optim.Adam, done: int, options: LoopOptions
) -> None:
    """Write weights, Adam's moments and the step count beside ``path``, then rename."""
    tensors = {f"model/{k}": v.detach().contiguous() for k, v in module.state_dict().items()}
    for name, parameter in module.named_parameters():
        if parameter not in optimizer.state:  # nothing was done yet
            return
        for key, value in optimizer.state[parameter].items():
            tensors[f"adam/{key}/{name}"] = value
    about = {"done": str(done), "options": _fingerprint(module, options)}
    with writing(path), replacing_file(path) as beside:
        save_file({k: v.clone() for k, v in tensors.items()}, beside, metadata=about)


def set_rate(optimizer: torch.optim.Optimizer, number: int, options: LoopOptions) -> None:
    """Warm up over 2 % of the steps, then fall linearly to zero at the end."""
    warm = max(1, options.steps // 50)
    share = min((number + 1) / warm, (options.steps - number) / max(1, options.steps - warm))
    for group in optimizer.param_groups:
        group["lr"] = options.learning_rate * share


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """Return the context in which networks run; losses stay in float32."""
    if precision == "fp32":
        return nullcontext()
    return cast("AbstractContextManager[None]", torch.autocast(device.type, torch.bfloat16))


def fast_precision() -> Precision:
    """Return bf16 where this processor multiplies it natively, fp32 elsewhere."""
    return "bf16" if torch.cpu._is_avx512_bf16_supported() else "fp32"


def _update(
    active: nn.Module, losses: Losses, optimizer: torch.optim.Optimizer, step: Step
) -> dict[str, float]:
    set_rate(optimizer, step.number, step.options)
    optimizer.zero_grad(set_to_none=True)
    terms = losses(active, step)
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(active.parameters(), 1.0)
    optimizer.step()
    return {name: float(term.detach()) for name, term in terms.items()}


def _show(
    run: Run, module: nn.Module, options: LoopOptions, number: int, terms: dict[str, float]
) -> None:
    if run.board is None:
        return
    for name, value in terms.items():
        run.board.add_scalar(f"loss/{name}", value, number)
    if run.sample and (number % options.sample_every == 0 or number + 1 == options.steps):
        run.board.add_image("sample", run.sample(module).clamp(0, 1), number)


def _wrapped(module: nn.Module, team: Team) -> nn.Module:
    if team.size == 1:
        return module
    return nn.parallel.DistributedDataParallel(module)


def _generator(seed: int, index: int) -> torch.Generator:
    # Two odd multipliers keep neighbouring seeds and indices apart (splitmix64's constants).
    mixed = (seed * 0x9E3779B97F4A7C15 + index * 0xBF58476D1CE4E5B9 + 1) & ((1 << 63) - 1)
    return torch.Generator().manual_seed(mixed)


def _fingerprint(module: nn.Module, options: LoopOptions) -> str:
    shapes = [(name, list(value.shape)) for name, value in module.state_dict().items()]
    told = (options.steps, options.batch, options.learning_rate, options.seed, options.precision)
    return json.dumps([shapes, told])


def _not_finite(number: int, terms: dict[str, float], state: Path) -> str:
    shown = ", ".join(f"{name} {value}" for name, value in terms.items())
    kept = f"The last good state is in {state}." if state.exists() else "Nothing was saved yet."
    return (
        f"The loss stopped being finite at step {number} ({shown}). {kept} "
        f"Train again with a lower `learning_rate`."
    )
