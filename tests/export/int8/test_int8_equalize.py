"""Equal channels: the same function, equal ranges, and hands off where a factor cannot pass."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnxruntime  # type: ignore[import-untyped]
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from stylepress.export.int8.calibration import observe
from stylepress.export.int8.equalize import Channels, equal_factors, equalized
from stylepress.export.int8.quantize import quantize_int8
from stylepress.progress import Silent
from stylepress.steps import QuantizeStep

Frames = list[NDArray[np.uint8]]
READ = ["z0", "z1", "s2"]
"""The tensors between convolutions of the shared graph: (8, 16 and 4 channels)."""


def inner(model: onnx.ModelProto, tensor: str, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.append(onnx.helper.make_tensor_value_info(tensor, 1, None))
    session = onnxruntime.InferenceSession(watched.SerializeToString())
    feed = {"frame": frame, "strength": np.ones(1, np.float32)}
    result: NDArray[np.float32] = session.run([tensor], feed)[0]
    return result


def small(body: str, *weights: str) -> onnx.ModelProto:
    """A graph of (1, 4, 8, 8) float x to y; ``weights`` are names and dims, e.g. "w 4,4,3,3"."""
    text = ", ".join(f"float[{dims}] {name}" for name, dims in map(str.split, weights))
    made = onnx.parser.parse_model(f"""
        <ir_version: 8, opset_import: ["": 18]>
        graph (float[1,4,8,8] x) => (float[n,c,h,w] y) <{text}> {{ {body} }}
    """)
    for port in made.graph.value_info:
        dims = [dim.dim_value for dim in port.type.tensor_type.shape.dim]
        value = np.random.default_rng(len(dims)).normal(size=dims).astype(np.float32)
        made.graph.initializer.append(numpy_helper.from_array(value, port.name))
    del made.graph.value_info[:]
    return made


@pytest.mark.parametrize("seed", range(3))
def test_any_loudness_leaves_the_function_as_it_is(
    model: onnx.ModelProto, frames: Frames, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    loudness = {
        name: np.exp(draw.normal(0, 2, size)) for name, size in zip(READ, (8, 16, 4), strict=True)
    }
    made = equalized(model, equal_factors(model, loudness))
    before, after = (inner(one, "t3", frames[0]) for one in (model, made))
    assert np.abs(before - after).max() < 1e-3
    assert not np.allclose(inner(made, "z0", frames[0]), inner(model, "z0", frames[0]), rtol=0.1)


def test_every_channel_fills_the_same_range(model: onnx.ModelProto, frames: Frames) -> None:
    def most(one: onnx.ModelProto) -> dict[str, NDArray[np.float64]]:
        seen = observe(one, READ, frames, progress=Silent()).tensors
        return {name: seen[name].most for name in READ}

    after = most(equalized(model, equal_factors(model, most(model))))
    assert np.allclose(after["z0"], 1, atol=1e-4)
    # z1 is added to what becomes s2, four channels to one: the loudest of each sets the factor.
    assert after["z1"].max() <= 1 + 1e-4
    assert after["s2"].max() <= 1 + 1e-4


def test_quiet_channels_are_not_drowned_by_loud_ones(
    model: onnx.ModelProto, frames: Frames
) -> None:
    loud = np.geomspace(0.01, 100, 8)
    factors = {name: np.ones(size) for name, size in (("y0", 8), ("z0", 8), ("y1", 16))}
    factors |= {"z1": np.ones(16), "y2": np.ones(16), "s2": np.ones(4), "y3": np.ones(12)}
    uneven = equalized(model, factors | {"y0": loud, "z0": loud})
    errors = {}
    for equalize in (False, True):
        options = QuantizeStep(keep_float="ends", equalize=equalize, calibration="minmax")
        made = quantize_int8(uneven, frames, options=options, progress=Silent()).model
        gap = inner(made, "t3", frames[0]) - inner(model, "t3", frames[0])
        errors[equalize] = float(np.sqrt((gap**2).mean()))
    assert errors[True] < errors[False] / 4


def test_channels_that_meet_in_an_addition_or_a_shuffle_share_a_factor(
    model: onnx.ModelProto,
) -> None:
    channels = Channels.of(model)
    assert np.array_equal(channels.roots("z1"), channels.roots("r2"))
    shuffled = channels.roots("z2").reshape(4, 4)
    assert np.array_equal(shuffled, np.repeat(channels.roots("s2")[:, None], 4, axis=1))
    assert len(set(channels.roots("z0").tolist())) == 8


def test_the_order_of_the_other_shuffle_is_known_too() -> None:
    made = small(
        'a = Conv <pads=[1,1,1,1]> (x, w, b)  s = DepthToSpace <blocksize=2, mode="DCR"> (a)'
        "  y = Conv(s, v)",
        "w 8,4,3,3",
        "b 8",
        "v 3,2,1,1",
    )
    roots = Channels.of(made).roots("a")
    assert np.array_equal(roots.reshape(4, 2), np.tile(roots[:2], (4, 1)))


def test_what_leaves_the_graph_is_not_scaled(model: onnx.ModelProto) -> None:
    assert (Channels.of(model).roots("y3") == -1).all()


@pytest.mark.parametrize(
    ("body", "weights"),
    [
        ("a = Conv(x, w)  n = Sigmoid(a)  y = Conv(n, v)", ("w 4,4,1,1", "v 4,4,1,1")),
        ("a = Conv(x, w)  n = Add(a, k)  y = Conv(n, v)", ("w 4,4,1,1", "v 4,4,1,1", "k 1")),
        ("a = Conv(x, w)  y = Conv <group=4> (a, v)", ("w 4,4,1,1", "v 4,1,1,1")),
        ("a = Conv(x, w)  b = Add(a, x)  y = Conv(b, v)", ("w 4,4,1,1", "v 4,4,1,1")),
        ("a = Conv(x, w)  y = Conv(a, w)", ("w 4,4,1,1",)),
    ],
    ids=["nonlinear", "constant", "grouped", "input", "shared weight"],
)
def test_where_a_factor_cannot_pass_there_is_none(body: str, weights: tuple[str, ...]) -> None:
    made = small(body, *weights)
    factors = equal_factors(made, {name: np.arange(1.0, 5) for name in ("a", "n", "b")})
    assert all(np.array_equal(factor, np.ones(4)) for factor in factors.values())


def test_a_channel_that_was_silent_is_not_blown_up() -> None:
    made = small("a = Conv(x, w)  r = Relu(a)  y = Conv(r, v)", "w 4,4,1,1", "v 2,4,1,1")
    factors = equal_factors(made, {"r": np.array([0, 1e-9, 0.5, 2.0])})
    assert factors["r"].tolist() == pytest.approx([500, 500, 2, 0.5])
