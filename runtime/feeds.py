"""What goes into a graph and comes out: arrays by port name, checked before native code."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stylepress.errors import FrameError
from stylepress.ports import Graph, Port

TRIAL_SIZE = (512, 512)
Array: TypeAlias = NDArray[Any]
Feeds: TypeAlias = Mapping[str, Array | float]
"""Values by input name. A number stands for an array of the port's shape that holds it throughout."""
Results: TypeAlias = dict[str, Array]
"""Arrays by output name."""
BOUNDS_CHECKED = 1 << 16
"""Arrays of more values are not searched for one out of bounds: a frame cannot be, by its dtype."""


def complete(graph: Graph, feeds: Feeds) -> dict[str, Array]:
    """Return an array for every input: what was fed, C-contiguous, and the defaults for the rest.

    Raises:
        FrameError: an input that is unknown or lacks, or an array of another dtype, rank, size or
            range than its port has.
    """
    unknown = [name for name in feeds if all(name != port.name for port in graph.inputs)]
    if unknown:
        raise FrameError(
            f"The graph has no input {unknown[0]!r}.",
            f"Feed some of {', '.join(port.name for port in graph.inputs)}.",
        )
    sizes: dict[str, int] = {}
    arrays = {
        port.name: _checked(port, feeds[port.name], sizes)
        for port in graph.inputs
        if isinstance(feeds.get(port.name), np.ndarray)
    }
    for port in graph.inputs:
        if port.name not in arrays:
            arrays[port.name] = _filled(port, feeds.get(port.name, port.default), sizes)
    return arrays


def result_shape(graph: Graph, port: Port, arrays: Mapping[str, Array]) -> tuple[int, ...] | None:
    """Return the shape an output will have, or None when no input fixes some dimension of it."""
    sizes: dict[str, int] = {}
    for source in graph.inputs:
        names = [name for name in source.shape if isinstance(name, str)]
        at = [index for index, name in enumerate(source.shape) if isinstance(name, str)]
        sizes.update(zip(names, (arrays[source.name].shape[i] for i in at), strict=True))
    shape = [size if isinstance(size, int) else sizes.get(size) for size in port.shape]
    return None if None in shape else tuple(size for size in shape if size is not None)


def places(
    graph: Graph, out: Mapping[str, Array] | None, arrays: Mapping[str, Array]
) -> dict[str, Array]:
    """Return the arrays of ``out``, which native code writes into without asking.

    Raises:
        FrameError: one is of no output, or not of its dtype and shape, C-contiguous and writable.
    """
    outputs = {port.name: port for port in graph.outputs}
    for name, array in (out or {}).items():
        if name not in outputs:
            raise FrameError(
                f"The graph has no output {name!r}.", f"Give arrays for {', '.join(outputs)}."
            )
        port, wanted = outputs[name], result_shape(graph, outputs[name], arrays)
        fits = array.shape == wanted if wanted else array.ndim == len(port.shape)
        if array.dtype != port.dtype or not fits:
            raise FrameError(
                f"The array for the output {name} is {array.dtype} {array.shape}, what comes out "
                f"is {port.dtype} {wanted or f'({_shape(port)})'}.",
                "Give an array of that kind.",
            )
        if not array.flags.c_contiguous or not array.flags.writeable:
            raise FrameError(
                f"The array for the output {name} is read-only or a view with gaps.",
                "Give a C-contiguous array of its own.",
            )
    return dict(out or {})


def carried(graph: Graph, results: Mapping[str, Array]) -> dict[str, Array]:
    """Return what the outputs of one call feed into the next: the state of the graph."""
    return {sink: results[source] for source, sink in graph.state.items()}


def check_size(port: Port, sizes: Sequence[int]) -> None:
    """Refuse pictures that are smaller than the network's margins.

    Raises:
        FrameError: a side is below the port's ``least``.
    """
    if min(sizes) < port.least:
        raise FrameError(
            f"A {port.name} is {'x'.join(map(str, reversed(sizes)))} pixels, this bundle takes "
            f"sides from {port.least}.",
            "Enlarge the picture first.",
        )


