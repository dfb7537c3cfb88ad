"""Figures about engines on this processor: INT8 on ONNX Runtime, OpenVINO's roof, layers and price.

``python -m stylepress.benchmarks.evidence.engines [--out FOLDER]`` writes ``engines.csv`` and
``layers.csv``. Compared is processor time on one thread, in turns: a busy machine hardly changes
it, while wall time there says nothing.
"""

from __future__ import annotations

import argparse
import csv
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
import onnx.utils
import onnxruntime  # type: ignore[import-untyped]
import openvino  # type: ignore[import-untyped]
from onnx import helper, numpy_helper

from stylepress.artifact import Artifact
from stylepress.errors import VerificationError
from stylepress.export.bundle import GRAPH
from stylepress.export.lowering.bundle import golden_inputs
from stylepress.export.lowering.placement import for_onnxruntime, unplaced
from stylepress.export.lowering.ranges import limits
from stylepress.export.macs import cost
from stylepress.export.onnx_file import onnx_model, serialized
from stylepress.export.stage import frame_graph_of
from stylepress.export.verify import compare, fitted
from stylepress.picture import Pixels
from stylepress.replace import replacing_file
from stylepress.runtime.backends import EngineOptions, open_engine
from stylepress.runtime.bundle import read_bundle
from stylepress.runtime.machine import processor

