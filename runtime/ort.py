"""The onnxruntime backend on the processor, and sessions for its other providers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import BoundedSemaphore

import onnxruntime  # type: ignore[import-untyped]

from stylepress.errors import BackendError
from stylepress.ports import Graph
from stylepress.runtime.backends import EngineOptions, closed
from stylepress.runtime.bundle import Bundle
from stylepress.runtime.feeds import Array, Feeds, Results, complete, places, trial_feeds
from stylepress.runtime.layers import Layer

ERRORS_ONLY = 3
Provider = str | tuple[str, Mapping[str, str]]
"""A provider by name, alone or with its options."""
KERNEL = "_kernel_time"
"""What the profiler adds to the name of a node."""
MOVING = frozenset(
    {
        "QuantizeLinear",
        "DequantizeLinear",
        "Cast",
        "Transpose",
        "Reshape",
        "ReorderInput",
        "ReorderOutput",
    }
)


def open_engine(
    bundle: Bundle, graph: str, options: EngineOptions, prepared: Path | None = None
) -> OrtEngine:
    """Load the verified bytes of a graph into a session; there is nothing to prepare.

    Raises:
        BackendError: this onnxruntime cannot load the graph.
    """
    session = open_session(bundle, graph, options, ["CPUExecutionProvider"])
    return OrtEngine(session, bundle.graph(graph), options)


def layers(bundle: Bundle, graph: str, options: EngineOptions, runs: int) -> tuple[Layer, ...]:
    """Load a graph with the profiler on, run it so often, and return its layers in order.

    Raises:
        BackendError: this onnxruntime cannot load the graph.
    """
    with TemporaryDirectory() as folder:
        place = Path(folder) / "layers"
        session = open_session(bundle, graph, options, ["CPUExecutionProvider"], profile=place)
        wanted = bundle.graph(graph)
        feeds = complete(wanted, trial_feeds(wanted, options.size))
        for _ in range(runs):
            session.run(None, dict(feeds))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    timed: dict[str, Layer] = {}
    for event in events:
        name = str(event.get("name", ""))
        if not name.endswith(KERNEL):
            continue
        kind, node = str(event["args"].get("op_name", "")), name.removesuffix(KERNEL)
        least = min(float(event["dur"]), timed[node].time_us if node in timed else math.inf)
        eight = kind in ("QLinearConv", "ConvInteger")
        timed[node] = Layer(
            kind="Conv" if eight or kind == "FusedConv" else kind,
            precision="int8" if eight else "float32",
            time_us=least,
            # Brought into blocks of channels, a convolution is named by the tensor it makes.
            nodes=(node.removesuffix("_nchwc"),),
            moves=kind in MOVING,
        )
    return tuple(timed.values())


def open_session(
    bundle: Bundle,
    graph: str,
    options: EngineOptions,
    providers: Sequence[Provider],
    *,
    profile: Path | None = None,
) -> onnxruntime.InferenceSession:
    """Load the verified bytes of a graph for the first of the providers.

    ``profile`` is where the profiler begins the name of what it writes, None for no profiler.

    Raises:
        BackendError: this onnxruntime cannot load the graph, or not with that provider.
    """
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = ERRORS_ONLY
    if profile is not None:
        settings.enable_profiling = True
        settings.profile_file_prefix = str(profile)
    settings.intra_op_num_threads = options.lane_threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Waiting threads that spin take their core from the other lanes, the decoder and the encoder.
    spinning = "1" if options.lanes == 1 else "0"
    settings.add_session_config_entry("session.intra_op.allow_spinning", spinning)
    settings.add_session_config_entry("session.load_model_format", "ONNX")
    data = bundle.model(graph)
    try:
        session = onnxruntime.InferenceSession(data, settings, providers=providers)
    except Exception as error:  # its own errors share no base
        raise BackendError(
            f"onnxruntime {onnxruntime.__version__} cannot load {bundle.onnx_path(graph)}: {_line(error)}.",
            f"Update onnxruntime, or export with an older opset than {bundle.facts[graph].opsets.get('')}.",
        ) from error
    first = providers[0] if isinstance(providers[0], str) else providers[0][0]
    if first not in session.get_providers()[:1]:  # it goes on with the next one and says nothing
        raise BackendError(
            f"onnxruntime {onnxruntime.__version__} loads {bundle.onnx_path(graph)} without {first}.",
            "Install the CUDA, cuDNN and TensorRT that this onnxruntime was built for.",
        )
    return session


def need_provider(name: str) -> None:
    """Check that this onnxruntime was built with a provider; whether it loads is another matter.

    Raises:
        BackendError: it was not.
    """
    if name not in onnxruntime.get_available_providers():
        raise BackendError(
            f"This onnxruntime ({onnxruntime.__version__}) has no {name}.",
            "Run `pip uninstall onnxruntime`, then `pip install onnxruntime-gpu`.",
        )


class OrtEngine:
    """One session that ``lanes`` callers share; each call uses ``lane_threads`` threads."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        graph: Graph,
        options: EngineOptions,
        backend: str = "onnxruntime",
    ) -> None:
        self._backend = backend
        self.graph, self.lanes, self.threads = graph, options.lanes, options.lane_threads
        self._names = [port.name for port in graph.outputs]
        self._session: onnxruntime.InferenceSession | None = session
        self._turns = BoundedSemaphore(options.lanes)

    def run(self, feeds: Feeds, out: Mapping[str, Array] | None = None) -> Results:
        """Run the graph once."""
        arrays = complete(self.graph, feeds)
        wanted = places(self.graph, out, arrays)
        session = self._session
        if session is None:
            raise closed(self._backend)
        with self._turns:
            try:
                return self._results(session, arrays, wanted)
            except Exception as error:  # its own errors share no base
                shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
                raise BackendError(
                    f"onnxruntime failed on {shapes}: {_line(error)}.",
                    "Try another backend, or a smaller frame.",
                ) from error

    def _results(
        self,
        session: onnxruntime.InferenceSession,
        arrays: Mapping[str, Array],
        out: Mapping[str, Array],
    ) -> Results:
        if not out:
            return dict(zip(self._names, session.run(self._names, arrays), strict=True))
        binding = session.io_binding()
        for name, array in arrays.items():
            binding.bind_cpu_input(name, array)
        for name in self._names:
            if name in out:
                place = out[name]
                address = place.ctypes.data
                binding.bind_output(name, "cpu", 0, place.dtype.type, place.shape, address)
            else:
                binding.bind_output(name, "cpu")
        session.run_with_iobinding(binding)
        values = dict(zip(self._names, binding.get_outputs(), strict=True))
        return {n: out[n] if n in out else v.numpy() for n, v in values.items()}

    def describe(self) -> Mapping[str, str | int]:
        """Tell version, precision and threads."""
        return {
            "backend": self._backend,
            "version": onnxruntime.__version__,
            "precision": "as written in the graph",
            "threads": self.threads * self.lanes,
            "lanes": self.lanes,
        }

    def close(self) -> None:
        """Drop the session; frames under way are finished first."""
        self._session = None


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300].rstrip(".")
