"""A network in MNN (Alibaba), float32 on the processor."""

from __future__ import annotations

import sys
from importlib.metadata import version

import MNN.expr as F
import numpy as np
import torch
from MNN import nn

from stylepress.benchmarks.evidence.rivals.rival import (
    DRAWN,
    IMAGE,
    Entry,
    Rival,
    converted,
    network_file,
)
from stylepress.benchmarks.timing.baselines import framed

CPU = 0


def mnn(entry: Entry) -> Rival:
    """Convert and load the network.

    Raises:
        BackendError: MNN's converter refuses it.
    """
    source = network_file(entry, "mnn")
    convert = [sys.executable, "-m", "MNN.tools.mnnconvert", "-f", "ONNX", "--bizCode", "x"]
    made = source.with_suffix(".mnn")
    files = ["--modelFile", str(source), "--MNNModel", str(made)]
    converted([*convert, *files], made, engine="MNN")
    settings = {"backend": CPU, "numThread": entry.threads, "precision": "high"}
    runtime = nn.create_runtime_manager((settings,))
    module = nn.load_module_from_file(str(made), [IMAGE], [DRAWN], runtime_manager=runtime)

    def network(image: torch.Tensor) -> torch.Tensor:
        entrance = F.const(image.numpy(), list(image.shape), F.NCHW)
        drawn = F.convert(module.forward([entrance])[0], F.NCHW)
        return torch.from_numpy(np.array(drawn.read()))

    return Rival("MNN", f"MNN {version('MNN')}", "fp32", framed(entry.graph(), network))
