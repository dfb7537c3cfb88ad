"""Small real bundles for the runtime's tests: frame graphs made with onnx.helper, golden pairs by ORT."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from stylepress.picture import Pixels
from tests.frames import GoldenCall, seal_frames

OPSET = 17
Nodes = tuple[list[onnx.NodeProto], list[onnx.TensorProto]]


class MakeBundle(Protocol):
    """Seal a model with golden pairs and return the bundle's folder."""

    def __call__(
        self,
        folder: Path,
        model: onnx.ModelProto | bytes,
        *,
        least: int = 1,
        golden: bool = True,
        tolerance: float = 1.0,
    ) -> Path:
        """Write the bundle."""


@pytest.fixture(autouse=True, scope="session")
def _quiet_onnxruntime() -> None:
    onnxruntime.set_default_logger_severity(3)


@pytest.fixture(scope="session")
def noise() -> Callable[..., Pixels]:
    """Return a maker of (N, H, W, 3) uint8 frames: smooth ramps with seeded noise over them."""

    def make(height: int, width: int, *, batch: int = 1, seed: int = 0) -> Pixels:
        rng = np.random.default_rng(seed)
        ramp = np.linspace(0, 200, height)[:, None, None] * np.linspace(0.2, 1, width)[:, None]
        grain = rng.integers(0, 56, (batch, height, width, 3))
        return (ramp + grain).astype(np.uint8)

    return make


@pytest.fixture(scope="session")
def tint_model() -> onnx.ModelProto:
    """A frame graph whose style is a warm colour matrix; any size from 1x1."""
    return frame_graph(tint_nodes())


@pytest.fixture(scope="session")
def conv_model() -> onnx.ModelProto:
    """A frame graph of two 3x3 convolutions and an upsampling, in float; from 4x4."""
    return frame_graph(conv_nodes(quantized=False))


@pytest.fixture(scope="session")
def int8_model() -> onnx.ModelProto:
    """The convolutions of ``conv_model`` between Q/DQ pairs, by the rules of design 8."""
    return frame_graph(conv_nodes(quantized=True))


@pytest.fixture
def toy_bundle(tmp_path: Path, tint_model: onnx.ModelProto, make_bundle: MakeBundle) -> Path:
    """The folder of a bundle that tints a little: cheap, of any size, strength 0 is the identity."""
    return make_bundle(tmp_path / "toy.bundle", tint_model)


@pytest.fixture
def conv_bundle(tmp_path: Path, conv_model: onnx.ModelProto, make_bundle: MakeBundle) -> Path:
    """The folder of a float bundle with convolutions, from 4x4."""
    return make_bundle(tmp_path / "conv.bundle", conv_model, least=4)


@pytest.fixture
def int8_bundle(tmp_path: Path, int8_model: onnx.ModelProto, make_bundle: MakeBundle) -> Path:
    """The folder of an INT8 bundle with convolutions, from 4x4."""
    return make_bundle(tmp_path / "int8.bundle", int8_model, least=4, tolerance=3.0)


@pytest.fixture(scope="session")
def make_bundle(noise: Callable[..., Pixels]) -> MakeBundle:
    """Return the writer of bundles."""

    def make(
        folder: Path,
        model: onnx.ModelProto | bytes,
        *,
        least: int = 1,
        golden: bool = True,
        tolerance: float = 1.0,
    ) -> Path:
        data = model if isinstance(model, bytes) else model.SerializeToString()
        pairs = golden_calls(data, noise) if golden else ()
        seal_frames(
            folder,
            data,
            pairs,
            name=folder.stem,
            least=least,
            tolerance=tolerance,
            opset=OPSET,
        )
        return folder

    return make


