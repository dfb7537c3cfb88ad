"""The tools that compression is held against do what their rows say they did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from stylepress.benchmarks.evidence.int8 import nncf_quantized, static_quantized
from stylepress.benchmarks.evidence.pruned import magnitude_pruned
from stylepress.compress.pruning.prune import made_channels, trial_picture
from stylepress.export.fit.latency import random_bundle
from stylepress.export.frame_graph import MODEL
from stylepress.train.student import StudentSize
from stylepress.train.transformer import TransformerNet

FRAMES = [np.full((1, 32, 32, 3), level, np.uint8) for level in (90, 120)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    folder: Path = tmp_path_factory.mktemp("student") / "bundle"
    return onnx.load(str(random_bundle(StudentSize(8, 0, 8), "fp32", folder).path(MODEL)))


@pytest.mark.parametrize("method", ["MinMax", "Percentile"])
def test_onnx_runtime_quantizes_every_convolution(model: onnx.ModelProto, method: str) -> None:
    nodes = static_quantized(model, FRAMES, method=method).graph.node
    makers = {output: node.op_type for node in nodes for output in node.output}
    convolutions = [node for node in nodes if node.op_type == "Conv"]
    assert convolutions
    assert all(makers[node.input[0]] == "DequantizeLinear" for node in convolutions)


def test_nncf_quantizes_the_same_graph(model: onnx.ModelProto) -> None:
    pytest.importorskip("nncf")
    assert "QuantizeLinear" in {node.op_type for node in nncf_quantized(model, FRAMES).graph.node}


def test_torch_pruning_leaves_the_share_that_is_asked_for_in_every_layer_but_the_last() -> None:
    net = TransformerNet(16, 1)
    before = made_channels(net)
    after = made_channels(magnitude_pruned(net, trial_picture(), keep=0.5, multiple_of=1))
    shares = {name: after[name] / before[name] for name in before}
    assert shares.pop("deconv3.conv2d") == 1
    assert set(shares.values()) == {0.5}
    with torch.no_grad():
        assert net(trial_picture()).shape == (1, 3, 64, 64)
