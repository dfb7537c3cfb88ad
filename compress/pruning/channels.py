"""Which channels of a network go together: torch-pruning's dependency graph, as plain data.

torch-pruning (Fang et al. 2023, arXiv 2301.12900) finds the groups and does nothing else here:
what is removed, and how it is written down, is ours, so no module of it is ever pickled.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch_pruning  # type: ignore[import-untyped]
from torch import Tensor, nn

from stylepress.train.student import Upscale
from stylepress.train.weights.narrow import width_of

Axis: TypeAlias = Literal["out", "in"]


@dataclass(frozen=True, slots=True)
class Member:
    """One axis of one layer: ``places[c]`` are its positions that go with channel c of the group."""

    layer: str
    axis: Axis
    places: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Channels that must be removed together, named by the first layer that makes them."""

    name: str
    channels: int
    members: tuple[Member, ...]

    @property
    def readers(self) -> tuple[Member, ...]:
        """The members that read the channels."""
        return tuple(member for member in self.members if member.axis == "in")


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups whose channels may be removed, and why each other layer stays as it is."""

    free: tuple[Group, ...]
    kept: dict[str, str]


def channel_groups(network: nn.Module, picture: Tensor) -> Groups:
    """Follow the channels of a network through one forward pass of ``picture`` (N, C, H, W).

    The channels of the picture that comes out stay, and so does what reaches a layer whose width
    cannot be changed (grouped convolutions, group norms, bare parameters, attention): it is said.
    """
    traced = copy.deepcopy(network).eval().requires_grad_(True)
    for layer in traced.modules():
        if isinstance(layer, Upscale):
            layer.in_two_steps = True
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        graph = torch_pruning.DependencyGraph().build_dependency(
            traced,
            example_inputs=(picture,),
            customized_pruners={},
            # So that the last layer does not take the place of the output.
            output_transform=lambda output: output + 0,
            verbose=False,
        )
        every = list(graph.get_all_groups(root_module_types=(nn.Conv2d, nn.ConvTranspose2d)))
    names = {layer: name for name, layer in traced.named_modules()}
    free, kept = [], {}
    for dependencies in every:
        root = names[dependencies[0].dep.target.module]
        obstacle = _obstacle(dependencies, names)
        if obstacle:
            kept[root] = obstacle
        else:
            free.append(_group(root, dependencies, graph, names))
    return Groups(tuple(free), kept)


def _obstacle(dependencies: Sequence[object], names: dict[nn.Module, str]) -> str:
    """Say why a group of torch-pruning's must stay, "" when it need not."""
    for item in dependencies:
        module = item.dep.target.module  # type: ignore[attr-defined]
        if isinstance(module, torch_pruning.ops._OutputOp):
            return "its channels are the picture"
        if isinstance(module, nn.Parameter):
            return "its channels meet a bare parameter"
        if module in names and width_of(module) is None and _has_weights(module):
            return f"its channels reach {names[module]} ({type(module).__name__})"
    return ""


def _has_weights(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())


def _group(
    root: str, dependencies: Sequence[object], graph: object, names: dict[nn.Module, str]
) -> Group:
    places: dict[tuple[str, Axis], list[set[int]]] = {}
    channels = len(dependencies[0].idxs)  # type: ignore[attr-defined]
    for item in dependencies:
        dependency, module = item.dep, item.dep.target.module  # type: ignore[attr-defined]
        if module not in names or width_of(module) is None:
            continue
        out = graph.is_out_channel_pruning_fn(dependency.handler)  # type: ignore[attr-defined]
        axis: Axis = "out" if out else "in"
        own = places.setdefault((names[module], axis), [set() for _ in range(channels)])
        for place, channel in zip(item.idxs, item.root_idxs, strict=True):  # type: ignore[attr-defined]
            own[int(channel)].add(int(place))
    members = [
        Member(layer, axis, tuple(tuple(sorted(at)) for at in own))
        for (layer, axis), own in places.items()
    ]
    # The search begins at the picture that comes out; a user counts from the one that goes in.
    order = list(names.values())
    makers = [root, *(layer for layer, axis in places if axis == "out")]
    kinds = {name: layer for layer, name in names.items()}
    convolutions = [name for name in makers if isinstance(kinds[name], nn.Conv2d)]
    first = min(convolutions or [root], key=order.index)
    return Group(first, channels, tuple(members))
