"""What a compiler made of a network: its kernels, their data types, its memory, from its own log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

CONVOLUTIONS = frozenset({"correlation", "deconv", "CaskConvolution", "CaskDeconvolutionV2"})
REFORMATS = re.compile(r"Reformat|Move|Tran(?=[A-Z_])")
"""Kernels that change the order of memory, by the names that the compiler builds of operations."""
MEMORY = re.compile(r"Total (Activation|Weights) Memory: (\d+) bytes")


@dataclass(frozen=True, slots=True)
class PlanLayer:
    """One kernel of the finished plan, and the data types that it reads and writes."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def reformats(self) -> bool:
        """Say whether it moves or transposes, alone or fused with arithmetic."""
        return self.kind not in CONVOLUTIONS and bool(REFORMATS.search(self.name))


def read_layers(log: Sequence[Sequence[str]]) -> tuple[PlanLayer, ...]:
    """Read the list of fused layers that the compiler tells at the end of a build.

    >>> text = "Layers:\\nName: a, LayerType: kgen, Inputs: [{ Datatype: UInt8, Format: x }], "
    >>> read_layers([["VERBOSE", text + "Outputs: [{ Datatype: Int8 }], TacticName: "]])
    (PlanLayer(name='a', kind='kgen', inputs=('UInt8',), outputs=('Int8',)),)
    """
    text = next((line for _, line in reversed(log) if line.startswith("Layers:")), "")
    layers: list[PlanLayer] = []
    for line in text.splitlines():
        head = re.match(r"Name: (.*?), LayerType: (\w+), Inputs: (.*)", line)
        if head:
            name, kind, ports = head.groups()
            inputs, _, outputs = ports.partition("Outputs: ")
            inputs, _, _ = inputs.partition("Constants: ")
            layers.append(PlanLayer(name, kind, _datatypes(inputs), _datatypes(outputs)))
    return tuple(layers)


def read_memory(log: Sequence[Sequence[str]]) -> dict[str, int]:
    """Read the bytes that a plan will need, by what for; the largest where it is told twice.

    >>> read_memory([["INFO", "Total Weights Memory: 378436 bytes"]])
    {'weights': 378436}
    """
    sizes: dict[str, int] = {}
    for _, line in log:
        if amount := MEMORY.match(line):
            name = amount[1].lower()
            sizes[name] = max(int(amount[2]), sizes.get(name, 0))
    return sizes


def _datatypes(ports: str) -> tuple[str, ...]:
    return tuple(re.findall(r"Datatype: (\w+)", ports))
