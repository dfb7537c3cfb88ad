"""Figures about engines here: INT8 on ONNX Runtime, OpenVINO's own tool, price and share of the roof.

Compared is processor time on one thread, in turns: a busy machine hardly changes it, while wall
time there says nothing.
"""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx.utils
import onnxruntime  # type: ignore[import-untyped]
import openvino  # type: ignore[import-untyped]
from onnx import numpy_helper

from stylepress.benchmarks.evidence.row import Row
from stylepress.benchmarks.evidence.setting import Setting, Shipped, turns
from stylepress.errors import VerificationError
from stylepress.export.lowering.bundle import golden_inputs
from stylepress.export.lowering.placement import for_onnxruntime, unplaced
from stylepress.export.lowering.ranges import limits
from stylepress.export.macs import cost
from stylepress.export.onnx_file import onnx_model, serialized
from stylepress.export.stage import frame_graph_of
from stylepress.export.verify import compare
from stylepress.runtime.backends import EngineOptions, open_engine
from stylepress.runtime.bundle import read_bundle

FASTER, SHIPPED = "INT8 against float on ONNX Runtime", "... with Q/DQ as shipped, not placed"
NEAR = "INT8 near float on ONNX Runtime"
BEYOND = "our OpenVINO engine beyond benchmark_app"
PRICE, SHARE = "frame graph beyond its bare network", "share of the INT8 peak"
TURNS, CALLS = 12, 4
APP_TURNS, APP_FRAMES = 3, (20, 100)
CHANNELS, SIDE, FEW, MANY = 64, 128, 4, 12
"""Of the chains of convolutions that the peak is taken of."""
Call = Callable[[], object]


def rows(setting: Setting) -> Iterator[Row]:
    """Measure ONNX Runtime for every style, OpenVINO for the one that stands for all."""
    for style in setting.styles:
        yield from _onnxruntime(setting, style)
    yield from _openvino(setting, setting.style)


def _taken(calls: Mapping[str, Call], *, rounds: int = TURNS) -> dict[str, list[float]]:
    return turns(calls, rounds=rounds, count=CALLS, clock=time.process_time)


def _ratio(one: Sequence[float], two: Sequence[float]) -> float:
    """Return the median of the ratios of each turn."""
    return median(a / b for a, b in zip(one, two, strict=True))


def _onnxruntime(setting: Setting, style: Shipped) -> Iterator[Row]:
    """Hold INT8, in both places of Q/DQ, against the same student in float."""
    student = onnx_model(frame_graph_of(style.student))
    shipped = onnx.load_model_from_string(read_bundle(style.bundle.folder).model())
    placed = for_onnxruntime(
        shipped, limits(shipped, unplaced(shipped), golden_inputs(style.bundle))
    )
    photos = setting.frames("heldout")
    feeds = {"frame": photos[0], "strength": np.ones(1, np.float32)}
    graphs = {"float": student, "shipped": shipped, "placed": placed}
    taken = _taken(
        {name: partial(_session(graph).run, None, feeds) for name, graph in graphs.items()}
    )
    note = ", ".join(f"{name} {median(values):.1f} ms" for name, values in taken.items())
    near, before = (
        compare(serialized(student), serialized(graph), photos).psnr_db
        for graph in (placed, shipped)
    )
    for figure, value, unit, said in (
        (FASTER, _ratio(taken["float"], taken["placed"]), "x", note),
        (SHIPPED, _ratio(taken["float"], taken["shipped"]), "x", ""),
        (NEAR, near, "dB", f"{len(photos)} held-out photos; as shipped {before:.1f} dB"),
    ):
        yield Row(figure, value, unit, style.name, digest=style.bundle.digest, note=said)


