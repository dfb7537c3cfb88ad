"""The exported file: closed, named, deterministic, and refused when it is not what was asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from stylepress.errors import ExportError
from stylepress.export.frame_graph import FrameGraph, ImageRange
from stylepress.export.onnx_file import check_onnx, export_onnx, onnx_model, serialized
from stylepress.export.verify import OnnxFrames, in_torch


class Odd(nn.Module):
    """A network with things to get rid of: dropout, batch norm, a convolution without bias."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.up = nn.ConvTranspose2d(4, 3, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.up(self.drop(torch.relu(self.norm(self.down(x)))))
        return result


class Undecided(nn.Module):
    """A network that looks at its values before it knows what to do."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Rigid(nn.Module):
    """A network of one size."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.ones(1, 1, 35, 49)


def test_the_ports_are_those_of_a_frame_graph(model: onnx.ModelProto) -> None:
    shapes = {
        port.name: [dim.dim_param or dim.dim_value for dim in port.type.tensor_type.shape.dim]
        for port in (*model.graph.input, *model.graph.output)
    }
    frame = ["batch", "height", "width", 3]
    assert shapes == {"frame": frame, "strength": ["batch"], "frame_out": frame}


def test_the_same_network_gives_the_same_file_without_traces_of_this_machine(
    graph: FrameGraph, model: onnx.ModelProto, tmp_path: Path
) -> None:
    export_onnx(graph, tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    data = (tmp_path / "model.onnx").read_bytes()
    assert data == serialized(model)
    weights = sum(4 * parameter.numel() for parameter in graph.parameters())
    assert len(data) == pytest.approx(weights, abs=8000)
    for trace in (sys.prefix, os.getcwd(), str(Path.home()), str(tmp_path), ".py", "torch"):
        assert trace.encode() not in data


def test_the_graph_is_as_small_as_it_can_be(model: onnx.ModelProto) -> None:
    kinds = [node.op_type for node in model.graph.node]
    assert not {"Identity", "Constant", "Pad", "If", "Dropout"}.intersection(kinds)
    assert kinds.count("Conv") == 6
    assert len(kinds) <= 32


def test_convolutions_are_called_what_pytorch_calls_them(
    graph: FrameGraph, model: onnx.ModelProto
) -> None:
    named = [name for name, part in graph.network.named_modules() if isinstance(part, nn.Conv2d)]
    assert [node.name for node in model.graph.node if node.op_type == "Conv"] == named


def test_the_opset_is_the_one_asked_for_and_nothing_is_said_on_the_way(
    capfd: pytest.CaptureFixture[str],
) -> None:
    exported = onnx_model(FrameGraph(nn.Conv2d(3, 3, 1), ImageRange(0, 1)), opset=20)
    assert [(entry.domain, entry.version) for entry in exported.opset_import] == [("", 20)]
    assert capfd.readouterr() == ("", "")


def test_an_opset_that_pytorch_cannot_write_is_refused() -> None:
    with pytest.raises(ExportError, match="opset 18 or later, not 17"):
        onnx_model(FrameGraph(nn.Identity(), ImageRange(0, 1)), opset=17)


def test_training_leftovers_are_gone_and_the_mode_is_kept() -> None:
    graph = FrameGraph(Odd(), ImageRange(-1, 1, bgr=True)).train()
    made = onnx_model(graph)
    assert not {"Dropout", "Identity"} & {node.op_type for node in made.graph.node}
    assert graph.training
    frame = np.random.default_rng(0).integers(0, 256, (2, 33, 47, 3), dtype=np.uint8)
    gap = OnnxFrames(serialized(made))(frame).astype(int) - in_torch(graph, frame)
    assert np.abs(gap).max() <= 1


def test_a_network_of_levels_gets_no_affine_and_reflection_stays_a_fixed_pad(
    small_teacher_model: onnx.ModelProto,
) -> None:
    kinds = [node.op_type for node in small_teacher_model.graph.node]
    assert kinds[kinds.index("Cast") : kinds.index("Conv")] == ["Cast", "Transpose", "Pad"]
    fixed = {tensor.name for tensor in small_teacher_model.graph.initializer}
    pads = [node for node in small_teacher_model.graph.node if node.op_type == "Pad"]
    assert len(pads) == 8
    assert all(node.input[1] in fixed for node in pads)


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (1, 4, 8, 3), (2, 5, 3, 3), (1, 31, 66, 3)])
def test_any_size_and_batch_goes_through_as_in_torch(
    graph: FrameGraph, model: onnx.ModelProto, shape: tuple[int, ...]
) -> None:
    frame = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    gap = OnnxFrames(serialized(model))(frame, 0.7).astype(int) - in_torch(graph, frame, 0.7)
    assert np.abs(gap).max() <= 1


@pytest.mark.parametrize("network", [Undecided(), Rigid()])
def test_a_network_that_cannot_follow_is_refused_in_one_sentence(network: nn.Module) -> None:
    with pytest.raises(ExportError, match=r"cannot export \w+ \(.{10,300}\)\. Its forward must"):
        onnx_model(FrameGraph(network, ImageRange(0, 1)))


def _another_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 17


def _foreign(model: onnx.ModelProto) -> None:
    model.graph.node[5].domain = "com.example"


def _fixed_height(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 512


def _idle(model: onnx.ModelProto) -> None:
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    relu.op_type = "Identity"


def _headless(model: onnx.ModelProto) -> None:
    model.graph.node[-1].op_type = "Round"


def _outside(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL


def _unsorted(model: onnx.ModelProto) -> None:
    model.graph.node.insert(0, model.graph.node[8])
    del model.graph.node[9]


@pytest.mark.parametrize(
    "spoil",
    [_another_opset, _foreign, _fixed_height, _idle, _headless, _outside, _unsorted],
)
def test_a_file_that_is_not_what_was_asked_for_is_refused(
    model: onnx.ModelProto, spoil: Callable[[onnx.ModelProto], None]
) -> None:
    spoiled = onnx.ModelProto()
    spoiled.CopyFrom(model)
    check_onnx(spoiled, opset=18)
    spoil(spoiled)
    with pytest.raises(ExportError):
        check_onnx(spoiled, opset=18)