SIZE = (512, 512)
TURNS, CALLS = 12, 4
APP_TURNS, APP_FRAMES = 5, (20, 140)
STYLE = "strokes"
FASTER_BAR, NEAR_BAR_DB, APP_BAR, PRICE_BAR, SHARE_BAR = 1.2, 35.0, 3.0, 8.0, 40.0
KERNEL_CHANNELS, KERNEL_SIDE, FEW, MANY = 64, 128, 4, 12
Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of this processor, the bar it is held to, and what it was taken of."""

    figure: str
    value: float
    unit: str
    bar: str
    met: bool
    note: str


def turns(calls: Mapping[str, Call], *, rounds: int = TURNS) -> dict[str, list[float]]:
    """Return milliseconds of processor time a call, all of them in turns of the order ABBA."""
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        for name in list(calls) if number % 2 else list(calls)[::-1]:
            began = time.process_time()
            for _ in range(CALLS):
                calls[name]()
            taken[name].append(1e3 * (time.process_time() - began) / CALLS)
    return taken


def ratio(one: Sequence[float], two: Sequence[float]) -> float:
    """Return the median of the ratios of each turn."""
    return median(a / b for a, b in zip(one, two, strict=True))


def onnxruntime_figures(recipes: Path) -> Iterator[Figure]:
    """INT8 against the same student in float on ONNX Runtime, in both places of Q/DQ."""
    for style in sorted(place.parent.name for place in recipes.glob("*/bundle")):
        student = onnx_model(frame_graph_of(Artifact.load(recipes / style / "student")))
        bundle = Artifact.load(recipes / style / "bundle")
        shipped = onnx.load_model_from_string(bundle.path(bundle.graphs[GRAPH].file).read_bytes())
        photos = held_out(recipes)
        ranges = limits(shipped, unplaced(shipped), golden_inputs(bundle))
        placed = for_onnxruntime(shipped, ranges)
        graphs = {"float": student, "shipped": shipped, "placed": placed}
        frame = {"frame": photos[0], "strength": np.ones(1, np.float32)}
        sessions = {name: _session(graph) for name, graph in graphs.items()}
        taken = turns({name: partial(s.run, None, frame) for name, s in sessions.items()})
        faster = ratio(taken["float"], taken["placed"])
        note = f"{style}, {median(taken['float']):.1f} and {median(taken['placed']):.1f} ms"
        yield _least("INT8 against float on ONNX Runtime", faster, "times", FASTER_BAR, note)
        as_shipped = ratio(taken["float"], taken["shipped"])
        note = f"{style}, {median(taken['shipped']):.1f} ms; Q/DQ on inputs and weights only"
        yield Figure("the same, Q/DQ as shipped", as_shipped, "times", "", True, note)
        near = compare(serialized(student), serialized(placed), photos).psnr_db
        before = compare(serialized(student), serialized(shipped), photos).psnr_db
        note = f"{style}, {len(photos)} held-out photos; as shipped {before:.1f} dB"
        yield _least("INT8 near float on ONNX Runtime", near, "dB", NEAR_BAR_DB, note)


def openvino_figures(recipes: Path, layers: list[dict[str, Any]]) -> Iterator[Figure]:
    """Our engine against OpenVINO's own tool, the price of the frame graph, and the roof."""
    folder = recipes / STYLE / "bundle"
    bundle = read_bundle(folder)
    frame = held_out(recipes)[0]
    options = EngineOptions(threads=1, size=SIZE)
    engine = open_engine(bundle, "openvino", options=options)
    model = onnx.load_model_from_string(bundle.model())
    bare = _compiled(_bare(model), {"x": [1, 3, *SIZE], "frame": [1, *SIZE, 3]})
    inner = frame.transpose(0, 3, 1, 2).astype(np.float32) - 128
    network = {"x": inner, "frame": frame}
    out = {"frame_out": np.empty((1, *SIZE, 3), np.uint8)}
    request = bare.create_infer_request()
    peak = _peak_macs_s()
    taken = turns(
        {
            "engine": lambda: engine.run({"frame": frame}, out),
            "bare": lambda: request.infer(network, share_inputs=True, share_outputs=True),
        }
    )
    engine_ms = median(taken["engine"])
    beyond, apps = [], []
    for _ in range(APP_TURNS):
        ours = turns({"engine": lambda: engine.run({"frame": frame}, out)}, rounds=TURNS // 2)
        apps.append(_benchmark_app_ms(bundle.model()))
        beyond.append(100 * (median(ours["engine"]) / apps[-1] - 1))
    yield _most(
        "our engine beyond benchmark_app", median(beyond), "%", APP_BAR,
        f"{STYLE}, {', '.join(f'{one:.1f}' for one in beyond)} %; {median(apps):.2f} ms there",
    )  # fmt: skip
    yield _most(
        "frame graph beyond its bare network", 100 * (ratio(taken["engine"], taken["bare"]) - 1),
        "%", PRICE_BAR, f"{STYLE}, {engine_ms:.2f} and {median(taken['bare']):.2f} ms",
    )  # fmt: skip
    reached = cost(model, *SIZE).macs / engine_ms * 1e3
    yield _least(
        "share of the INT8 peak", 100 * reached / peak, "%", SHARE_BAR,
        f"{STYLE}, {reached / 1e9:.0f} of {peak / 1e9:.0f} GMAC/s on one core; the peak is a chain "
        f"of 3x3 convolutions on {KERNEL_CHANNELS} channels in OpenVINO",
    )  # fmt: skip
    layers += layer_table(model, frame)
    engine.close()


def layer_table(model: onnx.ModelProto, frame: Pixels, *, runs: int = 60) -> list[dict[str, Any]]:
    """Return where OpenVINO spends a frame: milliseconds and share of each layer, slowest first.

    The least of all runs counts: what disturbs only adds.
    """
    sizes = {"frame": [1, *SIZE, 3], "strength": [1]}
    request = _compiled(model, sizes, {"PERF_COUNT": True}).create_infer_request()
    feeds = {"frame": frame, "strength": np.ones(1, np.float32)}
    least: dict[tuple[str, str, str], float] = {}
    for _ in range(runs):
        request.infer(feeds)
        for node in request.profiling_info:
            key = (node.node_name, node.node_type, node.exec_type)
            taken = 1e3 * node.real_time.total_seconds()
            least[key] = min(taken, least.get(key, taken))
    total = sum(least.values())
    return [
        {"layer": n, "type": t, "kernel": k, "ms": round(ms, 4), "percent": round(100 * ms / total, 1)}
        for (n, t, k), ms in sorted(least.items(), key=lambda one: -one[1])
        if ms > 0
    ]  # fmt: skip


def held_out(recipes: Path) -> list[Pixels]:
    """Return the held-out photos at the size that is measured."""
    from PIL import Image

    places = sorted((recipes / "photos" / "heldout").glob("*.jpg"))
    return [
        fitted(np.asarray(Image.open(place).convert("RGB"), np.uint8)[np.newaxis], SIZE)
        for place in places
    ]


def _session(model: onnx.ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(
        serialized(model), options, providers=["CPUExecutionProvider"]
    )


def _compiled(
    model: onnx.ModelProto, sizes: Mapping[str, list[int]], more: Mapping[str, Any] | None = None
) -> Any:
    core = openvino.Core()
    graph = core.read_model(serialized(model))
    graph.reshape(dict(sizes))
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
    return core.compile_model(graph, "CPU", {**settings, **(more or {})})


def _bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the network alone: from its first QuantizeLinear to its last shuffle, in float."""
    first = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")
    last = [node for node in model.graph.node if node.op_type in ("DepthToSpace", "Conv")][-1]
    inferred = onnx.shape_inference.infer_shapes(model)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "bare.onnx"
        onnx.save(inferred, f"{folder}/whole.onnx")
        sizes = _between(inferred, first.input[0], last.output[0])
        inputs = [first.input[0], *sizes]
        onnx.utils.extract_model(f"{folder}/whole.onnx", str(place), inputs, [last.output[0]])
        bare = onnx.load(str(place))
    for node in bare.graph.node:
        node.input[:] = ["x" if name == first.input[0] else name for name in node.input]
    bare.graph.input[0].name = "x"
    return bare


def _between(model: onnx.ModelProto, start: str, end: str) -> list[str]:
    """Return what else the part from ``start`` to ``end`` reads: the frame, for its size."""
    makers = {name: node for node in model.graph.node for name in node.output}
    needed, waiting = list[str](), [end]
    done: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in done or name == start:
            continue
        done.add(name)
        if name in {port.name for port in model.graph.input}:
            needed.append(name)
        elif name in makers:
            waiting += makers[name].input
    return needed


def _peak_macs_s() -> float:
    """Return the MACs a second of 3x3 INT8 convolutions in OpenVINO, free of what is around them."""
    calls: dict[str, Call] = {}
    for layers in (FEW, MANY):
        sizes = {"x": [1, KERNEL_CHANNELS, KERNEL_SIDE, KERNEL_SIDE]}
        request = _compiled(_chain(layers), sizes).create_infer_request()
        x = np.random.default_rng(0).normal(size=sizes["x"]).astype(np.float32)
        calls[str(layers)] = partial(request.infer, {0: x}, share_inputs=True)
    taken = turns(calls)
    more_ms = min(taken[str(MANY)]) - min(taken[str(FEW)])
    return (MANY - FEW) * KERNEL_SIDE**2 * KERNEL_CHANNELS**2 * 9 / more_ms * 1e3


def _chain(layers: int) -> onnx.ModelProto:
    random = np.random.default_rng(0)
    steps = {"s": np.float32(0.02), "z": np.int8(0)}
    weights = {
        "ws": np.full(KERNEL_CHANNELS, 0.001, np.float32), "wz": np.zeros(KERNEL_CHANNELS, np.int8)
    }  # fmt: skip
    nodes, tensors, x = [], {**steps, **weights}, "x"
    for layer in range(layers):
        shape = (KERNEL_CHANNELS, KERNEL_CHANNELS, 3, 3)
        tensors[f"w{layer}"] = random.integers(-127, 128, shape, np.int8)
        nodes += [
            helper.make_node("QuantizeLinear", [x, "s", "z"], [f"q{layer}"]),
            helper.make_node("DequantizeLinear", [f"q{layer}", "s", "z"], [f"d{layer}"]),
            helper.make_node("DequantizeLinear", [f"w{layer}", "ws", "wz"], [f"v{layer}"], axis=0),
            helper.make_node("Conv", [f"d{layer}", f"v{layer}"], [f"c{layer}"], pads=[1] * 4),
            helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]),
        ]
        x = f"r{layer}"
    shape_of: list[str | int] = ["n", KERNEL_CHANNELS, "h", "w"]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape_of)],
        [helper.make_tensor_value_info(x, onnx.TensorProto.FLOAT, shape_of)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _benchmark_app_ms(model: bytes) -> float:
    """Return the processor time a frame of OpenVINO's own tool: of many frames less a few."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "model.onnx"
        place.write_bytes(model)
        spent = {count: _app_s(place, count) for count in APP_FRAMES}
    few, many = APP_FRAMES
    return 1e3 * (spent[many] - spent[few]) / (many - few)


def _app_s(place: Path, count: int) -> float:
    height, width = SIZE
    words = [
        str(Path(sys.executable).with_name("benchmark_app")), "-m", str(place), "-d", "CPU",
        "-shape", f"frame[1,{height},{width},3],strength[1]", "-api", "sync", "-hint", "none",
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


def _least(name: str, value: float, unit: str, bar: float, note: str) -> Figure:
    return Figure(name, value, unit, f">= {bar:g}", value >= bar, note)


def _most(name: str, value: float, unit: str, bar: float, note: str) -> Figure:
    return Figure(name, value, unit, f"<= {bar:g}", value <= bar, note)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the tables, print the figures; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipes", type=Path, default=Path("recipes"))
    parser.add_argument("--out", type=Path, default=Path("docs/devices"))
    options = parser.parse_args(arguments)
    layers: list[dict[str, Any]] = []
    figures = [*onnxruntime_figures(options.recipes), *openvino_figures(options.recipes, layers)]
    rows = [
        asdict(one) | {"value": float(f"{one.value:.4g}"), "processor": processor()}
        for one in figures
    ]
    names = [*(field.name for field in fields(Figure)), "processor"]
    _write(options.out / "engines.csv", names, rows)
    _write(options.out / "layers.csv", list(layers[0]), layers)
    for one in figures:
        said = f" ({one.bar}: {'yes' if one.met else 'NO'})" if one.bar else ""
        sys.stdout.write(f"{one.figure}: {one.value:.4g} {one.unit}{said}; {one.note}\n")
    return 0 if all(one.met for one in figures) else 1


def _write(place: Path, names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    with replacing_file(place) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
