"""What was cut out of a network, as plain numbers: it can be done again to another one."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stylepress.compress.pruning.channels import Group
from stylepress.errors import CheckpointError
from stylepress.train.weights.narrow import SIZES, width_of

PLAN = "pruning.json"
FORMAT = 1
LIMIT_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Cut:
    """The positions that stay of one layer: of what it makes, and of what it reads (None: all)."""

    out: tuple[int, ...] | None = None
    into: tuple[int, ...] | None = None


Plan = Mapping[str, Cut]
"""By the layer's name; of a network as it was before anything was cut."""


def plan_of(groups: Sequence[Group], kept: Mapping[str, NDArray[np.int64]]) -> dict[str, Cut]:
    """Return the plan that leaves of each group the channels ``kept``."""
    plan: dict[str, Cut] = {}
    for group in groups:
        channels = kept[group.name].tolist()
        if len(channels) == group.channels:
            continue
        for member in group.members:
            places = tuple(sorted(p for channel in channels for p in member.places[channel]))
            before = plan.get(member.layer, Cut())
            plan[member.layer] = (
                Cut(places, before.into) if member.axis == "out" else Cut(before.out, places)
            )
    return plan


def followed(first: Plan, second: Plan) -> dict[str, Cut]:
    """Return the plan that does both, the second on what the first left."""

    def through(
        outer: tuple[int, ...] | None, inner: tuple[int, ...] | None
    ) -> tuple[int, ...] | None:
        if outer is None or inner is None:
            return outer if inner is None else inner
        return tuple(outer[place] for place in inner)

    nothing = Cut()
    return {
        name: Cut(
            through(first.get(name, nothing).out, second.get(name, nothing).out),
            through(first.get(name, nothing).into, second.get(name, nothing).into),
        )
        for name in dict.fromkeys((*first, *second))
    }


@torch.no_grad()
def cut(network: nn.Module, plan: Plan) -> nn.Module:
    """Take out of the layers of a network, in place, what the plan does not keep.

    Raises:
        CheckpointError: the plan is of another network.
    """
    layers = dict(network.named_modules())
    for name, part in plan.items():
        layer = layers.get(name)
        width = width_of(layer) if layer is not None else None
        if layer is None or width is None:
            raise _other(f"cuts {name!r}, which is no layer of this network that can be cut")
        _cut(layer, name, part, width)
    return network


def _cut(layer: nn.Module, name: str, part: Cut, width: list[int]) -> None:
    transposed = isinstance(layer, nn.ConvTranspose2d)
    axes = {"out": 1 if transposed else 0, "into": 0 if transposed else 1}
    tensors: list[tuple[str, int, tuple[int, ...]]] = []
    if part.out is not None:
        tensors += [("weight", axes["out"], part.out)]
        tensors += [(key, 0, part.out) for key in ("bias", "running_mean", "running_var")]
    if part.into is not None:
        tensors.append(("weight", axes["into"], part.into))
    for key, axis, places in tensors:
        if axis >= len(width) or max(places) >= width[axis]:
            raise _other(f"keeps channel {max(places)} of {name}, whose width is {width}")
        values: Any = getattr(layer, key, None)
        if isinstance(values, Tensor):
            less = values.index_select(axis, torch.tensor(places, device=values.device))
            fresh = nn.Parameter(less, values.requires_grad)
            setattr(layer, key, fresh if isinstance(values, nn.Parameter) else less)
    for at, size in enumerate(SIZES[type(layer)]):
        own = part.out if at == axes["out"] else part.into
        if own is not None:
            setattr(layer, size, len(own))


def plan_text(plan: Plan, family: str) -> str:
    """Return a plan as JSON."""
    layers = {name: {"out": part.out, "in": part.into} for name, part in plan.items()}
    values = {"format": FORMAT, "family": family, "layers": layers}
    return json.dumps(values, sort_keys=True) + "\n"


def read_plan(path: Path, family: str) -> dict[str, Cut]:
    """Read a plan that `plan_text` wrote, of a network of ``family``.

    Raises:
        CheckpointError: too large, damaged, or of another family.
    """
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise ValueError(f"larger than {LIMIT_BYTES >> 20} MiB")
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']!r}")
        plan = {
            name: Cut(_places(part["out"]), _places(part["in"]))
            for name, part in values["layers"].items()
        }
        meant = values["family"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is no pruning plan ({type(error).__name__}: {error}).",
            f"Name the {PLAN} that a `prune` step wrote.",
        ) from error
    if meant != family:
        raise CheckpointError(
            f"{path} prunes a {str(meant)[:40]} network, and this is a {family} network.",
            "Prune it by a plan of its own family, or leave `plan` away.",
        )
    return plan


def _places(values: Any) -> tuple[int, ...] | None:
    if values is None:
        return None
    places = tuple(values)
    if not places or any(type(place) is not int or place < 0 for place in places):
        raise ValueError("positions that are no positive integers")
    if any(place >= after for place, after in itertools.pairwise(places)):
        raise ValueError("positions that do not ascend")
    return places


def _other(fault: str) -> CheckpointError:
    return CheckpointError(
        f"The pruning plan {fault}.", "Take the plan of a network of the same family and size."
    )
