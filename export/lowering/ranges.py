"""What tensors of a graph hold on pictures: the ranges and sizes that a lowering asks for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import onnx

from stylepress.export.int8.calibration import watching
from stylepress.export.lowering.dla import Moments
from stylepress.export.lowering.placement import Open
from stylepress.export.lowering.rewrite import Array
from stylepress.picture import Pixels

SHARE = 99.99
"""Percent of the values of a picture that a range covers; the largest range of all pictures counts."""


def limits(
    model: onnx.ModelProto, wanted: Iterable[Open], frames: Iterable[Pixels]
) -> dict[str, float]:
    """Return the |x| up to which each tensor needs codes, seen on (1, H, W, 3) uint8 frames.

    Tensors that meet in one sum before a ReLU get one limit: cut off at opposite ends, they can
    then never add up to more than nothing where the ReLU let nothing through.
    """
    wanted = list(wanted)
    names = [name for each in wanted for name in (each.place, each.gate) if name]
    most: dict[str, float] = defaultdict(float)
    for values in _values(model, names, frames):
        for each in wanted:
            sizes = np.abs(values[each.place])
            if each.gate is not None:
                sizes = sizes[values[each.gate] > 0]
            key = each.gate or each.tensor
            if sizes.size:
                most[key] = max(most[key], float(np.percentile(sizes, SHARE)))
    limit = {each.tensor: most[each.gate or each.tensor] for each in wanted}
    return {name: value for name, value in limit.items() if value > 0}


def largest(
    model: onnx.ModelProto, tensors: Iterable[str], frames: Iterable[Pixels]
) -> dict[str, float]:
    """Return the largest |x| that each tensor holds on any frame; infinity where it overflows."""
    most: dict[str, float] = defaultdict(float)
    for values in _values(model, tensors, frames):
        for name, value in values.items():
            size = float(np.abs(value).max(initial=0))
            most[name] = max(most[name], size if np.isfinite(size) else np.inf)
    return dict(most)


def moments(
    model: onnx.ModelProto, tensors: Iterable[str], frames: Iterable[Pixels]
) -> dict[str, Moments]:
    """Return mean and variance of each channel of each tensor (N, C, H, W), over all frames.

    The variance is the mean of the variances within a frame: what InstanceNormalization divides by.
    """
    by_frame: dict[str, list[Moments]] = defaultdict(list)
    for values in _values(model, tensors, frames):
        for name, value in values.items():
            exact = value.astype(np.float64)
            by_frame[name].append(Moments(exact.mean(axis=(0, 2, 3)), exact.var(axis=(0, 2, 3))))
    return {
        name: Moments(
            np.mean([one.mean for one in each], axis=0),
            np.mean([one.variance for one in each], axis=0),
        )
        for name, each in by_frame.items()
    }


def _values(
    model: onnx.ModelProto, tensors: Iterable[str], frames: Iterable[Pixels]
) -> Iterator[Mapping[str, Array]]:
    """Run a frame graph on each frame and yield what float tensors hold, one frame at a time."""
    names: Sequence[str] = list(dict.fromkeys(tensors))
    if not names:
        return
    session = watching(model, names)
    for frame in frames:
        feed = {"frame": frame, "strength": np.ones(len(frame), np.float32)}
        yield dict(zip(names, session.run(names, feed), strict=True))
