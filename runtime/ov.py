"""The OpenVINO backend, on the processor; by far the fastest on x86."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any

import numpy as np

from stylepress.errors import BackendError
from stylepress.ports import Graph
from stylepress.runtime.absent import without_module
from stylepress.runtime.backends import EngineOptions, closed
from stylepress.runtime.bundle import Bundle
from stylepress.runtime.feeds import (
    Array,
    Feeds,
    Results,
    complete,
    places,
    result_shape,
    trial_feeds,
)
from stylepress.runtime.layers import Layer

# With the first, importing it sends an event and makes ~/intel; the second is its converter, which
# takes three times as long to import as all the rest.
with without_module("openvino_telemetry"), without_module("openvino.tools"):
    import openvino  # type: ignore[import-untyped]

PRECISION = "f32"
"""Of what is not INT8 in the graph; unset, OpenVINO computes in bf16 where the processor can."""
KEPT_SIZES = 3
"""Compiled graphs kept for frames of other sizes than the one asked for."""

BLOB = "engine.blob"
"""What ``prepare`` leaves: a compiled graph as OpenVINO exports it, for one build of OpenVINO."""

Sizes = tuple[int, ...]
"""The sizes of all free dimensions of all inputs, in their order."""
ANY: Sizes = ()


def open_engine(
    bundle: Bundle, graph: str, options: EngineOptions, prepared: Path | None = None
) -> OvEngine:
    """Compile the verified bytes of a graph, for ``options.size`` if that is given.

    ``prepared`` is a folder that ``prepare`` wrote for the same graph and options.

    Raises:
        BackendError: this OpenVINO cannot read or compile the graph.
    """
    return OvEngine(Compiler(bundle, graph, options), options, prepared)


def prepare(bundle: Bundle, graph: str, options: EngineOptions, folder: Path) -> None:
    """Compile a graph and write it into ``folder``, from which it opens sooner.

    Raises:
        BackendError: this OpenVINO cannot read or compile the graph.
    """
    compiler = Compiler(bundle, graph, options)
    compiled = compiler.compile(compiler.usual)
    (folder / BLOB).write_bytes(compiled.export_model().getvalue())


def layers(bundle: Bundle, graph: str, options: EngineOptions, runs: int) -> tuple[Layer, ...]:
    """Compile a graph with the profiler on, run it so often, and return its layers in order.

    Raises:
        BackendError: this OpenVINO cannot read or compile the graph.
    """
    compiler = Compiler(bundle, graph, options, profiled=True)
    compiled = compiler.compile(compiler.usual)
    request = compiled.create_infer_request()
    feeds = complete(compiler.graph, trial_feeds(compiler.graph, options.size))
    times: dict[str, float] = {}
    for _ in range(runs):
        request.infer(dict(feeds))
        for part in request.get_profiling_info():
            taken = part.real_time.total_seconds() * 1e6
            times[part.node_name] = min(taken, times.get(part.node_name, taken))
    return tuple(_layers(compiled.get_runtime_model().get_ordered_ops(), times))


def _layers(nodes: list[Any], times: Mapping[str, float]) -> Iterator[Layer]:
    for node in nodes:
        facts = node.get_rt_info()
        kind, precision, names = (
            facts[key].astype(str) if key in facts else ""
            for key in ("layerType", "runtimePrecision", "originalLayersNames")
        )
        if kind in ("", "Input", "Output", "Const", "Constant"):
            continue
        yield Layer(
            kind="Conv" if kind == "Convolution" else kind,
            precision=precision.lower(),
            time_us=times.get(node.get_friendly_name(), 0.0),
            nodes=tuple(name for name in names.split(",") if name),
            moves=kind in ("Reorder", "Convert", "Transpose", "Reshape"),
        )


class Compiler:
    """Compile one graph, for one size or for any; ``profiled`` times each of its layers."""

    def __init__(
        self, bundle: Bundle, graph: str, options: EngineOptions, *, profiled: bool = False
    ) -> None:
        self.graph = bundle.graph(graph)
        self.place, self.opset = bundle.onnx_path(graph), bundle.facts[graph].opsets.get("")
        self.usual = _usual(self.graph, options)
        self._data = bundle.model(graph)
        self._core = openvino.Core()
        self._model: Any = None
        self._settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": PRECISION,
            "PERFORMANCE_HINT": "LATENCY" if options.lanes == 1 else "THROUGHPUT",
            "NUM_STREAMS": options.lanes,
            "INFERENCE_NUM_THREADS": max(options.all_threads, options.lanes),
            # Pinned threads cannot step aside for the decoder and the encoder.
            "ENABLE_CPU_PINNING": False,
            **({"PERF_COUNT": True} if profiled else {}),
        }

    def compile(self, sizes: Sizes) -> Any:
        """Compile for inputs of these sizes, or of ANY."""
        try:
            if self._model is None:  # not needed at all where a prepared graph is opened
                self._model = self._core.read_model(model=self._data)
        except RuntimeError as error:
            raise self._refused("read", error) from error
        try:
            model = self._model.clone()
            if sizes:
                model.reshape(_shapes(self.graph, sizes))
            return self._core.compile_model(model, "CPU", self._settings)
        except RuntimeError as error:
            raise self._refused("compile", error) from error

    def opened(self, blob: Path) -> Any:
        """Open what ``prepare`` wrote; compile anew when this OpenVINO cannot."""
        try:
            return self._core.import_model(blob.read_bytes(), "CPU", self._settings)
        except (RuntimeError, OSError):  # another build of OpenVINO wrote it: it costs time only
            return self.compile(self.usual)

    def _refused(self, verb: str, error: Exception) -> BackendError:
        return BackendError(
            f"OpenVINO {version()} cannot {verb} {self.place} (opset {self.opset}): "
            f"{_reason(error)}.",
            "Update openvino, or choose the onnxruntime backend.",
        )


def _usual(graph: Graph, options: EngineOptions) -> Sizes:
    """Return the sizes of one frame of ``options.size``; ANY where an input is no picture's."""
    if options.size is None or graph.picture is None:
        return ANY
    names = dict(zip(graph.picture.shape, (1, *options.size, 3), strict=True))
    free = [name for port in graph.inputs for name in port.shape if isinstance(name, str)]
    if any(name not in names for name in free):
        return ANY
    return tuple(names[name] for name in free)


