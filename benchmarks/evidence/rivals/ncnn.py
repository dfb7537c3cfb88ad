"""A network in ncnn (Tencent), float32 on the processor, converted by its pnnx."""

from __future__ import annotations

from importlib.metadata import version

import ncnn as engine
import numpy as np
import pnnx
import torch

from stylepress.benchmarks.evidence.rivals.rival import Entry, Rival, converted, network_file
from stylepress.benchmarks.timing.baselines import framed
from stylepress.errors import BackendError


def ncnn(entry: Entry) -> Rival:
    """Convert and load the network.

    Raises:
        BackendError: pnnx or ncnn refuses it.
    """
    source = network_file(entry, "ncnn")
    layers, weights = (source.with_suffix(f".ncnn.{kind}") for kind in ("param", "bin"))
    shape = f"inputshape=[1,3,{entry.size[0]},{entry.size[1]}]"
    files = [f"ncnnparam={layers.name}", f"ncnnbin={weights.name}"]
    converted([pnnx.EXEC_PATH, source.name, shape, "fp16=0", *files], weights, engine="ncnn")
    net = engine.Net()
    net.opt.num_threads = entry.threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    if net.load_param(str(layers)) or net.load_model(str(weights)):
        raise BackendError(
            f"ncnn cannot load {layers.name}.", "Leave it out, or try another version."
        )
    (entrance,), (exit_,) = net.input_names(), net.output_names()

    def network(image: torch.Tensor) -> torch.Tensor:
        extractor = net.create_extractor()
        extractor.input(entrance, engine.Mat(np.ascontiguousarray(image[0].numpy())))
        failed, drawn = extractor.extract(exit_)
        if failed:
            raise BackendError("ncnn cannot run this network.", "Leave it out.")
        return torch.from_numpy(np.array(drawn))[None]

    return Rival("ncnn", f"ncnn {version('ncnn')}", "fp32", framed(entry.graph(), network))
