"""The roof: how fast this machine multiplies and moves memory in our backends, and our share of it.

Peaks are taken with the very settings that engines get, of small frame graphs that do one thing, so
what an engine misses of its roof is its own layers, shapes and copies, not the machine's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from stylepress import __version__
from stylepress.artifact import Artifact
from stylepress.benchmarks.evidence.row import Row
from stylepress.benchmarks.evidence.setting import TITLES, Setting, wxh
from stylepress.benchmarks.timing.systems import precision
from stylepress.export.macs import cost
from stylepress.ports import Graph, Port
from stylepress.runtime.backends import missing
from stylepress.runtime.bundle import read_bundle

Precision = Literal["fp32", "int8"]
Clock = Callable[[], float]
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
OPSET, ROUNDS = 17, 5
FRAME = ("batch", "height", "width", 3)
SHAPES = ((64, 128), (32, 128), (128, 64))
"""Channels, and side in pixels, of the convolutions that are tried; the fastest is the peak."""
LAYERS, MOVED = 6, (64, 512)
FEW, MANY = 2, 6
"""Layers of two graphs that move memory: their difference is free of everything around them."""
PORTS = Graph(
    kind="frame",
    file="model.onnx",
    inputs=(
        Port(name="frame", shape=FRAME, dtype="uint8", low=0, high=255),
        Port(name="strength", shape=("batch",), dtype="float32", low=0, high=1, default=1.0),
    ),
    outputs=(Port(name="frame_out", shape=FRAME, dtype="uint8", low=0, high=255),),
)
PEAK, COPY, SHARE = "peak of multiply-accumulates", "peak of moving memory", "share of its peak"
SIZE = (512, 512)


@dataclass(frozen=True, slots=True)
class Kernel:
    """``layers`` equal layers on ``channels`` channels between a stem and a head of 1x1.

    A ``kind`` of ``multiply`` is a 3x3 convolution with all channels and ReLU, one of ``move`` the
    maximum of two neighbours, which reads and writes the whole tensor once and hardly computes.
    Backends join layers that only look at one value; a 3x3 maximum took 1.5 times as long here.
    """

    kind: Literal["multiply", "move"]
    channels: int
    layers: int
    precision: Precision = "fp32"

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.kind} {self.precision} {self.channels} channels, {self.layers} layers"

    def macs(self, side: int) -> int:
        """Multiply-accumulates of a square frame, of the layers alone."""
        return side * side * self.channels**2 * 9 * self.layers

    def moved_bytes(self, side: int) -> int:
        """Bytes that the layers read and write of a square frame, each once."""
        return 2 * 4 * side * side * self.channels * self.layers


def roof_rows(setting: Setting, *, clock: Clock = time.perf_counter) -> Iterator[Row]:
    """Take the peaks of every backend, and what share of its own the student reaches.

    The best of some calls counts: a roof is what was reached, and what disturbs only lowers it.
    """
    bundle = read_bundle(setting.style.bundle.folder)
    frame, macs = setting.heldout(SIZE)[0].frame, setting.style.macs
    for backend in (name for name in TITLES if name not in missing()):
        peaks = {}
        for row in peak_rows(backend, setting, clock=clock):
            peaks[row.precision] = row.value
            yield row
        with ExitStack() as stack:
            run = setting.engine(bundle, SIZE, stack, backend=backend)
            run(frame)
            rate = macs / min(_taken(lambda: run(frame), clock)) / 1e9  # noqa: B023
        kind = precision(bundle.artifact)
        of, digest = ("student", TITLES[backend], kind, wxh(SIZE)), bundle.artifact.digest
        share = 100 * rate / peaks[kind]
        yield Row(*of, SHARE, share, "%", digest=digest, note=f"{rate:.3g} GMAC/s")


def peak_rows(backend: str, setting: Setting, *, clock: Clock = time.perf_counter) -> Iterator[Row]:
    """Take the peaks of one backend.

    Raises:
        BackendError: the backend cannot run here, or not these kernels.
    """

    def least_s(kernel: Kernel, side: int) -> float:
        folder = setting.work / "roof" / kernel.name.replace(" ", "-").replace(",", "")
        if not folder.is_dir():
            kernel_bundle(kernel, folder)
        frame = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
        with ExitStack() as stack:
            run = setting.engine(read_bundle(folder), (side, side), stack, backend=backend)
            run(frame)
            return min(_taken(lambda: run(frame), clock))

    title = TITLES[backend]
    for kind in PRECISIONS:
        tried = [(Kernel("multiply", wide, LAYERS, kind), side) for wide, side in SHAPES]
        rates = [(k.macs(side) / least_s(k, side) / 1e9, k.name, side) for k, side in tried]
        rate, name, side = max(rates)
        yield Row("machine", title, kind, wxh((side, side)), PEAK, rate, "GMAC/s", note=name)
    (channels, side), kernels = MOVED, (FEW, MANY)
    few, many = (Kernel("move", channels, layers) for layers in kernels)
    spent = least_s(many, side) - least_s(few, side)
    if spent > 0:
        rate = (many.moved_bytes(side) - few.moved_bytes(side)) / spent / 1e9
        note = f"{many.name}, less {FEW} layers"
        yield Row("machine", title, "copy", wxh((side, side)), COPY, rate, "GB/s", note=note)


def kernel_bundle(kernel: Kernel, folder: Path) -> Artifact:
    """Write a kernel as a bundle, which any backend opens like one that ships."""
    model = _model(kernel)
    counted = cost(model, 512, 512)

    def fill(into: Path) -> None:
        (into / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))

    return Artifact.create(
        folder,
        fill,
        kind="bundle",
        name=kernel.name,
        graphs={"frame": PORTS},
        made_by={"step": "roof", "stylepress": __version__, "precision": kernel.precision},
        numbers={"macs_512": counted.macs, "params": counted.parameters},
    )


def _taken(call: Callable[[], object], clock: Clock) -> list[float]:
    taken = []
    for _ in range(ROUNDS):
        began = clock()
        call()
        taken.append(clock() - began)
    return taken


def _model(kernel: Kernel) -> ModelProto:
    nodes: list[NodeProto] = []
    constants: list[TensorProto] = []
    random, wide = np.random.default_rng(0), kernel.channels

    def add(kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        name: str = attributes.pop("name", f"{kind}{len(nodes)}")
        nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(value: object, dtype: type[np.generic] = np.float32) -> str:
        name = f"constant{len(constants)}"
        constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def weights(outputs: int, inputs: int, side: int) -> NDArray[np.float64]:
        # He's variance: values neither vanish nor grow, so none is a denormal, which is slow.
        spread = math.sqrt(2 / (inputs * side * side))
        return random.normal(0, spread, (outputs, inputs, side, side))

    def layer(x: str) -> str:
        if kernel.kind == "move":
            return add("MaxPool", [x], kernel_shape=[1, 2], pads=[0, 0, 0, 1])
        value = weights(wide, wide, 3)
        if kernel.precision == "fp32":
            weight = constant(value)
        else:
            step = [constant(4 / 127), constant(0, np.int8)]
            x = add("DequantizeLinear", [add("QuantizeLinear", [x, *step]), *step])
            scale = np.abs(value).max(axis=(1, 2, 3)) / 127
            codes = np.rint(value / scale[:, None, None, None])
            parts = constant(codes, np.int8), constant(scale), constant([0] * wide, np.int8)
            weight = add("DequantizeLinear", parts, axis=0)
        return add("Relu", [add("Conv", [x, weight], pads=[1, 1, 1, 1])])

    x = add("Transpose", [add("Cast", ["frame"], to=TensorProto.FLOAT)], perm=[0, 3, 1, 2])
    x = add("Mul", [x, constant(1 / 255)])
    x = add("Relu", [add("Conv", [x, constant(weights(wide, 3, 1))])])
    for _ in range(kernel.layers):
        x = layer(x)
    # About grey, with a deviation of a quarter of the range: what came out must depend on what went
    # in, or a compiler might find that it need not be computed.
    x = add("Conv", [x, constant(64 * weights(3, wide, 1)), constant([127] * 3)])
    share = add("Reshape", ["strength", constant([-1, 1, 1, 1], np.int64)])
    x = add("Clip", [add("Mul", [x, share]), constant(0), constant(255)])
    x = add("Transpose", [x], perm=[0, 2, 3, 1])
    add("Cast", [x], to=TensorProto.UINT8, name="frame_out")
    frame, strength = (TensorProto.UINT8, FRAME), (TensorProto.FLOAT, ("batch",))
    graph = helper.make_graph(
        nodes,
        "roof",
        [
            helper.make_tensor_value_info("frame", *frame),
            helper.make_tensor_value_info("strength", *strength),
        ],
        [helper.make_tensor_value_info("frame_out", *frame)],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    checker.check_model(made)
    return made
