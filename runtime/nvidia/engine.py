"""Plans as engines: opened for the GPU that is there, run in lanes that share them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from stylepress.artifact import Artifact
from stylepress.cache import Cache
from stylepress.errors import ArtifactError, BackendError, StylepressError
from stylepress.ports import Graph
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions, closed
from stylepress.runtime.bundle import Bundle
from stylepress.runtime.feeds import Array, Feeds, Results, complete, places
from stylepress.runtime.nvidia.adapter import collecting_logger, refit
from stylepress.runtime.nvidia.build import build_plan
from stylepress.runtime.nvidia.device import PLAN, PlanOptions, order_of, plan_here, power_mode
from stylepress.runtime.nvidia.driver import Gpu, first_load, probe
from stylepress.runtime.nvidia.lane import Lane, Owner
from stylepress.runtime.nvidia.order import Size
from stylepress.runtime.nvidia.package import load, title
from stylepress.runtime.nvidia.plan import check_version
from stylepress.runtime.nvidia.tensors import tensors_of

USUAL_SIZE: Size = (512, 512)
BINDINGS = "Install it: `pip install 'cuda-bindings>=12.6'`; on JetPack 6 `'cuda-bindings==12.*'`."
WARM_UP, PROOF_ROUNDS = 3, 20
"""Frames that are timed for the record of a plan."""


def check_device() -> None:
    """Check that the package that runs plans is installed.

    Raises:
        BackendError: it is not.
    """
    if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
        raise BackendError("Running a plan needs the package cuda-bindings.", BINDINGS)


def keep(
    package: str,
    bundle: Bundle,
    graph: str,
    options: EngineOptions,
    cache: Cache,
    progress: Progress,
) -> Artifact:
    """Return the plan of a graph for this GPU, from the cache where it is kept.

    A new one is run before it is kept: how far it is from the golden pairs and what a frame takes
    stands in its manifest.

    Raises:
        BackendError: no driver, no compiler, or it cannot build this graph.
        OutputError: the cache cannot be written.
    """
    wanted = PlanOptions(package, options.size or USUAL_SIZE, mode=power_mode(), graph=graph)

    def prove(plan: bytes) -> Mapping[str, float]:
        return proof(bundle, graph, options, package, plan, progress)

    return plan_here(bundle, wanted, cache=cache, progress=progress, prove=prove)


def proof(
    bundle: Bundle,
    graph: str,
    options: EngineOptions,
    package: str,
    plan: bytes,
    progress: Progress,
) -> Mapping[str, float]:
    """Run a new plan: distance from the golden pairs in levels, milliseconds a frame.

    Nothing where it cannot be run here; a warning says why.
    """
    try:
        engine = PlanEngine(package, plan, bundle.graph(graph), EngineOptions())
        try:
            numbers, picture = {}, engine.graph.picture
            gaps = [
                np.abs(engine.run(pair.feeds)[name].astype(np.float64) - wanted)
                for pair in bundle.golden(graph)
                for name, wanted in pair.results.items()
            ]
            if gaps:
                numbers["golden_worst"] = max(float(gap.max()) for gap in gaps)
                numbers["golden_rms"] = max(float((gap**2).mean()) ** 0.5 for gap in gaps)
            if picture is not None:
                frame = np.zeros((1, *(options.size or USUAL_SIZE), 3), np.uint8)
                feeds = {picture.name: frame}
                times = [_timed(engine.run, feeds) for _ in range(WARM_UP + PROOF_ROUNDS)]
                numbers["frame_ms"] = median(times[WARM_UP:])
            return numbers
        finally:
            engine.close()
    except (StylepressError, ImportError) as error:
        progress.warn(f"The plan was built and could not be run for its record. {error}")
        return {}


def open_engine(
    package: str, bundle: Bundle, graph: str, options: EngineOptions, prepared: Path | None
) -> PlanEngine:
    """Open the plan that ``keep`` left, or build one where that is of another version.

    Raises:
        BackendError: no driver, no compiler, or it cannot build or load this graph.
    """
    gpu = probe()
    version = first_load(package)
    data = None
    if prepared is not None:
        try:
            data = (prepared / PLAN).read_bytes()
            check_version(data, package, version, "The kept plan")
        except (ArtifactError, BackendError, OSError):  # of another version: it costs time only
            data = None
    if data is None:
        wanted = PlanOptions(package, options.size or USUAL_SIZE, graph=graph)
        bundle.model(graph)  # the digest once more: what is compiled is what was sealed
        data = build_plan(order_of(bundle, wanted, gpu)).data
    return PlanEngine(package, data, bundle.graph(graph), options, gpu=gpu)


class PlanEngine:
    """A plan that ``lanes`` callers share: a context, a stream, memory and a thread each.

    Pictures beyond the largest batch of the plan go through it one batch after the other.
    ``weights`` is the ONNX file of a plan without weights; ``native`` are TensorRT's module and the
    driver, fakes in tests.
    """

    def __init__(
        self,
        package: str,
        plan: bytes,
        graph: Graph,
        options: EngineOptions,
        *,
        gpu: Gpu | None = None,
        native: tuple[Any, Any] | None = None,
        weights: bytes | None = None,
    ) -> None:
        self.graph, self.lanes, self._package = graph, options.lanes, package
        self._gpu = gpu or probe()
        self._trt, self._driver = native or (load(package), _driver())
        self._log: list[tuple[str, str]] = []
        self._owners: list[Owner] = []
        self._lanes: list[Lane] = []
        self._free: SimpleQueue[int] = SimpleQueue()
        self._open = True
        try:
            for number in range(options.lanes):
                self._owners.append(Owner(self._driver))
                if not number:
                    self._owners[0].do(self._load, plan, weights)
                self._lanes.append(self._owners[number].do(self._lane))
                self._free.put(number)
        except BaseException:
            self.close()
            raise

    def run(self, feeds: Feeds, out: Mapping[str, Array] | None = None) -> Results:
        """Run the graph once."""
        arrays = complete(self.graph, feeds)
        wanted = places(self.graph, out, arrays)
        number = self._free.get()
        try:
            if not self._open:
                raise closed(self._package)
            return self._owners[number].do(self._batches, self._lanes[number], arrays, wanted)
        finally:
            self._free.put(number)

    def describe(self) -> Mapping[str, str | int]:
        """Tell version, GPU, and whether calls are replayed as CUDA graphs."""
        return {
            "backend": self._package,
            "version": str(self._trt.__version__),
            "precision": "as written in the graph",
            "gpu": self._gpu.name,
            "threads": self.lanes,
            "lanes": self.lanes,
            "memory": "mapped" if self._gpu.integrated else "copied",
            "cuda_graph": "yes" if all(lane.captures for lane in self._lanes) else "no",
        }

    def close(self) -> None:
        """Let go of all lanes, the plan and the driver's context; calls under way are finished."""
        if not self._open:
            return
        self._open = False
        numbers = [self._free.get() for _ in self._lanes]  # no call is under way any more
        for owner in self._owners[: len(numbers)]:
            owner.do(self._lanes.pop(0).close)
        for owner in self._owners:
            owner.do(self._unload)
            owner.end()
        self._driver.close()
        for number in numbers:  # who still waits is told that it is closed
            self._free.put(number)

    def _load(self, plan: bytes, weights: bytes | None) -> None:
        self._runtime = self._trt.Runtime(collecting_logger(self._trt, self._log))
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise self._refused("loads no plan")
        if weights is not None:
            refit(self._trt, self._engine, weights, self._log)

    def _lane(self) -> Lane:
        context = self._engine.create_execution_context()
        if context is None:
            raise self._refused("makes no context")
        tensors = tensors_of(self._engine, context)
        ports = {port.name: port for port in (*self.graph.inputs, *self.graph.outputs)}
        listed = {tensor.name: tensor.dtype for tensor in tensors.every()}
        if listed != {name: port.dtype for name, port in ports.items()}:
            del context, tensors  # before the plan and the driver go
            raise BackendError(
                f"The plan has the tensors {listed}, the graph has the ports {sorted(ports)}.",
                "Build it again with `stylepress install`.",
            )
        return Lane(self._driver, tensors, mapped=self._gpu.integrated)

    def _unload(self) -> None:
        self._engine = self._runtime = None

    def _batches(
        self, lane: Lane, arrays: Mapping[str, Array], out: Mapping[str, Array]
    ) -> Results:
        free = {
            p.name for p in (*self.graph.inputs, *self.graph.outputs) if p.shape[:1] == ("batch",)
        }
        fed = [name for name in arrays if name in free]
        count = len(arrays[fed[0]]) if fed else 1
        most = lane.largest(fed[0])[0] if fed else 1
        if count <= most:
            return lane.run(arrays, out)
        parts: list[Results] = []
        for start in range(0, count, most):
            part = slice(start, start + most)
            some = {name: array[part] if name in free else array for name, array in arrays.items()}
            into = {name: array[part] if name in free else array for name, array in out.items()}
            parts.append(lane.run(some, into))
        results = dict(out)
        for name, last in parts[-1].items():
            if name not in out:
                every = [part_results[name] for part_results in parts]
                results[name] = np.concatenate(every) if name in free else last
        return results

    def _refused(self, what: str) -> BackendError:
        said = [line for kind, line in self._log if kind in ("ERROR", "INTERNAL_ERROR")]
        return BackendError(
            f"{title(self._package)} {self._trt.__version__} {what} ({(said or ['no reason'])[-1][:300]}).",
            "Build it again with `stylepress install`, or choose another backend.",
        )


def _driver() -> Any:
    from stylepress.runtime.nvidia.cuda import Cuda

    return Cuda()


def _timed(call: Callable[[Feeds], object], feeds: Feeds) -> float:
    began = perf_counter()
    call(feeds)
    return 1e3 * (perf_counter() - began)
