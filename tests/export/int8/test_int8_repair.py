"""INT8 that is too far from float gives layers back, the cheapest that cure it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from torch import nn

from stylepress.export.frame_graph import FrameGraph, ImageRange
from stylepress.export.int8.quantize import observe_inputs, quantize_int8, quantize_observed
from stylepress.export.int8.repair import repaired
from stylepress.export.int8.sensitivity import saved_by_int8, sensitivities
from stylepress.export.onnx_file import serialized
from stylepress.export.verify import compare
from stylepress.picture import Pixels
from stylepress.progress import Silent
from stylepress.steps import QuantizeStep

PORTS = FrameGraph(nn.Identity(), ImageRange(0, 255)).ports
OPTIONS = QuantizeStep(
    calibration="minmax", keep_float="none", equalize=False, verify_sizes=((64, 64),)
)


def with_a_loud_channel(model: onnx.ModelProto) -> onnx.ModelProto:
    """Make one channel of the first convolution drown the others, and the next one ignore it."""
    loud = onnx.ModelProto()
    loud.CopyFrom(model)
    convs = [node for node in loud.graph.node if node.op_type == "Conv"]
    weights = {tensor.name: tensor for tensor in loud.graph.initializer}
    first = numpy_helper.to_array(weights[convs[0].input[1]]).copy()
    second = numpy_helper.to_array(weights[convs[1].input[1]]).copy()
    first[0] *= 3000
    second[:, 0] = 0
    for conv, value in ((convs[0], first), (convs[1], second)):
        name = conv.input[1]
        weights[name].CopyFrom(numpy_helper.from_array(value, name))
    return loud


def test_the_layer_to_blame_goes_back_to_float(
    model: onnx.ModelProto, photos: list[Pixels], tmp_path: Path
) -> None:
    broken = with_a_loud_channel(model)
    made = quantize_int8(broken, photos, options=OPTIONS, progress=Silent())
    seen = compare(serialized(broken), serialized(made.model), photos)
    wanted = seen.psnr_db + 6
    cured, after = repaired(
        broken,
        (made, seen),
        observe_inputs(broken, photos, options=OPTIONS, progress=Silent()),
        watched=photos[:2],
        options=OPTIONS.model_copy(update={"min_psnr_db": wanted}),
        graph=PORTS,
        progress=Silent(),
    )
    convs = [node.name for node in broken.graph.node if node.op_type == "Conv"]
    assert after.psnr_db >= wanted
    assert cured.kept_float == (convs[1],)
    assert np.isfinite(after.psnr_db)


def test_what_is_near_enough_is_left_alone(model: onnx.ModelProto, photos: list[Pixels]) -> None:
    made = quantize_int8(model, photos, options=OPTIONS, progress=Silent())
    seen = compare(serialized(model), serialized(made.model), photos)
    same, after = repaired(
        model,
        (made, seen),
        observe_inputs(model, photos, options=OPTIONS, progress=Silent()),
        watched=photos[:2],
        options=OPTIONS.model_copy(update={"min_psnr_db": seen.psnr_db - 1}),
        graph=PORTS,
        progress=Silent(),
    )
    assert same is made
    assert after == pytest.approx(seen)


def test_sensitivity_finds_the_layer_that_drives_the_picture_away(
    model: onnx.ModelProto, photos: list[Pixels]
) -> None:
    broken = with_a_loud_channel(model)
    observed = observe_inputs(broken, photos, options=OPTIONS, progress=Silent())
    int8 = quantize_observed(broken, observed, options=OPTIONS, progress=Silent())
    found = sensitivities(
        broken,
        int8,
        observed,
        photos[:2],
        options=OPTIONS,
        saved=saved_by_int8(broken, int8, PORTS, None),
        progress=Silent(),
    )
    convs = [node.name for node in broken.graph.node if node.op_type == "Conv"]
    worst = max(found, key=lambda one: one.drift)
    assert worst.layer == convs[1]
    assert sorted(one.layer for one in found) == sorted(convs)
