"""Where networks compute and in which precision: resolved once, the same code on CPU and GPU."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from stylepress.errors import RecipeError
from stylepress.train.trainer.team import Team

Precision = Literal["fp32", "bf16", "fp16"]
CPU = torch.device("cpu")
FIRST_SCALE = 2.0**6


@dataclass(frozen=True, slots=True)
class Device:
    """A place for tensors, the precision that networks run in, and the layout of pictures there."""

    place: torch.device = CPU
    precision: Precision = "fp32"

    @property
    def cuda(self) -> bool:
        """Whether it is an NVIDIA GPU, which works while the program goes on."""
        return self.place.type == "cuda"

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context in which networks run; losses stay in float32."""
        if self.precision == "fp32":
            return nullcontext()
        kind = torch.bfloat16 if self.precision == "bf16" else torch.float16
        return cast("AbstractContextManager[None]", torch.autocast(self.place.type, kind))

    def hold(self, module: nn.Module, *, channels_last: bool = False) -> None:
        """Move ``module`` here, its kernels in the layout that convolutions are fastest in.

        Tensor cores want channels last. On a CPU it depends on the network, so its owner says:
        measured there (AVX-512, float32 and bfloat16, forward and backward), a student took 0.88
        of the time so, a TransformerNet 1.05 to 1.11.
        """
        module.to(self.place)
        if self.cuda or channels_last:
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def receive(self, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Bring a batch here; from pinned memory the copy runs beside the computation."""
        return tuple(tensor.to(self.place, non_blocking=True) for tensor in tensors)

    def scaler(self) -> torch.amp.GradScaler:
        """Return what keeps float16 gradients from vanishing; it does nothing elsewhere.

        It begins at 64 and doubles every 2000 steps: from PyTorch's 65 536 the first steps of a
        teacher overflow, by VGG's Gram matrices, and are left out (from 1024 two of them).
        """
        on = self.precision == "fp16"
        return torch.amp.GradScaler(self.place.type, init_scale=FIRST_SCALE, enabled=on)

    def __str__(self) -> str:
        name = torch.cuda.get_device_name(self.place) if self.cuda else "cpu"
        return f"{name}, {self.precision}"


def resolve_device(
    wanted: str = "auto",
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    team: Team | None = None,
) -> Device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` into a device; each process has a GPU alone.

    Precision ``auto`` is bf16 where the device multiplies it natively, else fp16 on a GPU and
    fp32 on a CPU.

    Raises:
        RecipeError: no such device on this machine, or float16 on a CPU.
    """
    place = _place(wanted, team or Team())
    if place.type == "cpu":
        if precision == "fp16":
            raise RecipeError(
                "Precision fp16 was asked for on a CPU, which has no fast float16.",
                "Use `precision: bf16` or `fp32`, or `--device cuda`.",
            )
        fast: Precision = "bf16" if torch.cpu._is_avx512_bf16_supported() else "fp32"
        return Device(place, fast if precision == "auto" else precision)
    torch.cuda.set_device(place)
    torch.backends.cudnn.benchmark = True  # crops are all of one size
    fast = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return Device(place, fast if precision == "auto" else precision)


def _place(wanted: str, team: Team) -> torch.device:
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    kind, _, number = wanted.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and (kind != "cuda" or not number.isdigit())):
        raise RecipeError(
            f"{wanted!r} is no device to train on.", "Use auto, cpu, cuda or cuda:N, e.g. cuda:0."
        )
    if kind == "cpu" or (kind == "auto" and not cards):
        return CPU
    if not cards:
        raise RecipeError(
            f"Device {wanted} was asked for, and torch {torch.__version__} sees no NVIDIA GPU.",
            "Use `--device cpu`, or install the driver and a CUDA build of torch.",
        )
    if number and team.local_size > 1:
        raise RecipeError(
            f"Device {wanted} was asked for by {team.local_size} processes of one machine.",
            "Use `--device cuda`, and each takes a card of its own.",
        )
    index = int(number) if number else team.local_rank
    if index >= cards:
        raise RecipeError(
            f"GPU {index} was asked for, and this machine has {cards}.",
            f"Name a number below {cards}, or start at most {cards} processes a machine.",
        )
    return torch.device("cuda", index)