def _session(model: onnx.ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(
        serialized(model), options, providers=["CPUExecutionProvider"]
    )


def _openvino(setting: Setting, style: Shipped) -> Iterator[Row]:
    """Hold our engine against OpenVINO's own tool, its bare network and the peak."""
    bundle, frame, size = (
        read_bundle(style.bundle.folder),
        setting.frames("heldout")[0],
        setting.size,
    )
    engine = open_engine(bundle, "openvino", options=EngineOptions(threads=1, size=size))
    model = onnx.load_model_from_string(bundle.model())
    out = {"frame_out": np.empty_like(frame)}
    request = _request(_bare(model), {"x": [1, 3, *size], "frame": [1, *size, 3]})
    feeds = {"x": frame.transpose(0, 3, 1, 2).astype(np.float32) - 128, "frame": frame}
    calls: dict[str, Call] = {
        "engine": lambda: engine.run({"frame": frame}, out),
        "bare": lambda: request.infer(feeds, share_inputs=True, share_outputs=True),
    }
    peak, taken = _peak_macs_s(), _taken(calls)
    engine_ms, bare_ms = (median(taken[name]) for name in ("engine", "bare"))
    place, beyond, apps = setting.work / "model.onnx", [], []
    place.write_bytes(bundle.model())
    for _ in range(APP_TURNS):
        ours = _taken({"engine": calls["engine"]}, rounds=TURNS // 2)
        apps.append(_benchmark_app_ms(place, size))
        beyond.append(100 * (median(ours["engine"]) / apps[-1] - 1))
    engine.close()
    reached = cost(model, *size).macs / engine_ms * 1e3
    spread = ", ".join(f"{one:.1f}" for one in beyond)
    for figure, value, note in (
        (BEYOND, median(beyond), f"{spread} %; {median(apps):.2f} ms there"),
        (PRICE, 100 * (_ratio(taken["engine"], taken["bare"]) - 1), f"{engine_ms:.2f} and {bare_ms:.2f} ms"),
        (SHARE, 100 * reached / peak, f"{reached / 1e9:.0f} GMAC/s, a chain of 3x3 {peak / 1e9:.0f}"),
    ):  # fmt: skip
        yield Row(figure, value, "%", style.name, digest=style.bundle.digest, note=note)


def _request(model: onnx.ModelProto, sizes: Mapping[str, list[int]]) -> Any:
    core = openvino.Core()
    graph = core.read_model(serialized(model))
    graph.reshape(dict(sizes))
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
    return core.compile_model(graph, "CPU", settings).create_infer_request()


def _bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the network alone: from its first QuantizeLinear to its last shuffle, in float.

    Beside its input ``x`` it keeps ``frame``, of which it may read the size.
    """
    first = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")
    last = [node for node in model.graph.node if node.op_type in ("DepthToSpace", "Conv")][-1]
    whole = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(model))
    bare = whole.extract_model([first.input[0], "frame"], [last.output[0]])
    for node in bare.graph.node:
        node.input[:] = ["x" if name == first.input[0] else name for name in node.input]
    bare.graph.input[0].name = "x"
    return bare


def _peak_macs_s() -> float:
    """Return the MACs a second of 3x3 INT8 convolutions in OpenVINO, free of what is around them."""
    calls: dict[str, Call] = {}
    for layers in (FEW, MANY):
        sizes = {"x": [1, CHANNELS, SIDE, SIDE]}
        x = np.random.default_rng(0).normal(size=sizes["x"]).astype(np.float32)
        calls[str(layers)] = partial(
            _request(_chain(layers), sizes).infer, {0: x}, share_inputs=True
        )
    taken = _taken(calls)
    more_ms = min(taken[str(MANY)]) - min(taken[str(FEW)])
    return (MANY - FEW) * SIDE**2 * CHANNELS**2 * 9 / more_ms * 1e3


def _chain(layers: int) -> onnx.ModelProto:
    nodes = [
        f"q{n} = QuantizeLinear(r{n}, s, z) d{n} = DequantizeLinear(q{n}, s, z) "
        f"v{n} = DequantizeLinear<axis=0>(w, ws, wz) "
        f"c{n} = Conv<pads=[1, 1, 1, 1]>(d{n}, v{n}) r{n + 1} = Relu(c{n})"
        for n in range(layers)
    ]
    ports = f"(float[n, {CHANNELS}, h, w_] x) => (float[n, {CHANNELS}, h, w_] r{layers})"
    text = f'<ir_version: 8, opset_import: ["": 18]> chain {ports} {{ r0 = Identity(x) {" ".join(nodes)} }}'
    model = onnx.parser.parse_model(text)
    weight = np.random.default_rng(0).integers(-127, 128, (CHANNELS, CHANNELS, 3, 3), np.int8)
    tensors = {
        "s": np.float32(0.02), "z": np.int8(0), "w": weight,
        "ws": np.full(CHANNELS, 0.001, np.float32), "wz": np.zeros(CHANNELS, np.int8),
    }  # fmt: skip
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()
    )
    return model


def _benchmark_app_ms(place: Path, size: tuple[int, int]) -> float:
    """Return the processor time a frame of OpenVINO's own tool: of many frames less a few."""
    few, many = APP_FRAMES
    spent = {count: _app_s(place, size, count) for count in APP_FRAMES}
    return 1e3 * (spent[many] - spent[few]) / (many - few)


def _app_s(place: Path, size: tuple[int, int], count: int) -> float:
    words = [
        str(Path(sys.executable).with_name("benchmark_app")), "-m", str(place), "-d", "CPU",
        "-shape", f"frame[1,{size[0]},{size[1]},3],strength[1]", "-api", "sync", "-hint", "none",
        "-nstreams", "1", "-nthreads", "1", "-infer_precision", "f32", "-niter", str(count),
    ]  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode or not re.search(r"Count:\s+\d+ iterations", done.stdout):
        raise VerificationError(
            f"benchmark_app ended with {done.returncode}: {(done.stdout + done.stderr)[-300:]}.",
            "Install openvino again.",
        )
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
