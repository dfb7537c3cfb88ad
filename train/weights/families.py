"""The network families: how each is recognised in a source, built, and what its images are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from stylepress.errors import CheckpointError
from stylepress.ports import GraphKind, Port
from stylepress.train.student import IMAGE as STUDENT_IMAGE
from stylepress.train.student import PRESETS, FoldedStudent, StudentSize
from stylepress.train.transformer import LEAST_SIDE, TransformerNet
from stylepress.train.weights.narrow import WIDTHS, narrowed

Config = dict[str, Any]
State = Mapping[str, Tensor]
COUNTERS = re.compile(r"(^|\.)(num_batches_tracked|n_averaged)$")
"""What training counts and no picture needs, in networks whose norms keep no statistics."""


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of network: how its weights are recognised, and what its images look like.

    ``marks`` are keys that its weights always have. ``measure`` reads the config from the shapes;
    it is handed weights that have all marks, and nothing else is sure about them. ``allowed``
    names every key of a config with the values it may take, ``usual`` is the config of the
    published weights, ``build(**config)`` makes the network. ``image`` is its picture input, range
    and colour order with it. ``junk`` matches keys that are left out, ``renamed`` maps patterns of
    older layouts to today's keys, ``variant`` matches keys that only a sibling of the network has,
    and says what that is. ``graphs`` names the graphs that are exported of it.
    """

    name: str
    title: str
    marks: tuple[str, ...]
    measure: Callable[[State], Config]
    allowed: Mapping[str, range | tuple[str | int, ...]]
    usual: Mapping[str, Any]
    build: Callable[..., nn.Module]
    image: Port
    junk: re.Pattern[str] = COUNTERS
    renamed: Mapping[str, str] = field(default_factory=dict)
    variant: tuple[str, str] | None = None
    graphs: Mapping[str, GraphKind] = field(default_factory=lambda: {"frame": "frame"})

    def own(self, state: State, prefix: str) -> dict[str, Tensor]:
        """Return the weights under ``prefix`` by today's keys, without those nobody needs."""
        weights: dict[str, Tensor] = {}
        for key, tensor in state.items():
            if key.startswith(prefix):
                name = key[len(prefix) :]
                for pattern, key_today in self.renamed.items():
                    name = re.sub(pattern, key_today, name)
                if not self.junk.search(name):
                    weights[name] = tensor
        return weights

    def refuse_variant(self, state: State, source: object) -> None:
        """Say of weights that look like the family's what they are instead.

        Raises:
            CheckpointError: some key matches ``variant``.
        """
        if self.variant is None:
            return
        keys = [key for key in state if re.search(self.variant[0], key)]
        if keys:
            raise CheckpointError(
                f"{source} looks like {self.title} but {self.variant[1]} ({some(keys, 1)}).",
                "Load it into its own network in Python, and hand that to "
                "`stylepress.compress.distil`.",
            )

    def check(self, config: Mapping[str, Any], source: object) -> None:
        """Refuse a config with a key too many, a key too few, or a value out of bounds.

        The widths of a pruned network are left to ``network``, which knows its layers.

        Raises:
            CheckpointError: naming ``source``, the key, and what it may be.
        """
        if set(config) - {WIDTHS} != set(self.allowed):
            raise CheckpointError(
                f"{source} gives {some(config)} for a {self.name} network, which is described by "
                f"{some(self.allowed)}.",
                "Save it again with this version of stylepress.",
            )
        for key, values in self.allowed.items():
            seen = config[key]
            if isinstance(values, range):
                fits, bounds = type(seen) is int, f"{values[0]} to {values[-1]}"
            else:
                fits, bounds = isinstance(seen, str | int), " or ".join(map(str, values))
            if not fits or seen not in values:
                raise CheckpointError(
                    f"{source} says {key} {str(seen)[:40]!r} for a {self.name} network, which "
                    f"may be {bounds}.",
                    "Train a network inside these bounds.",
                )

    def network(self, config: Mapping[str, Any], state: State, source: object) -> nn.Module:
        """Build the network on the CPU and give it ``state``, which must fit key for key.

        A config may hold the ``widths`` of layers that were pruned.

        Raises:
            CheckpointError: a key too many or too few, or a tensor of another shape.
        """
        self.check(config, source)
        widths = config.get(WIDTHS, {})
        with torch.device("meta"):
            expected = narrowed(self.full(config), widths, source).state_dict()
        self._fit(state, expected, source)
        with torch.random.fork_rng(devices=[]):
            module = narrowed(self.full(config), widths, source)
        module.load_state_dict(dict(state))
        return module

    def full(self, config: Mapping[str, Any]) -> nn.Module:
        """Build the network of a config as wide as its family makes it, with fresh weights."""
        return self.build(**{key: value for key, value in config.items() if key != WIDTHS})

    def _fit(self, state: State, expected: State, source: object) -> None:
        lacking = [key for key in expected if key not in state]
        beyond = [key for key in state if key not in expected]
        if lacking or beyond:
            faults = [f"lacks {some(lacking)}"] if lacking else []
            faults += [f"has {some(beyond)} beyond it"] if beyond else []
            raise CheckpointError(
                f"{source} looks like {self.title} but {' and '.join(faults)}.",
                "Save the whole state_dict of that network, and nothing else, into the file.",
            )
        for key, tensor in expected.items():
            seen, wanted = tuple(state[key].shape), tuple(tensor.shape)
            if seen != wanted:
                raise CheckpointError(
                    f"{source} looks like {self.title} but layer {key} has shape {seen} where "
                    f"{wanted} is expected.",
                    "Load the file into the network it was saved from, "
                    "and save that network's state_dict.",
                )
            if state[key].is_floating_point() != tensor.is_floating_point():
                raise CheckpointError(
                    f"{source} holds {state[key].dtype} numbers in layer {key} where "
                    f"{tensor.dtype} is expected.",
                    "Save the weights as float32.",
                )