def golden_calls(data: bytes, noise: Callable[..., Pixels]) -> Iterator[GoldenCall]:
    """Yield two pictures, one of odd size and half strength, and what ONNX Runtime makes of them."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    for seed, (size, strength) in enumerate([((48, 64), 1.0), ((37, 51), 0.5)]):
        frame = noise(*size, seed=seed)
        feed: Mapping[str, Any] = {"frame": frame, "strength": np.array([strength], np.float32)}
        yield frame[0], session.run(None, feed)[0][0], strength


def frame_graph(style: Nodes) -> onnx.ModelProto:
    """Wrap nodes from ``image`` to ``styled`` (NCHW, 0..255) into the frame contract."""
    nodes, constants = style
    shape: list[str | int | None] = ["batch", "height", "width", 3]
    before = [
        helper.make_node("Cast", ["frame"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["image"], perm=[0, 3, 1, 2]),
    ]
    after = [
        helper.make_node("Reshape", ["strength", "per_frame"], ["weight"]),
        helper.make_node("Sub", ["styled", "image"], ["change"]),
        helper.make_node("Mul", ["change", "weight"], ["part"]),
        helper.make_node("Add", ["image", "part"], ["mixed"]),
        helper.make_node("Clip", ["mixed", "low", "high"], ["clipped"]),
        helper.make_node("Round", ["clipped"], ["whole"]),
        helper.make_node("Transpose", ["whole"], ["pixels"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["pixels"], ["frame_out"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        before + nodes + after,
        "frame_graph",
        [
            helper.make_tensor_value_info("frame", TensorProto.UINT8, shape),
            helper.make_tensor_value_info("strength", TensorProto.FLOAT, ["batch"]),
        ],
        [helper.make_tensor_value_info("frame_out", TensorProto.UINT8, shape)],
        [
            *constants,
            constant("per_frame", np.array([-1, 1, 1, 1], np.int64)),
            constant("low", np.array(0, np.float32)),
            constant("high", np.array(255, np.float32)),
        ],
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def constant(name: str, value: NDArray[Any]) -> onnx.TensorProto:
    """Return an initializer."""
    return numpy_helper.from_array(value, name)


def tint_nodes() -> Nodes:
    """A warm colour matrix as a 1x1 convolution; coefficients are binary fractions, so exact."""
    matrix = np.array([[1, 0.125, 0], [0.0625, 0.875, 0], [0, 0.125, 0.75]], np.float32)
    offset = np.array([4, 0, -3], np.float32)
    node = helper.make_node("Conv", ["image", "matrix", "offset"], ["styled"], kernel_shape=[1, 1])
    return [node], [constant("matrix", matrix.reshape(3, 3, 1, 1)), constant("offset", offset)]


def conv_nodes(*, quantized: bool) -> Nodes:
    """Half size by a strided 3x3, nearest doubling, crop, 3x3 back to colours, plus the image."""
    rng = np.random.default_rng(7)
    node = helper.make_node
    halving, constants = conv("image", "half", (16, 3), rng=rng, step=2, quantized=quantized)
    colouring, more = conv("wide", "colours", (3, 16), rng=rng, step=1, quantized=quantized)
    nodes = [
        *halving,
        node("Relu", ["half"], ["positive"]),
        node("Resize", ["positive", "", "doubling"], ["double"], mode="nearest"),
        node("Shape", ["image"], ["side"], start=2, end=4),
        node("Slice", ["double", "origin", "side", "axes"], ["wide"]),
        *colouring,
        node("Add", ["colours", "image"], ["styled"]),
    ]
    doubling = constant("doubling", np.array([1, 1, 2, 2], np.float32))
    origin = constant("origin", np.zeros(2, np.int64))
    axes = constant("axes", np.array([2, 3], np.int64))
    return nodes, [*constants, *more, doubling, origin, axes]


def conv(
    source: str,
    result: str,
    channels: tuple[int, int],
    *,
    rng: np.random.Generator,
    step: int,
    quantized: bool,
) -> Nodes:
    """A 3x3 convolution with random weights, (out, in) channels, maybe between Q/DQ pairs."""
    size = (*channels, 3, 3)
    weight = rng.normal(0, 0.5 / np.sqrt(9 * channels[1]), size).astype(np.float32)
    bias = constant(f"{result}_b", rng.normal(0, 9, channels[0]).astype(np.float32))
    attributes: dict[str, Any] = {
        "kernel_shape": [3, 3],
        "pads": [1, 1, 1, 1],
        "strides": [step, step],
    }
    node = helper.make_node
    if not quantized:
        names = [source, f"{result}_w", f"{result}_b"]
        plain = constant(f"{result}_w", weight)
        return [node("Conv", names, [result], **attributes)], [plain, bias]
    # Seven bits: processors with AVX2 alone add two products in 16 bits, which 127 overflows.
    scale = (np.abs(weight).max(axis=(1, 2, 3)) / 63).astype(np.float32)
    codes = np.rint(weight / scale[:, None, None, None]).astype(np.int8)
    grid, grid_w = [f"{result}_s", f"{result}_z"], [f"{result}_ws", f"{result}_wz"]
    names = [f"{source}_dq", f"{result}_w", f"{result}_b"]
    nodes = [
        node("QuantizeLinear", [source, *grid], [f"{source}_q"]),
        node("DequantizeLinear", [f"{source}_q", *grid], [f"{source}_dq"]),
        node("DequantizeLinear", [f"{result}_wq", *grid_w], [f"{result}_w"], axis=0),
        node("Conv", names, [result], **attributes),
    ]
    constants = [
        constant(grid[0], np.array(255 / 127, np.float32)),
        constant(grid[1], np.array(0, np.int8)),
        constant(f"{result}_wq", codes),
        constant(grid_w[0], scale),
        constant(grid_w[1], np.zeros(channels[0], np.int8)),
    ]
    return nodes, [*constants, bias]
