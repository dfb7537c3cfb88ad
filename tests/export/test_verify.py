"""Agreement between two makers of frames, in closed form and on real photos."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import numpy_helper

from stylepress.errors import ExportError, FrameError, VerificationError
from stylepress.export.frame_graph import FrameGraph
from stylepress.export.onnx_file import serialized
from stylepress.export.verify import (
    Difference,
    OnnxFrames,
    compare,
    fitted,
    verify,
)
from stylepress.step_fields import VERIFY_SIZES

Photos = list[NDArray[np.uint8]]


def altered(model: onnx.ModelProto, factor: float) -> bytes:
    """Return the model with the weights of its last convolution multiplied."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    last = [node for node in made.graph.node if node.op_type == "Conv"][-1]
    for tensor in made.graph.initializer:
        if tensor.name == last.input[1]:
            weight = numpy_helper.to_array(tensor) * np.float32(factor)
            tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    return serialized(made)


@given(st.integers(1, 255), st.integers(1, 4))
def test_a_constant_gap_has_the_psnr_of_its_closed_form(gap: int, pictures: int) -> None:
    difference = Difference()
    for _ in range(pictures):
        black = np.zeros((1, 3, 5, 3), np.uint8)
        difference.add(black, black + np.uint8(gap))
    seen = difference.agreement()
    assert (seen.worst_levels, seen.frames) == (gap, pictures)
    assert seen.psnr_db == pytest.approx(20 * math.log10(255 / gap))


def test_equal_pictures_have_a_psnr_that_json_can_hold() -> None:
    difference = Difference()
    difference.add(np.zeros((1, 2, 2, 3), np.uint8), np.zeros((1, 2, 2, 3), np.uint8))
    assert difference.agreement().psnr_db == 100


def test_the_file_does_what_the_network_does_at_odd_sizes_too(
    graph: FrameGraph, model: onnx.ModelProto, photos: Photos
) -> None:
    seen = verify(serialized(model), graph, photos[:1])
    assert seen.worst_levels <= 1
    assert seen.frames == len(VERIFY_SIZES)
    assert (257, 383) in VERIFY_SIZES


def test_a_file_of_other_weights_is_found_out(
    graph: FrameGraph, model: onnx.ModelProto, photos: Photos
) -> None:
    with pytest.raises(VerificationError, match=r"differ by \d+ levels of 255 \(PSNR [\d.]+ dB"):
        verify(altered(model, 1.2), graph, photos[:1], sizes=((64, 64),))


def test_a_picture_that_is_mixed_in_wrongly_is_found_out(
    graph: FrameGraph, model: onnx.ModelProto, photos: Photos
) -> None:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    mixed = next(node for node in made.graph.node if node.op_type == "Round")
    clamped = [node for node in made.graph.node if node.op_type == "Clip"][-1]
    mixed.input[0] = clamped.output[0]  # strength no longer has a say
    with pytest.raises(VerificationError, match="Strength 0"):
        verify(serialized(made), graph, photos[:1], sizes=((64, 64),))


def test_nothing_is_verified_without_photos(graph: FrameGraph, model: onnx.ModelProto) -> None:
    with pytest.raises(FrameError, match="no photos"):
        verify(serialized(model), graph, [])


def test_two_files_are_compared_on_the_same_frames(model: onnx.ModelProto, photos: Photos) -> None:
    crops = [fitted(photo, (64, 64)) for photo in photos]
    assert compare(serialized(model), serialized(model), crops).psnr_db == 100
    assert compare(serialized(model), altered(model, 1.05), crops).psnr_db < 50


@given(st.integers(1, 90), st.integers(1, 90))
def test_a_fitted_photo_has_the_size_asked_for(height: int, width: int) -> None:
    photo = np.arange(40 * 30 * 3, dtype=np.uint8).reshape(1, 40, 30, 3)
    assert fitted(photo, (height, width)).shape == (1, height, width, 3)


def test_fitting_keeps_a_photo_of_the_right_size_as_it_is(photos: Photos) -> None:
    assert np.array_equal(fitted(photos[0], (256, 256)), photos[0])


@pytest.mark.parametrize("shape", [(8, 8, 3), (2, 8, 8, 3), (1, 8, 8, 4)])
def test_what_is_no_frame_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(FrameError, match="RGB, 8 bits"):
        fitted(np.zeros(shape, np.uint8), (4, 4))


def test_a_file_that_cannot_be_loaded_is_refused() -> None:
    with pytest.raises(ExportError, match="ONNX Runtime cannot load"):
        OnnxFrames(b"no model")