def _shapes(graph: Graph, sizes: Sizes) -> dict[str, list[int]]:
    rest = iter(sizes)
    return {
        port.name: [size if isinstance(size, int) else next(rest) for size in port.shape]
        for port in graph.inputs
    }


class RequestPool:
    """A compiled graph with one infer request for each call that is worked on at once."""

    def __init__(self, compiled: Any, lanes: int) -> None:
        self.compiled = compiled
        self._free: SimpleQueue[Any] = SimpleQueue()
        for _ in range(lanes):
            self._free.put(compiled.create_infer_request())

    def run(
        self, arrays: Mapping[str, Array], results: Mapping[str, Array], graph: Graph
    ) -> Results:
        """Run on contiguous, writable arrays into ``results``; waits for a free lane."""
        request = self._free.get()
        try:
            # OpenVINO reads and writes these arrays in place and does not keep them alive: all are
            # set anew before each inference, and live in this call until it is over.
            for name, array in (*arrays.items(), *results.items()):
                request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
            request.infer(share_outputs=True)
            return {
                port.name: results[port.name]
                if port.name in results
                else np.array(request.get_tensor(port.name).data)
                for port in graph.outputs
            }
        finally:
            self._free.put(request)

    def facts(self) -> dict[str, str | int]:
        """Ask OpenVINO what it made: precision, threads, and the convolutions that run in 8 bit."""
        kinds: Counter[str] = Counter()
        for node in self.compiled.get_runtime_model().get_ops():
            facts = node.get_rt_info()
            if "layerType" in facts and facts["layerType"].astype(str) == "Convolution":
                kinds[facts["runtimePrecision"].astype(str)] += 1
        return {
            "precision": self.compiled.get_property("INFERENCE_PRECISION_HINT").to_string(),
            "threads": self.compiled.get_property("INFERENCE_NUM_THREADS"),
            "convolutions": sum(kinds.values()),
            "int8_convolutions": kinds["i8"] + kinds["u8"],
        }


class OvEngine:
    """One compiled graph, for ``options.size`` or for any, and a few more for other sizes."""

    def __init__(
        self, compiler: Compiler, options: EngineOptions, prepared: Path | None = None
    ) -> None:
        self.graph, self.lanes = compiler.graph, options.lanes
        self._usual, self._compiler, self._lock = compiler.usual, compiler, Lock()
        if prepared is not None and (prepared / BLOB).is_file():
            compiled = compiler.opened(prepared / BLOB)
        else:
            compiled = compiler.compile(compiler.usual)
        self._by_size = OrderedDict({self._usual: RequestPool(compiled, self.lanes)})
        self._facts: dict[str, str | int] = {}
        self._open = True

    def run(self, feeds: Feeds, out: Mapping[str, Array] | None = None) -> Results:
        """Run the graph once."""
        arrays = {
            name: array if array.flags.writeable else array.copy()  # it shares no other memory
            for name, array in complete(self.graph, feeds).items()
        }
        results = places(self.graph, out, arrays)
        for port in self.graph.outputs:
            shape = result_shape(self.graph, port, arrays)
            if port.name not in results and shape is not None:
                results[port.name] = np.empty(shape, port.dtype)
        try:
            return self._requests_for(arrays).run(arrays, results, self.graph)
        except RuntimeError as error:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
            raise BackendError(
                f"OpenVINO failed on {shapes}: {_reason(error)}.",
                "Try another backend, or a smaller frame.",
            ) from error

    def describe(self) -> Mapping[str, str | int]:
        """Tell version, precision, threads, and how many convolutions really run in 8 bit."""
        with self._lock:
            if (
                self._open and not self._facts
            ):  # asked when somebody wants to know: it takes a while
                self._facts = self._by_size[self._usual].facts()
        return {"backend": "openvino", "version": version(), "lanes": self.lanes, **self._facts}

    def close(self) -> None:
        """Drop the compiled graphs; calls under way are finished first."""
        with self._lock:
            self._open = False
            self._by_size.clear()

    def _requests_for(self, arrays: Mapping[str, Array]) -> RequestPool:
        sizes = tuple(
            size
            for port in self.graph.inputs
            for size, name in zip(arrays[port.name].shape, port.shape, strict=True)
            if isinstance(name, str)
        )
        with self._lock:
            if not self._open:
                raise closed("openvino")
            if self._usual == ANY:
                return self._by_size[ANY]
            if sizes not in self._by_size:
                self._by_size[sizes] = RequestPool(self._compiler.compile(sizes), self.lanes)
            self._by_size.move_to_end(sizes)
            self._by_size.move_to_end(self._usual)
            while len(self._by_size) > 1 + KEPT_SIZES:
                self._by_size.popitem(last=False)
            return self._by_size[sizes]


def version() -> str:
    """Return OpenVINO's version and build."""
    text: str = openvino.get_version()
    return text


def _reason(error: Exception) -> str:
    # The first lines name OpenVINO's own source files; the last says what happened.
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300].strip().rstrip(".")
