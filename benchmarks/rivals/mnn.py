"""A network in MNN (Alibaba), float32 on the processor."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import MNN.expr as F
import numpy as np
import torch
from MNN import nn

from stylepress.benchmarks.rivals.network_file import DRAWN, IMAGE, network_file
from stylepress.benchmarks.rivals.rival import Rival, converted
from stylepress.benchmarks.timing.baselines import framed
from stylepress.export.frame_graph import FrameGraph

CPU = 0


def mnn(graph: FrameGraph, size: tuple[int, int], threads: int, folder: Path) -> Rival:
    """Convert and load the network for frames of ``size`` (height, width), below ``folder``.

    Raises:
        BackendError: MNN's converter refuses it.
    """
    source = network_file(graph, size, folder)
    made = source.with_suffix(".mnn")
    convert = [sys.executable, "-m", "MNN.tools.mnnconvert", "-f", "ONNX", "--bizCode", "x"]
    converted(
        [*convert, "--modelFile", source, "--MNNModel", made], made, engine="MNN", folder=folder
    )
    settings = {"backend": CPU, "numThread": threads, "precision": "high"}
    runtime = nn.create_runtime_manager((settings,))
    module = nn.load_module_from_file(str(made), [IMAGE], [DRAWN], runtime_manager=runtime)

    def network(image: torch.Tensor) -> torch.Tensor:
        given = F.const(image.numpy(), list(image.shape), F.NCHW)
        drawn = F.convert(module.forward([given])[0], F.NCHW)
        return torch.from_numpy(np.array(drawn.read()))

    return Rival("MNN", f"MNN {version('MNN')}", "fp32", framed(graph, network))
