"""A network family as data: how its weights are recognised, built, and what is exported of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from stylepress.errors import CheckpointError
from stylepress.ports import GraphKind, Port
from stylepress.train.weights.narrow import WIDTHS, narrowed

Config = dict[str, Any]
State = Mapping[str, Tensor]
COUNTERS = re.compile(r"(^|\.)(num_batches_tracked|n_averaged)$")
"""What training counts and no picture needs."""


@dataclass(frozen=True, slots=True)
class NetworkGraph:
    """One graph that is exported of a network.

    ``entry`` names the module's method that computes it, on floats. Of a ``frame`` graph it maps
    (N, 3, H, W) in the family's range, and ``inputs`` in their order, to a picture at least as
    large; of an ``encoder`` a picture to ``outputs``; of a ``sampler`` ``inputs`` to a picture.
    """

    kind: GraphKind
    entry: str = "forward"
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()


Graphs = Mapping[str, NetworkGraph]
Allowed = range | tuple[str | int, ...] | re.Pattern[str]
"""The values that a number, a word, or a text of a config may take."""


def one_frame_graph(_config: Mapping[str, Any]) -> Graphs:
    """Return the graphs of a network that maps a picture to a picture, and nothing else."""
    return {"frame": NetworkGraph("frame")}


def picture(low: float, high: float, *, order: str = "rgb", least: int = 1) -> Port:
    """Return the port of pictures whose black is ``low`` and whose white is ``high``."""
    return Port.model_validate(
        {
            "name": "image",
            "shape": ("batch", 3, "height", "width"),
            "dtype": "float32",
            "low": low,
            "high": high,
            "least": least,
            "order": order,
        }
    )


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of network: how its weights are recognised, and what its images look like.

    ``marks`` are keys that its weights always have. ``measure`` reads the config from the shapes;
    it is handed weights that have all marks, and nothing else is sure about them. ``allowed``
    names every key of a config with the values it may take, ``usual`` is the config of the
    published weights, ``build(**config)`` makes the network. ``image`` is the port of its
    pictures, range and colour order with it: of its input, or of what comes out where it draws
    from noise. ``junk`` matches keys that are left out, ``renamed`` maps patterns of other layouts
    to today's keys, ``tidied`` does what patterns cannot, ``variant`` matches keys that only a
    sibling of the network has, and says what that is. ``remark`` is said when weights of a config
    are loaded, ``needs`` where shapes alone do not tell the config. ``graphs`` tells what is exported of a config.
    """

    name: str
    title: str
    marks: tuple[str, ...]
    measure: Callable[[State], Config]
    allowed: Mapping[str, Allowed]
    usual: Mapping[str, Any]
    build: Callable[..., nn.Module]
    image: Port
    junk: re.Pattern[str] = COUNTERS
    renamed: Mapping[str, str] = field(default_factory=dict)
    tidied: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict
    variant: tuple[str, str] | None = None
    remark: Callable[[Mapping[str, Any]], str] = lambda _config: ""
    needs: str = ""
    graphs: Callable[[Mapping[str, Any]], Graphs] = one_frame_graph

    def today(self, state: State) -> dict[str, Tensor]:
        """Return weights by today's keys, whatever stands before them."""
        weights = {}
        for key, tensor in state.items():
            name = key
            for pattern, key_today in self.renamed.items():
                name = re.sub(pattern, key_today, name)
            weights[name] = tensor
        return weights

    def own(self, state: State, prefix: str) -> dict[str, Tensor]:
        """Return the weights under ``prefix``, which ``today`` named, without those nobody needs."""
        names = {key: key[len(prefix) :] for key in state if key.startswith(prefix)}
        return self.tidied(
            {name: state[key] for key, name in names.items() if not self.junk.search(name)}
        )

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
                fits = type(seen) is int and seen in values
                bounds = f"{values[0]} to {values[-1]}"
            elif isinstance(values, re.Pattern):
                fits = isinstance(seen, str) and values.fullmatch(seen) is not None
                bounds = f"a text like {self.usual[key]!r}"
            else:
                fits = isinstance(seen, str | int) and seen in values
                bounds = " or ".join(map(str, values))
            if not fits:
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
        try:
            with torch.device("meta"):
                expected = narrowed(self.full(config), widths, source).state_dict()
        except (ValueError, RuntimeError, TypeError) as error:
            raise CheckpointError(
                f"{source} describes no {self.name} network ({some([error], 1)}).",
                "Name the config that it was saved with.",
            ) from error
        counters = {key for key in expected if COUNTERS.search(key) and key not in state}
        state = {**state, **{key: torch.zeros(expected[key].shape).long() for key in counters}}
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


def some(names: Iterable[object], most: int = 4) -> str:
    """List a few names, made safe to show, and how many there are.

    >>> some(["a", "b"]), some("abcdef", most=2)
    ('a, b', 'a, b, ... (6 in all)')
    """
    every = [str(name) for name in names]
    shown = [(name if name.isprintable() else ascii(name))[:80] for name in every[:most]]
    more = f", ... ({len(every)} in all)" if len(every) > most else ""
    return (", ".join(shown) + more) or "nothing"
