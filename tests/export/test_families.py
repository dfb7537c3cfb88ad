"""Every family through ONNX: the file draws what its network draws, in its range and colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stylepress.errors import RecipeError
from stylepress.export.frame_graph import ImageRange
from stylepress.export.onnx_file import AnyGraph, serialized
from stylepress.export.several import Feeder
from stylepress.export.stage import export, graphs_of, plain_frames
from stylepress.ports import Graph
from stylepress.runtime.bundle import read_bundle
from stylepress.steps import ExportStep, LoadStep
from stylepress.train.stage import load
from stylepress.work import Work
from tests.train.layouts import SMALL, network, saved

SIZES = ((32, 32), (37, 51), (64, 48))
"""The middle one is odd."""
WITH_MORE = {"adain", "taesd", "regions", "dcgan", "cgan", "stylegan", "swin", "unet2d"}
"""Families whose graphs take or give more than pictures."""
LEVELS = 255e-4
"""1e-4 of the range of a picture, in levels of 255."""


def work(folder: Path) -> Work:
    return Work("any", folder / "training", folder / "board", device="cpu", home=folder)


def before_rounding(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """Open a graph with one more output: the levels that its last Round takes."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    (last,) = [node for node in opened.graph.node if node.op_type == "Round"]
    opened.graph.output.append(onnx.helper.make_empty_tensor_value_info(last.input[0]))
    return onnxruntime.InferenceSession(serialized(opened))


def by_hand(net: nn.Module, image: ImageRange, graph: AnyGraph, feeds: dict[str, Any]) -> Any:
    """Draw with the network alone, its range and colour order done in NumPy."""
    tensors = {key: torch.from_numpy(np.array(value)) for key, value in feeds.items()}
    frame = tensors.pop("frame", None)
    tensors.pop("strength", None)
    picture: list[Tensor] = []
    if frame is not None:
        rgb = frame.numpy()[..., ::-1] if image.bgr else frame.numpy()
        scaled = image.low + rgb.astype(np.float64) / 255 * (image.high - image.low)
        picture = [torch.from_numpy(scaled.transpose(0, 3, 1, 2).astype(np.float32))]
    entry = getattr(net, getattr(graph, "entry", "forward"))
    with torch.no_grad():
        drawn = entry(*picture, *tensors.values()).double().numpy().transpose(0, 2, 3, 1)
    levels = (drawn - image.low) / (image.high - image.low) * 255
    if frame is not None:
        levels = levels[:, : frame.shape[1], : frame.shape[2]]
    return (levels[..., ::-1] if image.bgr else levels).clip(0, 255)


@pytest.mark.parametrize("family", SMALL)
def test_a_public_checkpoint_becomes_a_bundle_that_draws_the_same(
    tmp_path: Path, family: str, photos: list[NDArray[np.uint8]]
) -> None:
    net = network(family)
    path = saved(tmp_path / "f", family, net)
    loaded = load(None, LoadStep(checkpoint=path, sampling=2), tmp_path / "c", work(tmp_path))
    step = ExportStep(verify_sizes=((37, 51),))
    bundle = read_bundle(export(loaded, step, tmp_path / "b", work(tmp_path)).folder)
    feeder = Feeder([photos[0].copy()])
    for name, graph in sorted(graphs_of(loaded).items()):
        file = bundle.artifact.path(bundle.artifact.graphs[name].file)
        session = before_rounding(onnx.load(file)) if graph.ports.kind != "encoder" else None
        for number, size in enumerate(SIZES):
            feeds = feeder.feeds(graph.ports, size, number)
            if session is None:
                code = graph.eval()(*(torch.from_numpy(one.copy()) for one in feeds.values()))
                feeder.codes[graph.ports.outputs[0].name] = code.detach().numpy()
            else:
                _, levels = session.run(None, feeds)
                expected = by_hand(net, graph.image, graph, feeds)
                assert levels.shape == expected.shape
                assert np.abs(levels - expected).max() < LEVELS, (name, size)
                assert expected.std() > 1, (name, "shows nothing")
    assert all(list(bundle.golden(name)) for name in bundle.artifact.graphs)
    assert bundle.artifact.made_by["family"] == family
    if family in WITH_MORE:
        with pytest.raises(RecipeError, match="need nothing else"):
            plain_frames(bundle.artifact)


def test_a_graph_says_which_style_it_must_be_fed(tmp_path: Path) -> None:
    path = saved(tmp_path / "f", "adain", network("adain"))
    graphs = graphs_of(load(None, LoadStep(checkpoint=path), tmp_path / "c", work(tmp_path)))
    frame: Graph = graphs["frame"].ports
    assert frame.input("style") == graphs["encode_style"].ports.outputs[0]
    assert [port.name for port in frame.controls] == ["strength"]
