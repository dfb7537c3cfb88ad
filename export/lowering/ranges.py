"""The ranges that an engine asks for and a bundle does not hold, measured on pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]

from stylepress.export.lowering.placement import Open
from stylepress.export.verify import Pixels

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
    if not wanted:
        return {}
    names = list(dict.fromkeys(n for one in wanted for n in (one.place, one.gate) if n))
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    known = {port.name for port in watched.graph.output}
    watched.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in names
        if name not in known
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    found: dict[str, float] = defaultdict(float)
    for frame in frames:
        feed = {"frame": frame, "strength": np.ones(len(frame), np.float32)}
        values = dict(zip(names, session.run(names, feed), strict=True))
        for one in wanted:
            sizes = np.abs(values[one.place])
            if one.gate is not None:
                sizes = sizes[values[one.gate] > 0]
            key = one.gate or one.tensor
            if sizes.size:
                found[key] = max(found[key], float(np.percentile(sizes, SHARE)))
    seen = {one.tensor: found[one.gate or one.tensor] for one in wanted}
    return {name: limit for name, limit in seen.items() if limit > 0}
