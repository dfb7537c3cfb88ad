"""Ports: what is fed is completed by defaults and checked, in one batch every stream its own way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from stylepress.errors import FrameError
from stylepress.ports import Graph, Port
from stylepress.runtime.feeds import carried, complete, places, result_shape
from tests.frames import frame_ports

FRAME = np.zeros((2, 5, 7, 3), np.uint8)
PORTS: Mapping[str, Mapping[str, Any]] = {
    "frame": {"shape": ("n", "h", "w", 3), "dtype": "uint8", "low": 0, "high": 255},
    "mask": {"shape": ("n", "h", "w", 1), "dtype": "uint8", "default": 255},
    "seed": {"shape": ("n",), "dtype": "int64", "low": 0, "default": 3},
    "gain": {"shape": (4,), "dtype": "float32", "high": 2, "default": 1},
    "flip": {"shape": (), "dtype": "bool", "default": 0},
    "before": {"shape": ("n", "h", "w", 3), "dtype": "uint8", "default": 0},
}


def graph(**more: Any) -> Graph:
    """A graph with a port of every kind; its frames come out twice as large, with a count."""
    inputs = tuple(Port(name=name, **values) for name, values in PORTS.items())
    outputs = (
        Port(name="frame_out", shape=("n", "h", "w", 3), dtype="uint8"),
        Port(name="count", shape=("found", 2), dtype="int64"),
    )
    values = {"kind": "frame", "file": "model.onnx", "inputs": inputs, "outputs": outputs}
    return Graph(**(values | more))


def test_what_is_not_fed_takes_its_default_in_the_size_of_what_is() -> None:
    arrays = complete(graph(), {"frame": FRAME})
    assert arrays["frame"] is FRAME
    shapes = {name: (array.shape, array.dtype.name) for name, array in arrays.items()}
    assert shapes == {
        "frame": ((2, 5, 7, 3), "uint8"),
        "mask": ((2, 5, 7, 1), "uint8"),
        "seed": ((2,), "int64"),
        "gain": ((4,), "float32"),
        "flip": ((), "bool"),
        "before": ((2, 5, 7, 3), "uint8"),
    }
    assert (arrays["mask"] == 255).all()
    assert (arrays["seed"] == 3).all()
    assert not arrays["flip"]


@pytest.mark.parametrize("number", [0.25, np.float32(0.25), np.float64(0.25)])
def test_a_number_fills_the_whole_port(number: float) -> None:
    strength = complete(frame_ports(), {"frame": FRAME, "strength": number})["strength"]
    assert strength.tolist() == [0.25, 0.25]


def test_every_stream_of_a_batch_may_have_its_own_strength() -> None:
    strengths = np.array([0, 1], np.float32)
    arrays = complete(frame_ports(), {"frame": FRAME, "strength": strengths})
    assert arrays["strength"] is strengths


def test_a_view_is_laid_out_anew() -> None:
    view = np.zeros((2, 5, 14, 3), np.uint8)[:, :, ::2]
    assert complete(graph(), {"frame": view})["frame"].flags.c_contiguous


@pytest.mark.parametrize(
    ("feeds", "told"),
    [
        ({}, r"frame was not fed and has no default\. Feed uint8 of shape \(n, h, w, 3\)"),
        ({"frame": None}, "was not fed"),
        ({"frame": 7}, "follows from no other input"),
        ({"frame": FRAME, "stile": 1}, "no input 'stile'. Feed some of frame, mask, seed"),
        ({"frame": FRAME.astype(float)}, r"frame is float64.*`\.astype\('uint8'\)`.*0\.\.255"),
        ({"frame": FRAME[0]}, r"frame is \(5, 7, 3\).*put N = 1 in front"),
        ({"frame": FRAME[..., :2]}, r"\(2, 5, 7, 2\), the graph takes \(n, h, w, 3\)"),
        ({"frame": FRAME[:0]}, r"frame is \(0, 5, 7, 3\)"),
        ({"frame": FRAME, "mask": np.zeros((2, 5, 6, 1), np.uint8)}, "here n 2, h 5, w 7"),
        ({"frame": FRAME, "seed": np.zeros(3, np.int64)}, r"seed is \(3,\).*here n 2"),
        ({"frame": FRAME, "gain": np.zeros(3, np.float32)}, r"the graph takes \(4\)"),
        (
            {"frame": FRAME, "gain": np.array([0, 1, 2, 3], np.float32)},
            r"holds 3, outside any\.\.2",
        ),
        ({"frame": FRAME, "gain": np.full(4, np.nan, np.float32)}, "holds nan"),
        ({"frame": FRAME, "gain": float("nan")}, "holds nan"),
        ({"frame": FRAME, "seed": -1}, r"holds -1, outside 0\.\.any"),
        ({"frame": FRAME, "seed": 1.5}, "seed is 1.5, which int64 does not hold"),
        ({"frame": FRAME, "seed": float("inf")}, "which int64 does not hold"),
        ({"frame": FRAME, "mask": 300}, "mask is 300, which uint8 does not hold"),
        ({"frame": FRAME, "flip": 2}, "which bool does not hold"),
        ({"frame": FRAME, "gain": [1, 1, 1, 1]}, "gain is a list, .* Feed a numpy array"),
        ({"frame": FRAME, "gain": "much"}, "gain is a str"),
    ],
)
def test_what_a_port_does_not_take_is_refused_with_the_mend(
    feeds: Mapping[str, Any], told: str
) -> None:
    with pytest.raises(FrameError, match=told):
        complete(graph(), feeds)


def test_pictures_below_the_least_side_are_refused() -> None:
    with pytest.raises(FrameError, match="7x5 pixels, this bundle takes sides from 6"):
        complete(frame_ports(least=6), {"frame": FRAME})


def test_the_shape_of_a_result_follows_from_the_inputs_where_it_can() -> None:
    ports = graph()
    arrays = complete(ports, {"frame": FRAME})
    assert [result_shape(ports, port, arrays) for port in ports.outputs] == [(2, 5, 7, 3), None]


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ({"image": FRAME}, "no output 'image'. Give arrays for frame_out, count"),
        ({"frame_out": FRAME.astype(np.int8)}, "is int8 .* what comes out is uint8"),
        ({"frame_out": FRAME[:1]}, r"\(1, 5, 7, 3\), what comes out is uint8 \(2, 5, 7, 3\)"),
        ({"frame_out": np.zeros((2, 5, 14, 3), np.uint8)[:, :, ::2]}, "view with gaps"),
        ({"count": np.zeros(2, np.int64)}, r"what comes out is int64 \(found, 2\)"),
    ],
)
def test_results_go_into_no_array_that_does_not_fit(out: Mapping[str, Any], told: str) -> None:
    with pytest.raises(FrameError, match=told):
        places(graph(), out, complete(graph(), {"frame": FRAME}))


def test_results_go_into_no_read_only_array() -> None:
    place = FRAME.copy()
    place.flags.writeable = False
    with pytest.raises(FrameError, match="read-only"):
        places(graph(), {"frame_out": place}, complete(graph(), {"frame": FRAME}))


def test_state_is_what_one_call_hands_the_next() -> None:
    ports = graph(state={"frame_out": "before"})
    assert carried(ports, {"frame_out": FRAME, "count": FRAME}) == {"before": FRAME}
    assert [port.name for port in ports.controls] == ["mask", "seed", "gain", "flip"]
    assert (ports.picture, ports.picture_out) == (ports.inputs[0], ports.outputs[0])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"state": {"frame_out": "nothing"}}, "names a port that is not there"),
        ({"state": {"frame_out": "frame"}}, "a default for its first call"),
        ({"state": {"frame_out": "gain"}}, "needs one dtype, one shape"),
        ({"state": {"frame_out": "mask"}}, "needs one dtype, one shape"),
        ({"inputs": (frame_ports().inputs[0],) * 2}, "two ports of one name"),
        ({"kind": "engine"}, "kind"),
    ],
)
def test_a_graph_that_cannot_be_is_refused(values: Mapping[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        graph(**values)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"low": 1, "high": 1}, "is bound from 1.0 to 1.0"),
        ({"low": 0, "high": 1, "default": 2}, r"default 2.0 of the port x is outside 0\.\.1"),
        ({"name": "a b"}, "name"),
        ({"shape": (0,)}, "shape"),
        ({"dtype": "float64"}, "dtype"),
        ({"unit": "px"}, "unit"),
        ({"low": float("nan")}, "finite"),
    ],
)
def test_a_port_that_cannot_be_is_refused(values: Mapping[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Port(**{"name": "x", "shape": ("n",), "dtype": "float32", **values})
