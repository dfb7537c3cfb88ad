"""Q/DQ for ONNX Runtime: every convolution in INT8, bytes through the shuffles, near the float."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from torch import Tensor, nn

from stylepress.export.frame_graph import FrameGraph, ImageRange
from stylepress.export.int8.quantize import quantize_int8
from stylepress.export.lowering.placement import for_onnxruntime, unplaced
from stylepress.export.lowering.ranges import limits
from stylepress.export.onnx_file import onnx_model, serialized
from stylepress.export.verify import OnnxFrames, compare
from stylepress.progress import Silent
from stylepress.steps import QuantizeStep
from tests.export.lowering.graphs import Array


class Skip(nn.Module):
    """Two branches that meet in a sum before a ReLU, as students have them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.deep, self.side = nn.Conv2d(8, 32, 3, 2, 1), nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(8, 12, 3, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image).relu()
        up = torch.pixel_shuffle(self.deep(x), 2)[:, :, : x.shape[2], : x.shape[3]]
        return torch.pixel_shuffle(self.last((up + self.side(x)).relu()), 2)


def executed(model: onnx.ModelProto, tmp_path: object) -> Counter[str]:
    """The operators that ONNX Runtime really runs."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = f"{tmp_path}/optimized.onnx"
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)


def quantized(network: nn.Module, image: ImageRange, photos: list[Array]) -> onnx.ModelProto:
    model = onnx_model(FrameGraph(network, image))
    options = QuantizeStep(keep_float="none")
    return quantize_int8(model, photos, options=options, progress=Silent()).model


@pytest.fixture(scope="module")
def skip(photos: list[Array]) -> onnx.ModelProto:
    """Two branches in INT8, of pictures whose bytes are codes already."""
    return quantized(Skip(), ImageRange(-128, 127), photos)


def placed(int8: onnx.ModelProto, photos: list[Array]) -> onnx.ModelProto:
    return for_onnxruntime(int8, limits(int8, unplaced(int8), photos))


def test_every_convolution_runs_in_int8_and_none_in_float(
    int8: onnx.ModelProto, photos: list[Array], tmp_path: object
) -> None:
    before, after = executed(int8, tmp_path), executed(placed(int8, photos), tmp_path)
    convolutions = sum(node.op_type == "Conv" for node in int8.graph.node)
    assert before["QLinearConv"] == 0
    assert after["QLinearConv"] == convolutions
    assert after["Conv"] + after["FusedConv"] == 0


def test_it_is_nearer_to_float_than_the_form_it_was_made_from(
    model: onnx.ModelProto, int8: onnx.ModelProto, photos: list[Array]
) -> None:
    exact = serialized(model)
    before = compare(exact, serialized(int8), photos)
    after = compare(exact, serialized(placed(int8, photos)), photos)
    assert after.psnr_db > before.psnr_db - 0.5


@pytest.mark.parametrize("low_high", [(-128, 127), (0, 255), (-1, 1)])
def test_pictures_of_any_range_come_out_near(
    low_high: tuple[int, int], skip: onnx.ModelProto, photos: list[Array]
) -> None:
    int8 = skip if low_high == (-128, 127) else quantized(Skip(), ImageRange(*low_high), photos)
    assert compare(serialized(int8), serialized(placed(int8, photos)), photos).psnr_db > 30


def test_strength_0_still_gives_the_frame_back(int8: onnx.ModelProto, photos: list[Array]) -> None:
    engine = OnnxFrames(serialized(placed(int8, photos)))
    assert np.array_equal(engine(photos[0], 0.0), photos[0])


def test_the_frame_s_own_bytes_are_the_codes_of_the_first_convolution(
    int8: onnx.ModelProto, photos: list[Array]
) -> None:
    graph = placed(int8, photos).graph
    readers = [node.op_type for node in graph.node if "frame" in node.input]
    assert "Transpose" in readers
    shuffled = {node.input[0] for node in graph.node if node.op_type == "DepthToSpace"}
    codes = {node.output[0] for node in graph.node if node.op_type == "QuantizeLinear"}
    assert shuffled <= codes


def test_branches_that_meet_before_a_relu_share_one_range_of_what_gets_through(
    skip: onnx.ModelProto, photos: list[Array]
) -> None:
    wanted = unplaced(skip)
    assert len(wanted) == 2
    assert len({tensor.gate for tensor in wanted}) == 1
    assert len(set(limits(skip, wanted, photos).values())) == 1


def test_a_tensor_without_a_range_leaves_its_convolution_in_float(
    skip: onnx.ModelProto, tmp_path: object
) -> None:
    kinds = executed(for_onnxruntime(skip, {}), tmp_path)
    assert kinds["QLinearConv"] == 2


def test_a_float_graph_is_left_as_it_is(model: onnx.ModelProto) -> None:
    assert serialized(for_onnxruntime(model, {})) == serialized(model)
