"""Values of a graph's further inputs as a user names them: a number, or a picture's file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from stylepress.errors import FrameError, RecipeError
from stylepress.picture import Pixels, read_picture
from stylepress.ports import PICTURE_DIMS, Graph, Port
from stylepress.runtime.bundle import Bundle
from stylepress.runtime.feeds import Array
from stylepress.runtime.media.lanes import STRENGTH

GREY = 1


@dataclass(frozen=True, slots=True)
class PortValues:
    """Numbers by port name, and pictures (h, w, C) uint8 that are scaled to each frame."""

    numbers: Mapping[str, float] = field(default_factory=dict)
    pictures: Mapping[str, tuple[Port, Pixels]] = field(default_factory=dict)

    def feeds(self, graph: Graph, size: tuple[int, int]) -> dict[str, Array | float]:
        """Return what feeds ``graph`` beside a frame of ``size`` (height, width)."""
        names = graph.picture.shape[1:3] if graph.picture else ()
        sides = dict(zip(names, size, strict=False))
        fitted = {
            name: _fitted(
                picture, [_side(port.shape[1 + n], sides, picture.shape[n]) for n in (0, 1)]
            )
            for name, (port, picture) in self.pictures.items()
        }
        return {**self.numbers, **fitted}


def port_values(bundle: Bundle, words: Sequence[str]) -> PortValues:
    """Read ``NAME=VALUE`` words: a file for an input that takes pictures, else a number.

    A mask, an input of one channel, takes the brightness of a file; transparent parts are white.

    Raises:
        RecipeError: no such input, or a value that it cannot hold.
        FrameError: a file cannot be read.
    """
    graph = bundle.graph()
    ports = {port.name: port for port in _offered(graph)}
    numbers: dict[str, float] = {}
    pictures: dict[str, tuple[Port, Pixels]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not value or name in numbers or name in pictures:
            why = "names a port a second time" if equals and value else "is no NAME=VALUE"
            raise RecipeError(
                f"`--port {word}` {why}.", "Write for example `--port mask=mask.png`."
            )
        if name not in ports:
            raise RecipeError(
                f"{bundle.artifact.folder} has no input {name!r} that `--port` could feed.",
                f"It has {', '.join(ports)}." if ports else "It takes frames alone.",
            )
        if _pictured(ports[name]):
            pictures[name] = ports[name], _read(name, Path(value), ports[name])
        else:
            numbers[name] = _number(value, ports[name])
    return PortValues(numbers, pictures)


def _offered(graph: Graph) -> list[Port]:
    """Return the inputs that a file or one number can feed: no frame, no state, no code of a style."""
    kept = {*graph.state.values(), STRENGTH, graph.picture.name if graph.picture else ""}
    return [
        port
        for port in graph.inputs
        if port.name not in kept and (_pictured(port) or (len(port.shape) == 1 and not port.labels))
    ]


def _pictured(port: Port) -> bool:
    return port.dtype == "uint8" and len(port.shape) == PICTURE_DIMS and port.shape[3] in (GREY, 3)


def _read(name: str, path: Path, port: Port) -> Pixels:
    try:
        pixels = read_picture(path).on_white()
    except FrameError as error:
        raise FrameError(f"The picture for {name} cannot be read: {error}") from error
    if port.shape[3] == GREY:
        pixels = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    return pixels


def _number(text: str, port: Port) -> float:
    low, high = (port.low, port.high)
    bounds = f"{'any' if low is None else f'{low:g}'} to {'any' if high is None else f'{high:g}'}"
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    least, most = -math.inf if low is None else low, math.inf if high is None else high
    if not (math.isfinite(number) and least <= number <= most):
        raise RecipeError(
            f"{text!r} is no value of the input {port.name}.", f"Give a number, {bounds}."
        )
    return number


def _side(wanted: int | str, sides: Mapping[int | str, int], own: int) -> int:
    return wanted if isinstance(wanted, int) else sides.get(wanted, own)


def _fitted(picture: Pixels, size: Sequence[int]) -> Array:
    """Scale a picture (h, w, C) to (1, H, W, C)."""
    if picture.shape[:2] == tuple(size):
        return picture[None]
    image = Image.fromarray(picture[..., 0] if picture.shape[2] == GREY else picture)
    scaled = np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR))
    return np.ascontiguousarray(scaled.reshape(1, *size, picture.shape[2]))
