"""Costs against closed forms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper
from torch import Tensor, nn

from stylepress.errors import ExportError
from stylepress.export.code_graphs import EncoderGraph
from stylepress.export.frame_graph import FrameGraph, ImageRange
from stylepress.export.macs import cost, parameters
from stylepress.export.onnx_file import onnx_model
from stylepress.export.verify import in_torch
from stylepress.train.weights.families import FAMILIES


def one_layer(kind: str, weight: str, channels: int, attributes: str) -> onnx.ModelProto:
    """A graph of one convolution, with a bias of 5."""
    return onnx.parser.parse_model(f"""
        <ir_version: 8, opset_import: ["": 18]>
        graph (float[batch, {channels}, height, width] x) => (float[n, c, h, w] y)
        <float[{weight}] w, float[5] b> {{ y = {kind} <{attributes}> (x, w, b) }}
    """)


def filled(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give every declared constant zeros."""
    for port in model.graph.value_info:
        dims = [dim.dim_value for dim in port.type.tensor_type.shape.dim]
        zeros = numpy_helper.from_array(np.zeros(dims, np.float32), port.name)
        model.graph.initializer.append(zeros)
    del model.graph.value_info[:]
    return model


@pytest.mark.parametrize(
    ("kind", "weight", "channels", "attributes", "macs"),
    [
        ("Conv", "5,4,3,3", 4, "pads=[1,1,1,1]", 8 * 12 * 5 * 4 * 9),
        ("Conv", "5,4,3,3", 4, "pads=[1,1,1,1], strides=[2,2]", 4 * 6 * 5 * 4 * 9),
        ("Conv", "10,2,1,1", 10, "group=5", 8 * 12 * 10 * 2),
        ("ConvTranspose", "4,5,4,4", 4, "pads=[1,1,1,1], strides=[2,2]", 8 * 12 * 4 * 5 * 16),
    ],
)
def test_a_convolution_costs_its_closed_form(
    kind: str, weight: str, channels: int, attributes: str, macs: int
) -> None:
    assert cost(filled(one_layer(kind, weight, channels, attributes)), 8, 12).macs == macs


def test_a_whole_network_costs_what_its_layers_cost(
    small_teacher: FrameGraph, small_teacher_model: onnx.ModelProto
) -> None:
    macs: list[int] = []

    def counted(layer: nn.Module, inputs: object, output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        macs.append(layer.weight[0].numel() * output.numel())

    layers = [part for part in small_teacher.modules() if isinstance(part, nn.Conv2d)]
    hooks = [layer.register_forward_hook(counted) for layer in layers]
    in_torch(small_teacher, np.zeros((1, 256, 256, 3), np.uint8))
    for hook in hooks:
        hook.remove()
    priced = cost(small_teacher_model, 256, 256)
    assert priced.macs == sum(macs)
    assert priced.parameters == sum(weight.numel() for weight in small_teacher.parameters())


def published(family: str, graph: str = "frame") -> onnx.ModelProto:
    """The graph of a family in its published size."""
    known = FAMILIES[family]
    net, image = known.build(**known.usual).eval(), ImageRange.of(known.image)
    one = known.graphs(known.usual)[graph]
    if one.kind == "encoder":
        return onnx_model(EncoderGraph(net, image, entry=one.entry, outputs=one.outputs, least=16))
    return onnx_model(FrameGraph(net, image, least=known.image.least, inputs=one.inputs))


def test_the_teacher_everybody_has_costs_ten_gigamacs_at_256() -> None:
    priced = cost(published("transformer"), 256, 256)
    assert priced.parameters == 1_679_235
    assert priced.macs == pytest.approx(10.079e9, rel=1e-3)


def test_cyclegan_costs_what_is_published_in_both_ways_of_counting() -> None:
    model = published("resnet")
    assert cost(model, 256, 256).macs == pytest.approx(49.552e9, rel=1e-4)
    assert cost(model, 256, 256, transposed="outputs").macs == pytest.approx(56.80e9, rel=1e-4)
    assert cost(model, 253, 254) == cost(model, 256, 256)  # padded to fours


def test_adain_costs_what_is_published() -> None:
    encoder = cost(published("adain", "encode_style"), 256, 256).macs
    assert encoder == pytest.approx(15.817e9, rel=1e-3)
    assert cost(published("adain"), 256, 256).macs == pytest.approx(2 * 15.8e9, rel=2e-3)


def test_cropped_pixels_are_paid_for(model: onnx.ModelProto) -> None:
    assert cost(model, 255, 255) == cost(model, 256, 256)


def test_cost_grows_with_the_area(model: onnx.ModelProto) -> None:
    assert cost(model, 512, 1024).macs == 8 * cost(model, 256, 256).macs


def test_constants_of_the_program_are_no_parameters(
    model: onnx.ModelProto, student: Callable[..., nn.Module]
) -> None:
    assert parameters(model) == sum(weight.numel() for weight in student().parameters())


def test_an_unknowable_size_is_refused() -> None:
    text = """
        <ir_version: 8, opset_import: ["": 18]>
        graph (float[1,3,height,width] x, int64[4] shape) => (float[n,c,h,w] y)
        <float[2,3,1,1] w> { r = Reshape(x, shape)  y = Conv(r, w) }
    """
    with pytest.raises(ExportError, match="cost cannot be told"):
        cost(filled(onnx.parser.parse_model(text)), 8, 8)
