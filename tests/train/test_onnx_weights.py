"""ONNX files of old, as the model zoo has them: read by structure, loaded as PyTorch networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from stylepress.errors import CheckpointError
from stylepress.inspection import inspect
from stylepress.train.weights.checkpoint import load_network
from tests.train.layouts import network


def zoo_file(folder: Path, opset: int, side: int = 32) -> Path:
    """Write a TransformerNet as PyTorch 1.0 exported it: numbered tensors, one fixed size."""
    state = network("transformer").state_dict()
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(values: Tensor) -> str:
        name = str(len(constants) + 1000)
        constants.append(numpy_helper.from_array(values.numpy(), name))
        return name

    def add(kind: str, inputs: list[str], **attributes: Any) -> str:
        name = str(len(nodes) + 1)
        nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def conv(x: str, key: str, stride: int = 1, up: bool = False) -> str:
        if up and opset >= 9:
            x = add("Upsample", [x, constant(torch.tensor([1.0, 1, 2, 2]))], mode="nearest")
        elif up:
            x = add("Upsample", [x], mode="nearest", scales=[1.0, 1, 2, 2])
        weight = state[f"{key}.conv2d.weight"]
        margin = weight.shape[2] // 2
        x = add("Pad", [x], mode="reflect", pads=[0, 0, margin, margin] * 2)
        inputs = [x, constant(weight), constant(state[f"{key}.conv2d.bias"])]
        return add("Conv", inputs, strides=[stride, stride], kernel_shape=list(weight.shape[2:]))

    def norm(x: str, key: str) -> str:
        inputs = [x, constant(state[f"{key}.weight"]), constant(state[f"{key}.bias"])]
        return add("InstanceNormalization", inputs, epsilon=1e-5)

    x = "input1"
    for number, stride in ((1, 1), (2, 2), (3, 2)):
        x = add("Relu", [norm(conv(x, f"conv{number}", stride), f"in{number}")])
    for block in (1, 2):
        y = add("Relu", [norm(conv(x, f"res{block}.conv1"), f"res{block}.in1")])
        x = add("Add", [norm(conv(y, f"res{block}.conv2"), f"res{block}.in2"), x])
    for number in (1, 2):
        x = add("Relu", [norm(conv(x, f"deconv{number}", up=True), f"in{number + 3}")])
    conv(x, "deconv3")
    nodes[-1].output[0] = "output1"
    port = helper.make_tensor_value_info
    shape = [1, 3, side, side]
    graph = helper.make_graph(
        nodes,
        "torch-jit-export",
        [port("input1", TensorProto.FLOAT, shape)],
        [port("output1", TensorProto.FLOAT, shape)],
        constants,
    )
    for one in constants:  # as inputs too: the rule of the old IR
        graph.input.append(port(one.name, one.data_type, one.dims))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3)
    onnx.save(model, folder / "candy.onnx")
    return folder / "candy.onnx"


@pytest.mark.parametrize("opset", [8, 9])
def test_a_network_of_the_model_zoo_draws_as_its_file_does_and_takes_any_size(
    tmp_path: Path, opset: int
) -> None:
    path = zoo_file(tmp_path, opset)
    loaded = load_network(path)
    assert (loaded.family, loaded.config) == ("transformer", {"width": 4, "blocks": 2})
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 32, 32)).astype(np.float32)
    (theirs,) = onnxruntime.InferenceSession(path).run(None, {"input1": image})
    ours = loaded.module(torch.from_numpy(image)).numpy()
    assert np.abs(ours - theirs).max() < 1e-4 * np.abs(theirs).max()
    assert loaded.module(torch.zeros(1, 3, 20, 48)).shape == (1, 3, 20, 48)
    told = inspect(path)
    assert told["opset"] == {"": opset}
    assert told["can be built"] == f"stylepress export {path}"


def test_an_onnx_file_of_another_network_is_answered_with_what_it_holds(tmp_path: Path) -> None:
    path = zoo_file(tmp_path, 9)
    model = onnx.load(path)
    model.graph.node[0].op_type = "Softmax"
    onnx.save(model, path)
    with pytest.raises(CheckpointError, match=r"of no known network: 19 convolutions and norms"):
        load_network(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CheckpointError, match="no whole ONNX file"):
        load_network(path)
