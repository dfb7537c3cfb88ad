"""The saved state of a training: weights, optimizers of any kind, and whose state it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from stylepress.errors import CheckpointError
from stylepress.replace import replacing_file, writing
from stylepress.train.trainer.part import Part

STATE = "training.safetensors"
FORMAT = "2"
SHORT = 60
"""Letters of a value that an error shows whole."""


@dataclass
class Reached:
    """How far a training came: steps done, and the sums of each loss term over its tail."""

    done: int = 0
    tail_steps: int = 0
    tail_sums: dict[str, float] = field(default_factory=dict)

    def add(self, terms: Mapping[str, float]) -> None:
        """Count the loss terms of one step of the tail."""
        self.tail_steps += 1
        for name, value in terms.items():
            self.tail_sums[name] = self.tail_sums.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        """Return the mean of each term over the tail."""
        return {name: total / max(1, self.tail_steps) for name, total in self.tail_sums.items()}


def save_state(
    path: Path,
    parts: Sequence[Part],
    scaler: torch.amp.GradScaler,
    reached: Reached,
    identity: Mapping[str, Any],
) -> None:
    """Write everything that a training needs to go on, beside ``path``, then rename.

    Optimizers are taken by their own ``state_dict``: tensors by their place in it, the rest as
    JSON.

    Raises:
        OutputError: the folder cannot be written to, or the disk is full; the last state stays.
    """
    tensors: dict[str, Tensor] = {}
    trees: dict[str, Any] = {}
    for part in parts:
        for role, module in (("module", part.module), ("average", part.average)):
            for key, value in module.state_dict().items() if module is not None else ():
                tensors[f"{part.name}/{role}/{key}"] = value
        if part.optimizer is not None:
            tree = _packed(part.optimizer.state_dict(), f"{part.name}/optimizer", tensors)
            trees[part.name] = {"kind": type(part.optimizer).__name__, "state": tree}
    about = {
        "format": FORMAT,
        "done": str(reached.done),
        "tail": json.dumps([reached.tail_steps, reached.tail_sums]),
        "identity": json.dumps(identity, sort_keys=True),
        "optimizers": json.dumps(trees),
        "scaler": json.dumps(scaler.state_dict()),
    }
    held = {key: value.detach().to("cpu", copy=True).contiguous() for key, value in tensors.items()}
    with writing(path), replacing_file(path) as beside:
        save_file(held, beside, metadata=about)


def load_state(
    path: Path,
    parts: Sequence[Part],
    scaler: torch.amp.GradScaler,
    identity: Mapping[str, Any],
) -> Reached:
    """Put a saved state into ``parts`` and ``scaler``; return how far it had come.

    Raises:
        CheckpointError: the file is damaged, of another version, or of a step that differs; what
            differs is named.
    """
    tensors, about = _read(path)
    try:
        saved = json.loads(about["identity"])
        trees = json.loads(about["optimizers"])
        tail_steps, tail_sums = json.loads(about["tail"])
        reached = Reached(int(about["done"]), tail_steps, tail_sums)
        scaler_state = json.loads(about["scaler"])
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"The training state {path} was not saved by this version of stylepress.",
            "Train without `--resume`.",
        ) from error
    if changes := differences(saved, json.loads(json.dumps(identity))):
        raise CheckpointError(
            f"The training state {path} is of another training: {'; '.join(changes)}.",
            "Undo that, or train anew without `--resume`.",
        )
    for part in parts:
        _restore(part, tensors, trees, path)
    if scaler.is_enabled() and scaler_state:
        scaler.load_state_dict(scaler_state)
    return reached


def differences(saved: Mapping[str, Any], now: Mapping[str, Any], within: str = "") -> list[str]:
    """Name each value that differs, dotted, with both values when they are short.

    >>> differences({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}})
    ['b.c was 2 and is 3']
    """
    changes: list[str] = []
    for key in dict.fromkeys([*saved, *now]):
        name = f"{within}{key}"
        old, new = saved.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            changes += differences(old, new, f"{name}.")
        elif old != new:
            shown = json.dumps(old), json.dumps(new)
            brief = max(map(len, shown)) <= SHORT
            changes.append(
                f"{name} was {shown[0]} and is {shown[1]}" if brief else f"{name} changed"
            )
    return changes


def finite(parts: Sequence[Part]) -> bool:
    """Say whether weights and optimizers hold finite numbers only, asking each device once."""
    tensors: dict[str, Tensor] = {}
    for part in parts:
        tensors |= {f"{part.name}/module/{k}": v for k, v in part.module.state_dict().items()}
        if part.optimizer is not None:
            _packed(part.optimizer.state_dict(), f"{part.name}/optimizer", tensors)
    checks: dict[torch.device, list[Tensor]] = {}
    for value in tensors.values():
        if value.is_floating_point():
            checks.setdefault(value.device, []).append(torch.isfinite(value).all())
    return all(bool(torch.stack(flags).all()) for flags in checks.values())


def what_is_left(state: Path) -> str:
    """Say what is left of a training that failed."""
    return f"The last good state is in {state}." if state.exists() else "Nothing was saved yet."


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            about: dict[str, str] = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"The training state {path} cannot be read ({error}).",
            "Delete it, or train without `--resume`.",
        ) from error
    return tensors, about


def _restore(
    part: Part, tensors: Mapping[str, Tensor], trees: Mapping[str, Any], path: Path
) -> None:
    for role, module in (("module", part.module), ("average", part.average)):
        if module is None:
            continue
        prefix = f"{part.name}/{role}/"
        state = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
        shapes = {key: list(value.shape) for key, value in state.items()}
        own = {key: list(value.shape) for key, value in module.state_dict().items()}
        if changes := differences(shapes, own):
            raise CheckpointError(
                f"The training state {path} does not fit the network {part.name!r}: "
                f"{'; '.join(changes[:3])}.",
                "Train anew without `--resume`.",
            )
        module.load_state_dict(state)
    if part.optimizer is not None:
        try:
            kinds = trees[part.name]["kind"], type(part.optimizer).__name__
            if kinds[0] != kinds[1]:
                raise ValueError(f"{kinds[0]}, now {kinds[1]}")
            part.optimizer.load_state_dict(_unpacked(trees[part.name]["state"], tensors))
        except (KeyError, ValueError) as error:
            raise CheckpointError(
                f"The training state {path} does not fit the optimizer of {part.name!r} ({error}).",
                "Train anew without `--resume`.",
            ) from error


def _packed(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    """Turn nested containers into JSON; tensors go into ``tensors`` under their place."""
    if isinstance(value, Tensor):
        tensors[place] = value
        return {"tensor": place}
    if isinstance(value, Mapping):
        pairs = [[key, _packed(inner, f"{place}/{key}", tensors)] for key, inner in value.items()]
        return {"pairs": pairs}
    if isinstance(value, list | tuple):
        items = [_packed(inner, f"{place}/{index}", tensors) for index, inner in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    return value


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Undo ``_packed``."""
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "pairs":
        return {key: _unpacked(item, tensors) for key, item in inner}
    items = [_unpacked(item, tensors) for item in inner]
    return tuple(items) if kind == "tuple" else items
