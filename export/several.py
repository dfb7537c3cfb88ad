"""A bundle of whatever graphs a network has: encoders, samplers, frame graphs with a style."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray

from stylepress.artifact import GOLDEN, Artifact
from stylepress.errors import FrameError, VerificationError
from stylepress.export.bundle import GOLDEN_LEVELS, GOLDEN_RMS, bundle_numbers, sealed
from stylepress.export.frame_graph import STRENGTH
from stylepress.export.golden import GOLDEN_SIZES, pair_files
from stylepress.export.onnx_file import AnyGraph, onnx_model, serialized
from stylepress.export.verify import Difference, Size, fitted
from stylepress.picture import Pixels
from stylepress.ports import Graph, Port
from stylepress.progress import Progress
from stylepress.steps import ExportStep

Array = NDArray[Any]
CODE_TOLERANCE = 1e-4
"""How far a code may be off, as a share of its largest number."""
CODE_SHRINK = 8
"""A free side of a code is that of the picture divided by this."""
ORDER = ("encoder", "frame", "sampler")
"""Codes come first: the graphs after them are tried with codes of real pictures."""


class Feeder:
    """Feeds for any graph: photos, codes that an encoder made of them, noise from a seed."""

    def __init__(self, photos: Sequence[Pixels]) -> None:
        self.photos = photos
        self.codes: dict[str, Array] = {}
        self._random = np.random.default_rng(0)

    def feeds(self, graph: Graph, size: Size, number: int) -> dict[str, Array]:
        """Return an array for each input of a graph, for pictures of ``size``."""
        feeds: dict[str, Array] = {}
        for port in graph.inputs:
            if port.is_picture:
                sides = max(size[0], port.least), max(size[1], port.least)
                feeds[port.name] = fitted(self.photos[number % len(self.photos)], sides)
            elif port.name in self.codes:
                feeds[port.name] = self.codes[port.name]
            elif port.name == STRENGTH:
                feeds[port.name] = np.ones(1, np.float32)
            else:
                feeds[port.name] = self._drawn(port, size)
        return feeds

    def _drawn(self, port: Port, size: Size) -> Array:
        if port.dtype == "uint8":  # a mask, as large as the picture
            sides_px = max(size[0], port.least), max(size[1], port.least)
            return self._random.integers(0, 256, (1, *sides_px, 1), np.uint8)
        sides = iter(max(1, side // CODE_SHRINK) for side in size)
        shape = [
            one if isinstance(one, int) else 1 if one == "batch" else next(sides)
            for one in port.shape
        ]
        if port.dtype == "int64":
            low, high = int(port.low or 0), int(port.high or 0)
            return self._random.integers(low, high + 1, shape, np.int64)
        if port.low is None or port.high is None:
            return self._random.standard_normal(shape).astype(np.float32)
        return self._random.uniform(port.low, port.high, shape).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a bundle came of: what its manifest says of that, and the digest of its parent."""

    made_by: Mapping[str, Any]
    digest: str


def write_graphs(
    lineage: Lineage,
    graphs: Mapping[str, AnyGraph],
    out: Path,
    *,
    name: str,
    photos: Sequence[Pixels],
    options: ExportStep,
    progress: Progress,
) -> Artifact:
    """Export every graph of a network, hold each against PyTorch at some sizes, and seal them.

    Raises:
        ExportError: PyTorch or ONNX refuses the network.
        VerificationError: a file does not do what the network does.
        FrameError: no photos.
        OutputError: ``out`` cannot be written.
    """
    if not photos:
        raise FrameError("There are no photos to test the bundle by.", "Name a folder of photos.")
    progress.start(f"{name}: export", len(graphs))
    feeder, files = Feeder(photos), {}
    ports, off = {}, Difference()
    in_order = sorted(graphs.items(), key=lambda one: ORDER.index(one[1].ports.kind))
    models: dict[str, onnx.ModelProto] = {}
    for key, graph in in_order:
        models[key] = onnx_model(graph, opset=options.opset)
        data = serialized(models[key])
        ports[key] = graph.ports.model_copy(update={"file": f"{key}.onnx"})
        session = _session(data)
        _verify(session, graph, feeder, options, off)
        files[f"{key}.onnx"] = data
        files |= _golden(session, graph.ports, feeder, key)
        progress.advance(note=f"{key}: {off.worst} levels from torch")
    progress.finish()
    main = main_graph(graphs)
    return sealed(
        out,
        files,
        name=name,
        graphs=ports,
        made_by=lineage.made_by,
        parent=lineage.digest,
        numbers=bundle_numbers(models[main], off.agreement(), (GOLDEN_LEVELS, GOLDEN_RMS)),
    )


def main_graph(graphs: Mapping[str, AnyGraph]) -> str:
    """Return the name of the graph that stands for a bundle: the first that stylizes frames."""
    return next((k for k, one in graphs.items() if one.ports.kind == "frame"), next(iter(graphs)))


def _session(data: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _verify(
    session: onnxruntime.InferenceSession,
    graph: AnyGraph,
    feeder: Feeder,
    options: ExportStep,
    off: Difference,
) -> None:
    """Compare the file with the network at the sizes of ``options``, and keep its last code."""
    (port,) = graph.ports.outputs
    for number, size in enumerate(options.verify_sizes):
        feeds = feeder.feeds(graph.ports, size, number)
        (drawn,) = session.run([port.name], feeds)
        with torch.no_grad():
            expected = graph.eval()(
                *(torch.from_numpy(one.copy()) for one in feeds.values())
            ).numpy()
        if port.is_picture:
            off.add(drawn, expected)
            wrong = off.worst > 1
        else:
            feeder.codes[port.name] = drawn
            wrong = np.abs(drawn - expected).max() > CODE_TOLERANCE * (np.abs(expected).max() + 1)
        if drawn.shape != expected.shape or wrong:
            gap = float(np.abs(drawn.astype(np.float64) - expected).max())
            raise VerificationError(
                f"ONNX Runtime and PyTorch differ by {gap:.3g} in {port.name} of the "
                f"{graph.ports.kind} graph, at {size[0]}x{size[1]}.",
                "Export with another opset; the network may hold an operation that ONNX rounds "
                "differently.",
            )


def _golden(
    session: onnxruntime.InferenceSession, ports: Graph, feeder: Feeder, key: str
) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    fixed = not any(isinstance(size, str) for one in ports.inputs for size in one.shape[1:])
    sizes = itertools.islice(GOLDEN_SIZES, 1 if fixed else len(GOLDEN_SIZES))
    for number, (size, strength) in enumerate(sizes):
        feeds = feeder.feeds(ports, size, number)
        if STRENGTH in feeds:
            feeds[STRENGTH] = np.full(1, strength, np.float32)
        names = [port.name for port in ports.outputs]
        results = dict(zip(names, session.run(names, feeds), strict=True))
        files |= pair_files(f"{GOLDEN}/{key}/{number}", {**feeds, **results})
    return files
