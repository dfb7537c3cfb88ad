"""What each convolution of a network takes on an engine of this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import onnx
from torch import nn

from stylepress.export.bundle import GRAPH, sealed
from stylepress.export.frame_graph import MODEL, FrameGraph, ImageRange
from stylepress.export.onnx_file import onnx_model, serialized
from stylepress.ports import Graph, Port
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import read_bundle
from stylepress.runtime.layers import by_node, layers_of

TIMED = (512, 512)
"""Height and width of the frame that layers are timed on."""


def network_times(network: nn.Module, image: Port, engine: str) -> Mapping[str, float]:
    """Return the ms that each convolution of a network takes in float, by its name in the network.

    Raises:
        ExportError: the network cannot be exported.
        BackendError: the engine is not installed, or tells no times of layers.
    """
    graph = FrameGraph(network, ImageRange.of(image), least=image.least)
    return graph_times(onnx_model(graph), graph.ports, engine)


def graph_times(model: onnx.ModelProto, ports: Graph, engine: str) -> Mapping[str, float]:
    """Return the ms that each convolution of a frame graph takes, by its node.

    Raises:
        BackendError: the engine is not installed, or tells no times of layers.
    """
    own = _names(model)
    with tempfile.TemporaryDirectory() as folder:
        bundle = sealed(
            Path(folder) / "bundle",
            {MODEL: serialized(model)},
            name="layers",
            graphs={GRAPH: ports},
            made_by={"step": "export"},
            parent="",
            numbers={},
        )
        layers = layers_of(read_bundle(bundle.folder), engine, options=EngineOptions(size=TIMED))
    layer_of = by_node(layers, own)
    return {own[name]: layer.time_us / 1e3 for name, layer in layer_of.items()}


def _names(model: onnx.ModelProto) -> dict[str, str]:
    """Return the convolution of each name that an engine may know it by.

    Its own, or the tensor that it makes, behind its activation where that was fused.
    """
    names: dict[str, str] = {}
    outputs: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type == "Conv":
            names[node.name] = names[node.output[0]] = outputs[node.output[0]] = node.name
        elif node.op_type in ("Relu", "LeakyRelu", "Clip") and node.input[0] in outputs:
            names[node.output[0]] = outputs[node.input[0]]
    return names