def _measure_transformer(state: State) -> Config:
    blocks = 0
    while f"res{blocks + 1}.conv1.conv2d.weight" in state:
        blocks += 1
    return {"width": int(state["conv1.conv2d.weight"].shape[:1].numel()), "blocks": blocks}


TRANSFORMER = Family(
    name="transformer",
    title="fast style transfer of pytorch/examples",
    marks=("conv1.conv2d.weight", "deconv3.conv2d.weight"),
    measure=_measure_transformer,
    allowed={"width": range(1, 1025), "blocks": range(65)},
    usual={"width": 32, "blocks": 5},
    build=TransformerNet,
    image=Port(
        name="image",
        shape=("batch", 3, "height", "width"),
        dtype="float32",
        low=0.0,
        high=255.0,
        least=LEAST_SIDE,
    ),
    # InstanceNorm kept statistics before PyTorch 0.4, and nobody used them.
    junk=re.compile(r"(^|\.)(n_averaged|in\d+\.running_(mean|var))$"),
    # The layout of 2017, before nn.InstanceNorm2d had learnt scales.
    renamed={r"(^|\.)(in\d+)\.scale$": r"\1\2.weight", r"(^|\.)(in\d+)\.shift$": r"\1\2.bias"},
    variant=(
        r"(^|\.)in\d+\.num_batches_tracked$",
        "normalises by statistics of its training (BatchNorm), not by those of each picture",
    ),
)


def _measure_student(state: State) -> Config:
    def count(place: str, first: int = 0) -> int:
        number = first
        while f"{place}.{number}.0.weight" in state:
            number += 1
        return number - first

    def width(key: str) -> int:
        return int(state[key].shape[:1].numel()) if key in state else 0

    four = "stem.2.weight" in state
    size = StudentSize(
        width=max(1, width("stem.2.weight") if four else width("stem.0.weight")),
        blocks=count("trunk.before") + count("trunk.after"),
        half=max(1, width("stem.0.weight")),
        stride=4 if four else 2,
        deep_width=width("trunk.deep.0.weight"),
        deep_blocks=max(0, count("trunk.deep", 2) - 1),
    )
    return asdict(size)


def _student(**config: Any) -> FoldedStudent:
    return FoldedStudent(StudentSize(**config))


STUDENT = Family(
    name="student",
    title="a student of stylepress, folded",
    marks=("stem.0.weight", "decoder.0.weight"),
    measure=_measure_student,
    allowed={
        "width": range(1, 1025),
        "blocks": range(65),
        "half": range(1, 1025),
        "stride": (2, 4),
        "deep_width": range(1025),
        "deep_blocks": range(65),
    },
    usual=asdict(PRESETS["base"]),
    build=_student,
    image=STUDENT_IMAGE,
)

FAMILIES: Mapping[str, Family] = {family.name: family for family in (TRANSFORMER, STUDENT)}
"""Every family that ``load_network`` recognises."""


def recognise(
    state: State, source: object, families: Mapping[str, Family] = FAMILIES
) -> tuple[Family, Config, dict[str, Tensor]]:
    """Tell the family and the config of some weights from their keys and shapes alone.

    Weights kept under one more prefix (``generator.``, ``net.``, beside a discriminator or a loss
    network) are found too. Returns the family, its config, and its own weights.

    Raises:
        CheckpointError: no family, naming the keys seen, the families known and the nearest one.
    """
    for family in families.values():
        first = family.marks[0]
        prefixes = {key[: -len(first)] for key in state if f".{key}".endswith(f".{first}")}
        whole = {
            prefix for prefix in prefixes if all(prefix + mark in state for mark in family.marks)
        }
        if len(whole) > 1:
            raise CheckpointError(
                f"{source} holds {len(whole)} networks of the family {family.name}, under "
                f"{some(sorted(whole))}.",
                "Save the one that is wanted into a file of its own.",
            )
        for prefix in whole:
            own = family.own(state, prefix)
            family.refuse_variant(own, source)
            config = family.measure(own)
            family.check(config, source)
            return family, config, own
    raise CheckpointError(*_unknown(state, source, families))


def _unknown(state: State, source: object, families: Mapping[str, Family]) -> tuple[str, str]:
    layouts = {}
    for family in families.values():
        with torch.device("meta"):
            layouts[family.name] = family.build(**family.usual).state_dict().keys()
    shares = {
        name: len(state.keys() & keys) / len(keys | state.keys()) for name, keys in layouts.items()
    }
    nearest = max(shares, key=lambda name: shares[name])
    known = ", ".join(f"{family.name} ({family.title})" for family in families.values())
    lacking = [key for key in layouts[nearest] if key not in state]
    beyond = [key for key in state if key not in layouts[nearest]]
    return (
        (
            f"{source} holds the weights of no known family: its keys are {some(state)}; known are "
            f"{known}; the nearest, {nearest}, has {some(lacking)} that are not there, and knows "
            f"nothing of {some(beyond)}."
        ),
        "Convert the weights to a known layout, or train a style with `stylepress train`.",
    )


def some(names: Iterable[object], most: int = 4) -> str:
    """List a few names, made safe to show, and how many there are.

    >>> some(["a", "b"]), some("abcdef", most=2)
    ('a, b', 'a, b, ... (6 in all)')
    """
    every = [str(name) for name in names]
    shown = [(name if name.isprintable() else ascii(name))[:80] for name in every[:most]]
    more = f", ... ({len(every)} in all)" if len(every) > most else ""
    return (", ".join(shown) + more) or "nothing"
