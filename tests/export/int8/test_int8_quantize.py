"""INT8: rounding in closed form, where Q/DQ stands, how ranges are found, what is refused."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from onnx import numpy_helper
from pydantic import ValidationError

from stylepress.errors import CheckpointError, FrameError, RecipeError
from stylepress.export.int8.calibration import observe
from stylepress.export.int8.histogram import Activations
from stylepress.export.int8.quantize import (
    Int8Model,
    KeepFloat,
    quantize_int8,
    quantize_per_channel,
)
from stylepress.progress import Silent
from stylepress.steps import QuantizeStep

Frames = list[NDArray[np.uint8]]


class Ear(Silent):
    """Hears warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def quantized(model: onnx.ModelProto, frames: Frames, **options: object) -> Int8Model:
    return quantize_int8(
        model,
        iter(frames),
        options=QuantizeStep(**options),  # type: ignore[arg-type]
        progress=Silent(),
    )


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    return made


def run(model: onnx.ModelProto, tensor: str, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return one inner tensor."""
    ort = pytest.importorskip("onnxruntime")
    watched = copied(model)
    watched.graph.output.append(onnx.helper.make_tensor_value_info(tensor, 1, None))
    session = ort.InferenceSession(watched.SerializeToString())
    feed = {"frame": frame, "strength": np.ones(1, np.float32)}
    result: NDArray[np.float32] = session.run([tensor], feed)[0]
    return result


def constants(model: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


# Weights


WEIGHTS = arrays(np.float32, (4, 3, 3, 3), elements=st.floats(-1e3, 1e3, width=32))


@given(WEIGHTS)
def test_no_weight_is_off_by_more_than_a_step_and_no_kernel_sum_by_more_than_half(
    weight: NDArray[np.float32],
) -> None:
    codes, scale = quantize_per_channel(weight)
    step = scale[:, None, None, None].astype(np.float64)
    error = codes * step - weight
    assert np.all(np.abs(error) <= step * (1 + 1e-5))
    assert np.all(np.abs(error.sum((2, 3))) <= step[..., 0, 0] * (0.5 + 1e-4))
    assert codes.min() >= -127


def test_the_phases_of_an_upscaling_layer_still_agree_on_an_even_picture() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(4, 16, 3, 3)).astype(np.float32)
    weight += (weight.sum((2, 3)).mean(0) - weight.sum((2, 3)))[..., None, None] / 9
    codes, step = quantize_per_channel(weight)
    nearest = np.rint(weight / step[:, None, None, None])
    even = np.ones(16)

    def spread(kernels: NDArray[np.float32]) -> float:
        return float(np.std((kernels * step[:, None, None, None]).sum((2, 3)) @ even))

    assert spread(codes.astype(np.float32)) < 0.6 * spread(nearest)


def test_a_loud_channel_does_not_blur_a_quiet_one() -> None:
    weight = np.full((2, 3, 3, 3), 1e-3, np.float32)
    weight[0] = 1e3
    codes, step = quantize_per_channel(weight)
    assert np.all(codes == 127)
    assert np.allclose(codes[1] * step[1], 1e-3)


def test_a_channel_of_zeros_gets_a_step_that_can_be_divided_by() -> None:
    codes, step = quantize_per_channel(np.zeros((2, 1, 1, 1), np.float32))
    assert not codes.any()
    assert step.tolist() == [1, 1]


# Ranges

SHAPES = st.tuples(st.just(1), st.just(2), st.integers(1, 9), st.integers(1, 9))
VALUES = arrays(np.float32, SHAPES, elements=st.floats(-1e6, 1e6, width=32))


def seen_of(*parts: NDArray[np.float32]) -> Activations:
    seen = Activations(parts[0].shape[1])
    for part in parts:
        seen.add(part)
    return seen


def ramp(*channels: float) -> NDArray[np.float32]:
    """One (1, C, 1, 100001) of ramps from 0 to each of ``channels``."""
    rows = [np.linspace(0, top, 100_001, dtype=np.float32) for top in channels]
    return np.stack(rows)[None, :, None]


@given(st.lists(VALUES, min_size=1, max_size=4))
@example([np.full((1, 2, 1, 1), size, np.float32) for size in (1, 0.5)])
def test_ranges_do_not_depend_on_the_order_of_the_photos(parts: list[NDArray[np.float32]]) -> None:
    one, two = seen_of(*parts), seen_of(*parts[::-1])
    assert np.array_equal(one.top, two.top)
    assert np.array_equal(one.counts, two.counts)
    assert one.counts.sum() == sum(part.size for part in parts)


@given(VALUES, st.floats(0.1, 10))
def test_no_range_is_larger_than_what_was_seen(values: NDArray[np.float32], factor: float) -> None:
    scale = np.array([1.0, factor])
    pooled = seen_of(values).pooled(scale)
    most = float((np.abs(values).max(axis=(0, 2, 3)) * scale).max())
    assert pooled.limit("minmax") == pytest.approx(most)
    assert 0 <= pooled.limit("percentile") <= pooled.most
    assert 0 <= pooled.limit("mse") <= pooled.most


def test_the_percentile_of_a_ramp_is_its_closed_form() -> None:
    pooled = seen_of(ramp(1)).pooled(np.ones(1))
    assert pooled.limit("percentile", percentile=90) == pytest.approx(0.9, abs=2 / 2048)


def test_scaled_channels_are_pooled_as_if_they_had_been_scaled_before() -> None:
    quiet = seen_of(ramp(1, 0.01)).pooled(np.array([1.0, 100.0]))
    equal = seen_of(ramp(1, 1)).pooled(np.ones(2))
    for percentile in (50, 90, 99.9):
        one, two = (part.limit("percentile", percentile=percentile) for part in (quiet, equal))
        assert one == pytest.approx(two, abs=2 / 2048)


def test_least_error_clips_an_outlier_and_keeps_a_uniform_range() -> None:
    spike = np.full((1, 1, 1, 1), 4, np.float32)
    even, spiked = (seen.pooled(np.ones(1)) for seen in (seen_of(ramp(1)), seen_of(ramp(1), spike)))
    assert even.limit("mse") == pytest.approx(1, rel=0.02)
    # d/dL of (4 - L)^2 + 100000 (L / 127)^2 / 12
    assert spiked.limit("mse") == pytest.approx(4 / (1 + 100_000 / (12 * 127**2)), rel=0.03)


# Where Q/DQ stands


@pytest.mark.parametrize(
    ("keep_float", "inside"),
    [
        ("ends", {"down", "inner"}),
        ("first", {"down", "inner", "last"}),
        ("last", {"first", "down", "inner"}),
        ("none", {"first", "down", "inner", "last"}),
        (("inner", "last"), {"first", "down"}),
    ],
)
def test_the_convolutions_asked_for_are_quantized(
    model: onnx.ModelProto, frames: Frames, keep_float: KeepFloat, inside: set[str]
) -> None:
    made = quantized(model, frames[:1], keep_float=keep_float)
    assert set(made.quantized) == inside
    makers = {name: node for node in made.model.graph.node for name in node.output}
    for node in made.model.graph.node:
        if node.op_type == "Conv":
            fed = {makers[name].op_type for name in node.input[:2] if name in makers}
            assert (fed == {"DequantizeLinear"}) == (node.name in inside)


def test_the_form_is_the_one_that_every_engine_takes(
    model: onnx.ModelProto, frames: Frames
) -> None:
    made = quantized(model, frames, keep_float="none").model
    held = constants(made)
    kinds = Counter(node.op_type for node in made.graph.node)
    assert (kinds["QuantizeLinear"], kinds["DequantizeLinear"]) == (4, 8)
    for node in made.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            step, zero = (held[name] for name in node.input[1:])
            assert zero.dtype == np.int8
            assert not zero.any()
            assert (step > 0).all()  # type: ignore[operator]
            weight = node.input[0] in held
            assert step.ndim == (1 if weight else 0)
            assert [entry.i for entry in node.attribute] == ([0] if weight else [])
        elif node.op_type == "Conv":
            assert held[node.input[2]].dtype == np.float32
            readers = [other.op_type for other in made.graph.node if node.output[0] in other.input]
            assert "QuantizeLinear" not in readers


def test_weights_take_a_quarter_of_the_room(model: onnx.ModelProto, frames: Frames) -> None:
    made = quantized(model, frames, keep_float="none").model
    floats = [name for name, value in constants(made).items() if value.ndim == 4]
    assert all(constants(made)[name].dtype == np.int8 for name in floats)


def test_relu_comes_before_the_rounding(model: onnx.ModelProto, frames: Frames) -> None:
    made = quantized(model, frames).model
    makers = {name: node for node in made.graph.node for name in node.output}
    rounded = [node.input[0] for node in made.graph.node if node.op_type == "QuantizeLinear"]
    assert {makers[name].op_type for name in rounded} == {"Relu"}


def test_centred_levels_are_int8_already(model: onnx.ModelProto, frames: Frames) -> None:
    made = quantized(model, frames, keep_float="last")
    assert made.steps["x2"] == 1
    before, after = (run(made.model, name, frames[0]) for name in ("x2", "x2_rounded"))
    assert np.array_equal(before, after)


def test_the_same_photos_give_the_same_bytes(model: onnx.ModelProto, frames: Frames) -> None:
    one, two = (quantized(model, frames).model.SerializeToString(deterministic=True) for _ in "ab")
    assert one == two


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
def test_the_picture_stays_near_the_float_one(
    model: onnx.ModelProto, frames: Frames, method: str
) -> None:
    made = quantized(model, frames, calibration=method).model
    error = np.concatenate(
        [(run(made, "t3", frame) - run(model, "t3", frame)).ravel() for frame in frames]
    )
    psnr_db = 10 * np.log10(255**2 / np.mean(error**2))
    assert psnr_db > 32


def test_the_bias_takes_up_the_mean_error_of_rounded_weights(
    model: onnx.ModelProto, frames: Frames
) -> None:
    shifts = []
    for correct in (False, True):
        made = quantized(model, frames, correct_bias=correct, keep_float=("first", "inner", "last"))
        gap = [run(made.model, "y1", frame) - run(model, "y1", frame) for frame in frames]
        shifts.append(np.mean([np.abs(part.mean(axis=(0, 2, 3))) for part in gap]))
    assert shifts[1] < shifts[0] / 2


# What is refused, and what is told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"keep_float": ("nowhere",)}, r"'nowhere'.*first, down, inner, last"),
        ({"keep_float": ("first", "down", "inner", "last")}, "none of the 4 convolutions"),
    ],
)
def test_a_wrong_choice_of_layers_names_the_layers(
    model: onnx.ModelProto, frames: Frames, options: dict[str, object], told: str
) -> None:
    with pytest.raises(RecipeError, match=told):
        quantized(model, frames, **options)


def test_what_is_quantized_is_not_quantized_again(model: onnx.ModelProto, frames: Frames) -> None:
    made = quantized(model, frames)
    with pytest.raises(RecipeError, match="quantized already"):
        quantized(made.model, frames)


def test_nan_weights_name_their_layer(model: onnx.ModelProto, frames: Frames) -> None:
    spoiled = copied(model)
    for tensor in spoiled.graph.initializer:
        if tensor.name == "w2":
            weight = numpy_helper.to_array(tensor).copy()
            weight[3] = np.nan
            tensor.CopyFrom(numpy_helper.from_array(weight, "w2"))
    with pytest.raises(CheckpointError, match="1 of 16 output channels of layer 'inner'"):
        quantized(spoiled, frames)


def test_infinite_activations_name_their_layer(model: onnx.ModelProto, frames: Frames) -> None:
    spoiled = copied(model)
    for tensor in spoiled.graph.initializer:
        if tensor.name == "b1":
            huge = np.full(16, np.inf, np.float32)
            tensor.CopyFrom(numpy_helper.from_array(huge, "b1"))
    with pytest.raises(CheckpointError, match=r"NaN or infinite values on photo 1"):
        quantized(spoiled, frames)


def test_no_photos_are_refused(model: onnx.ModelProto) -> None:
    with pytest.raises(FrameError, match="no photos to calibrate"):
        quantized(model, [])


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (8, 8, 3)])
def test_what_is_no_frame_is_refused(model: onnx.ModelProto, shape: tuple[int, ...]) -> None:
    with pytest.raises(FrameError, match="RGB, 8 bits"):
        quantized(model, [np.zeros(shape, np.uint8)])


def test_photos_of_one_colour_are_told(model: onnx.ModelProto) -> None:
    ear = Ear()
    grey = [np.full((1, 16, 16, 3), level, np.uint8) for level in (10, 200)]
    quantize_int8(model, grey, options=QuantizeStep(), progress=ear)
    assert "one colour only" in ear.warnings[0]


def test_few_photos_are_told(model: onnx.ModelProto, frames: Frames) -> None:
    ear = Ear()
    quantize_int8(model, frames[:2], options=QuantizeStep(), progress=ear)
    assert ear.warnings == ["INT8 ranges come from 2 photos only; a dozen varied ones are safer."]


def test_a_dead_tensor_is_told_and_gets_a_range(model: onnx.ModelProto, frames: Frames) -> None:
    dead, ear = copied(model), Ear()
    for tensor in dead.graph.initializer:
        if tensor.name == "b0":
            tensor.CopyFrom(numpy_helper.from_array(np.full(8, -1e6, np.float32), "b0"))
    made = quantize_int8(dead, frames, options=QuantizeStep(), progress=ear)
    assert "'z0' was 0" in ear.warnings[0]
    assert made.steps["z0"] > 0


def test_a_percentile_that_clips_half_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 50"):
        QuantizeStep(percentile=10)


def test_a_large_photo_is_taken_in_tiles_that_cover_it_all(
    model: onnx.ModelProto, frames: Frames
) -> None:
    large = np.zeros((1, 700, 1300, 3), np.uint8)
    large[:, -1:, -1:] = 255  # the last pixel alone is bright
    observed = observe(model, ["x2"], [large], progress=Silent())
    assert (observed.photos, observed.tiles) == (1, 6)
    assert observed.tensors["x2"].most.tolist() == [128.0] * 3
    assert observed.tensors["x2"].means.max() > -128


def test_every_calibration_keeps_the_picture_near_float(
    model: onnx.ModelProto, frames: Frames
) -> None:
    for method in ("minmax", "percentile", "entropy", "mse"):
        made = quantize_int8(
            model, frames, options=QuantizeStep(calibration=method), progress=Silent()
        )
        assert all(step > 0 for step in made.steps.values())


# What engines make of it


def test_openvino_runs_every_quantized_convolution_in_int8(
    model: onnx.ModelProto, frames: Frames
) -> None:
    openvino = pytest.importorskip("openvino")
    made = quantized(model, frames, keep_float="first")
    core = openvino.Core()
    if "INT8" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no INT8 instructions")
    compiled = core.compile_model(
        core.read_model(made.model.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    layers = [op.get_rt_info() for op in compiled.get_runtime_model().get_ordered_ops()]
    kinds = [
        layer["runtimePrecision"].astype(str)
        for layer in layers
        if layer["layerType"].astype(str) == "Convolution"
    ]
    # Signed or unsigned is the processor's affair: AMX multiplies the one, AVX2 the other.
    assert Counter("int8" if kind in ("i8", "u8") else kind for kind in kinds) == {
        "int8": 3,
        "f32": 1,
    }
