"""A bundle with every kind of port: styles by code, a mask and a state are the graph's own work."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from stylepress.artifact import Artifact
from stylepress.ports import Graph, Port
from stylepress.progress import Silent
from stylepress.runtime.serve.config import Settings, StreamEntry, Style
from stylepress.runtime.serve.engines import Engines
from stylepress.runtime.serve.stream import Frame, Stream
from stylepress.runtime.serve.stylist import Stylist

SIZE = (4, 6)


def model() -> onnx.ModelProto:
    """frame_out = frame * mask / 255 * style[0] + prev_in / 2, which is prev_out as well."""
    shape: list[str | int | None] = ["batch", "height", "width", 3]
    node, info = helper.make_node, helper.make_tensor_value_info
    nodes = [
        node("Cast", ["frame"], ["image"], to=TensorProto.FLOAT),
        node("Cast", ["mask"], ["gray"], to=TensorProto.FLOAT),
        node("Div", ["gray", "white"], ["share"]),
        node("Gather", ["style", "first"], ["code"], axis=1),
        node("Reshape", ["code", "per_frame"], ["weight"]),
        node("Mul", ["image", "share"], ["part"]),
        node("Mul", ["part", "weight"], ["styled"]),
        node("Mul", ["prev_in", "half"], ["rest"]),
        node("Add", ["styled", "rest"], ["prev_out"]),
        node("Cast", ["prev_out"], ["frame_out"], to=TensorProto.UINT8),
    ]
    constants: dict[str, NDArray[Any]] = {
        "white": np.array(255, np.float32), "first": np.array([0], np.int64),
        "per_frame": np.array([-1, 1, 1, 1], np.int64), "half": np.array(0.5, np.float32),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "ports",
        [
            info("frame", TensorProto.UINT8, shape),
            info("style", TensorProto.FLOAT, ["batch", 2]),
            info("mask", TensorProto.UINT8, [*shape[:3], 1]),
            info("prev_in", TensorProto.FLOAT, shape),
        ],
        [info("frame_out", TensorProto.UINT8, shape), info("prev_out", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def ports() -> Graph:
    shape = ("batch", "height", "width", 3)
    return Graph(
        kind="frame", file="model.onnx",
        inputs=(
            Port(name="frame", shape=shape, dtype="uint8", low=0, high=255),
            Port(name="style", shape=("batch", 2), dtype="float32", low=0, high=1, default=1.0),
            Port(name="mask", shape=(*shape[:3], 1), dtype="uint8", low=0, high=255, default=255),
            Port(name="prev_in", shape=shape, dtype="float32", default=0),
        ),
        outputs=(
            Port(name="frame_out", shape=shape, dtype="uint8", low=0, high=255),
            Port(name="prev_out", shape=shape, dtype="float32"),
        ),
        state={"prev_out": "prev_in"},
    )  # fmt: skip


@pytest.fixture
def stylist(tmp_path: Path) -> Stylist:
    folder = tmp_path / "ports"

    def fill(beside: Path) -> None:
        (beside / "model.onnx").write_bytes(model().SerializeToString())

    Artifact.create(
        folder, fill, kind="bundle", name="ports", graphs={"frame": ports()}, made_by={}
    )
    styles = {
        name: Style(bundle=folder, backend="onnxruntime", code=code)
        for name, code in {"full": (1.0, 0.0), "half": (0.5, 0.0)}.items()
    }
    engines = Engines(styles, cache=None, most=4, progress=Silent())
    engines.open_now(engines.looks["full"], SIZE)
    return Stylist(engines)


def shown(stylist: Stylist, stream: Stream, level: int = 80) -> NDArray[np.uint8]:
    frame = Frame(1, time.monotonic_ns(), np.full((*SIZE, 3), level, np.uint8))
    return stylist.run([(stylist.plan(stream, frame), frame)])[0]


def test_state_is_carried_from_frame_to_frame_and_begins_anew_with_the_source(
    stylist: Stylist,
) -> None:
    stream = Stream("a", StreamEntry(input="test://"), "full", lambda: None)
    assert [shown(stylist, stream)[0, 0, 0] for _ in range(3)] == [80, 120, 140]
    stream.source_changed()
    assert shown(stylist, stream)[0, 0, 0] == 80


def test_styles_of_one_bundle_are_mixed_by_their_codes_in_one_call(stylist: Stylist) -> None:
    stream = Stream("a", StreamEntry(input="test://"), "full", lambda: None)
    stream.change(Settings(style={"full": 1, "half": 1}))
    frame = Frame(1, time.monotonic_ns(), np.full((*SIZE, 3), 80, np.uint8))
    assert len(stylist.plan(stream, frame).parts) == 1
    assert shown(stylist, stream)[0, 0, 0] == 60


def test_a_mask_and_strength_go_where_they_belong(stylist: Stylist) -> None:
    stream = Stream("a", StreamEntry(input="test://"), "full", lambda: None)
    mask = np.zeros(SIZE, np.uint8)
    mask[:, :3] = 255
    stream.mask = mask
    made = shown(stylist, stream)
    assert (made[0, 0, 0], made[0, 5, 0]) == (80, 0)  # the graph's own mask: nothing is zero
    stream.change(Settings(style="half", strength=0.5))
    stream.mask = None
    stream.source_changed()
    assert shown(stylist, stream)[0, 0, 0] == 60  # the graph has no strength: half of 80 and 40
