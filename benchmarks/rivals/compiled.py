"""The teacher or student under ``torch.compile``."""

from __future__ import annotations

import warnings
from importlib.metadata import version

import torch

from stylepress.benchmarks.rivals.rival import Rival
from stylepress.benchmarks.timing.baselines import framed
from stylepress.benchmarks.timing.systems import Pixels
from stylepress.export.frame_graph import FrameGraph


def compiled(graph: FrameGraph, threads: int, frame: Pixels) -> Rival:
    """Compile the network with TorchInductor, for frames of the size of ``frame``.

    Needs a C++ compiler, as PyTorch does for any processor.
    """
    torch.set_num_threads(threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of its own parts
        run = framed(graph, torch.compile(graph.network.eval(), dynamic=False))
        run(frame)
    return Rival("torch.compile", f"torch {version('torch')}", "fp32", run)