def _checked(port: Port, value: Any, sizes: dict[str, int]) -> Array:
    array: Array = value
    if array.dtype != port.dtype:
        raise FrameError(
            f"The input {port.name} is {array.dtype}, the graph takes {port.dtype}.",
            f"Convert it with `.astype('{port.dtype}')`, to values of {_range(port)}.",
        )
    if array.ndim != len(port.shape) or 0 in array.shape:
        raise FrameError(*_misfit(port, array.shape))
    for size, wanted in zip(array.shape, port.shape, strict=True):
        if size != (sizes.setdefault(wanted, size) if isinstance(wanted, str) else wanted):
            raise FrameError(*_misfit(port, array.shape, sizes))
    free = [s for s, name in zip(array.shape, port.shape, strict=True) if isinstance(name, str)]
    if len(free) > 1:
        check_size(port, free[1:])
    if array.size <= BOUNDS_CHECKED and array.dtype != np.uint8:
        _check_bounds(port, float(array.min()), float(array.max()))
    return np.ascontiguousarray(array)


def _filled(port: Port, value: Any, sizes: Mapping[str, int]) -> Array:
    if value is None:
        raise FrameError(
            f"The input {port.name} was not fed and has no default.",
            f"Feed {port.dtype} of shape ({_shape(port)}).",
        )
    if not isinstance(value, numbers.Real | np.bool_):
        raise FrameError(
            f"The input {port.name} is a {type(value).__name__}, the graph takes {port.dtype} of "
            f"shape ({_shape(port)}).",
            "Feed a numpy array, or one number for all of it.",
        )
    number = float(value)
    _check_bounds(port, number, number)
    if not _holds(port, number):
        raise FrameError(
            f"The input {port.name} is {number:g}, which {port.dtype} does not hold.",
            "Give a whole number that it does.",
        )
    shape = [size if isinstance(size, int) else sizes.get(size) for size in port.shape]
    known = tuple(size for size in shape if size is not None)
    if len(known) < len(shape):
        raise FrameError(
            f"The size of the input {port.name} ({_shape(port)}) follows from no other input.",
            "Feed an array instead of a number.",
        )
    return np.full(known, number, port.dtype)


def _holds(port: Port, number: float) -> bool:
    if np.issubdtype(port.dtype, np.floating):
        return math.isfinite(number)
    ends = (0, 1) if port.dtype == "bool" else (np.iinfo(port.dtype).min, np.iinfo(port.dtype).max)
    return ends[0] <= number <= ends[1] and number == int(number)


def _check_bounds(port: Port, least: float, most: float) -> None:
    low = -math.inf if port.low is None else port.low
    high = math.inf if port.high is None else port.high
    if not low <= least <= most <= high:  # also when one is not a number
        wrong = least if not low <= least else most
        raise FrameError(
            f"The input {port.name} holds {wrong:g}, outside {_range(port)}.",
            "Give values between them.",
        )


def _misfit(
    port: Port, shape: tuple[int, ...], sizes: Mapping[str, int] | None = None
) -> tuple[str, str]:
    text = f"The input {port.name} is {shape}, the graph takes ({_shape(port)})"
    if sizes:
        text += f", here {', '.join(f'{name} {size}' for name, size in sizes.items())}"
    mend = (
        "Drop an alpha channel, repeat a gray one, and put N = 1 in front of a single picture."
        if port.is_picture
        else "Feed an array of that shape."
    )
    return f"{text}.", mend


def _shape(port: Port) -> str:
    return ", ".join(map(str, port.shape))


def _range(port: Port) -> str:
    low = "any" if port.low is None else f"{port.low:g}"
    return f"{low}..{'any' if port.high is None else f'{port.high:g}'}"


def trial_feeds(graph: Graph, size: tuple[int, int] | None) -> dict[str, Array]:
    """Return a noisy frame of ``size`` (height, width) for a graph that takes one, to time it on."""
    port = graph.picture
    if port is None:
        return {}
    frame = np.random.default_rng(0).integers(0, 256, (1, *(size or TRIAL_SIZE), 3), np.uint8)
    return {port.name: frame}
