"""What a graph takes and gives, as data: kinds of graphs, typed ports, state between calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator
from typing_extensions import Self

from stylepress.section import Section

GraphKind = Literal["network", "frame", "sampler", "encoder"]
"""``network``: a checkpoint's module, floats in its own range. ``frame``: pictures to pictures.
``sampler``: noise to pictures. ``encoder``: a picture to a code that another graph takes."""
DType = Literal["uint8", "int8", "int32", "int64", "float16", "float32", "bool"]
ColourOrder = Literal["rgb", "bgr"]
Dimension = Annotated[int, Field(ge=1)] | Annotated[str, Field(min_length=1)]
PICTURE_DIMS = 4
PLACED = ("instead_of", "engines")


class Port(Section):
    """Name, shape and meaning of one input or output of a graph.

    A string in ``shape`` is a free dimension, e.g. ``("batch", "height", "width", 3)``; equal
    names are equal sizes. ``low`` and ``high`` bound the values: ``0, 255`` for a uint8 frame;
    None leaves that end open. ``default`` is what a runtime feeds when nobody says otherwise; None
    for an input that must be fed. ``least`` is the smallest size of the free dimensions but the
    first. ``order`` is the colour order of a picture. ``labels`` name what the numbers of the last
    dimension weigh, e.g. the styles of a library.
    """

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]{0,63}$")
    shape: tuple[Dimension, ...]
    dtype: DType
    low: float | None = None
    high: float | None = None
    default: float | None = None
    least: int = Field(default=1, ge=1)
    order: ColourOrder = "rgb"
    meaning: str = ""
    labels: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _bounds_hold(self) -> Self:
        low = float("-inf") if self.low is None else self.low
        high = float("inf") if self.high is None else self.high
        if not low < high:
            raise ValueError(f"the port {self.name} is bound from {self.low} to {self.high}")
        if self.default is not None and not low <= self.default <= high:
            raise ValueError(
                f"the default {self.default} of the port {self.name} is outside {low:g}..{high:g}"
            )
        return self

    @model_serializer(mode="wrap")
    def _short(self, usual: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out that nothing is labelled: manifests of before labels keep their digests."""
        values: dict[str, Any] = usual(self)
        return values if self.labels else {k: values[k] for k in values if k != "labels"}

    @property
    def is_picture(self) -> bool:
        """Say whether it holds pictures: (N, H, W, 3) uint8."""
        return self.dtype == "uint8" and len(self.shape) == PICTURE_DIMS and self.shape[3] == 3


class Graph(Section):
    """One graph of an artifact: the file that holds it, its ports, and what it remembers.

    ``state`` maps an output to the input of the next call that it feeds; a first call is fed the
    default of that input. ``instead_of`` names a graph that does the same; ``engines`` are those
    that should take this one for it.
    """

    kind: GraphKind
    file: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    state: Mapping[str, str] = Field(default_factory=dict)
    instead_of: str | None = None
    engines: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        for ports in (self.inputs, self.outputs):
            names = [port.name for port in ports]
            if len(set(names)) < len(names):
                raise ValueError(f"two ports of one name among {', '.join(names)}")
        inputs = {port.name: port for port in self.inputs}
        outputs = {port.name: port for port in self.outputs}
        for source, sink in self.state.items():
            if source not in outputs or sink not in inputs:
                raise ValueError(f"the state {source} -> {sink} names a port that is not there")
            same = [(port.dtype, port.shape) for port in (outputs[source], inputs[sink])]
            if same[0] != same[1] or inputs[sink].default is None:
                raise ValueError(
                    f"the state {source} -> {sink} needs one dtype, one shape, and a default for "
                    f"its first call"
                )
        return self

    @model_serializer(mode="wrap")
    def _short(self, usual: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out that it stands instead of no other graph: most manifests say nothing of it."""
        values: dict[str, Any] = usual(self)
        return values if self.instead_of else {k: values[k] for k in values if k not in PLACED}

    def input(self, name: str) -> Port:
        """Return the input of that name.

        Raises:
            KeyError: there is none.
        """
        return next((port for port in self.inputs if port.name == name), None) or _absent(name)

    @property
    def picture(self) -> Port | None:
        """The input that takes the picture to work on: the first that holds pictures."""
        return next((port for port in self.inputs if port.is_picture), None)

    @property
    def picture_out(self) -> Port | None:
        """The output that holds the picture that comes out."""
        return next((port for port in self.outputs if port.is_picture), None)

    @property
    def controls(self) -> tuple[Port, ...]:
        """The inputs that may be left out: those with a default that no state feeds."""
        fed = set(self.state.values())
        return tuple(p for p in self.inputs if p.default is not None and p.name not in fed)


def _absent(name: str) -> Port:
    raise KeyError(name)
