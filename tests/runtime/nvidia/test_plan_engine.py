"""Plans as engines, against the recorded interfaces and a driver that counts; nothing ran on a GPU.

What a plan "computes" here is a copy of its input: it shows that bytes arrive where they should.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stylepress.errors import BackendError
from stylepress.ports import Graph
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import read_bundle
from stylepress.runtime.nvidia.cuda import Cuda
from stylepress.runtime.nvidia.driver import Gpu
from stylepress.runtime.nvidia.engine import PlanEngine
from tests.runtime.nvidia.fake_driver import FakeDriver
from tests.runtime.nvidia.fakes import VERSIONS, Fake

CARD = Gpu("NVIDIA GeForce RTX 4090", "8.9", 128, 24 << 30, integrated=False, driver=13020)
ORIN = Gpu("Orin", "8.7", 8, 8 << 30, integrated=True, driver=12060)
LARGEST = 2, 64, 64, 3
NAMED = [
    ("ICudaEngine", "num_io_tensors"),
    ("ICudaEngine", "get_tensor_name"),
    ("IExecutionContext", "set_input_shape"),
    ("IExecutionContext", "set_tensor_address"),
    ("IExecutionContext", "execute_async_v3"),
]
"""What 8.4 does not have."""
DTYPES = {"uint8": "UINT8", "float32": "FLOAT"}


class Copying:
    """A fake module whose plan copies ``frame`` to ``frame_out``, on a fake driver."""

    def __init__(self, version: str, graph: Graph, *failing: str) -> None:
        self.driver = FakeDriver(failing)
        self.inputs = [port.name for port in graph.inputs]
        self.ports = {port.name: port for port in (*graph.inputs, *graph.outputs)}
        self.names = list(self.ports)
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.fake = Fake(version, self._values())

    def _values(self) -> dict[str, Any]:
        def name(at: int | str) -> str:
            return self.names[at] if isinstance(at, int) else at

        def largest(one: Any, two: Any) -> list[tuple[int, ...]]:
            wanted = one if isinstance(one, str) else name(two)
            return [(1,), (1,), LARGEST[: len(self.ports[wanted].shape)]]

        def accept(at: int | str, shape: tuple[int, ...]) -> bool:
            self.shapes[name(at)] = tuple(shape)
            return all(side <= most for side, most in zip(shape, LARGEST, strict=False))

        def dtype(at: int | str) -> Any:
            return self.fake.classes["DataType"][DTYPES[self.ports[name(at)].dtype]]

        def mode(at: str) -> Any:
            return self.fake.classes["TensorIOMode"]["INPUT" if at in self.inputs else "OUTPUT"]

        def run(*arguments: Any) -> bool:
            if len(arguments) > 1:  # the older way: all addresses at once
                self.addresses = dict(zip(self.names, arguments[0], strict=True))
            start, end = self.addresses["frame"], self.addresses["frame_out"]
            size = prod(self.shapes["frame"])
            self.driver.do(lambda: ctypes.memmove(end, start, size))
            return True

        return {
            "num_io_tensors": len(self.names),
            "num_bindings": len(self.names),
            "all_binding_shapes_specified": True,
            "get_tensor_name": name,
            "get_binding_name": name,
            "get_tensor_mode": mode,
            "binding_is_input": lambda at: name(at) in self.inputs,
            "get_tensor_dtype": dtype,
            "get_binding_dtype": dtype,
            "get_tensor_profile_shape": largest,
            "get_profile_shape": largest,
            "set_input_shape": accept,
            "set_binding_shape": accept,
            "infer_shapes": list,
            "get_tensor_shape": lambda at: self.shapes["frame"],
            "get_binding_shape": lambda at: self.shapes["frame"],
            "set_tensor_address": lambda at, place: (
                bool(self.addresses.update({at: place})) or True
            ),
            "execute_async_v3": run,
            "execute_async_v2": run,
        }

    def engine(
        self, graph: Graph, gpu: Gpu = CARD, *, weights: bytes | None = None, **options: Any
    ) -> PlanEngine:
        return PlanEngine(
            "tensorrt",
            b"plan",
            graph,
            EngineOptions(**options),
            gpu=gpu,
            native=(self.fake.module, Cuda(self.driver)),
            weights=weights,
        )


@pytest.fixture
def graph(toy_bundle: Path) -> Graph:
    return read_bundle(toy_bundle).graph()


def frames(count: int, height: int = 8, width: int = 6, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


# 8.4 has no tensors of bytes: its bindings by number are those of 8.6, which has both ways.
@pytest.mark.parametrize("version", [v for v in VERSIONS if v != "8_4"] + ["8_6 by number"])
def test_frames_arrive_and_everything_that_was_taken_is_given_back(
    version: str, graph: Graph
) -> None:
    old = version.endswith("by number")
    plan = Copying(version.split()[0], graph)
    if old:
        for group, name in NAMED:
            del plan.fake.surface["classes"][group]["attrs"][name]
    engine = plan.engine(graph)
    for seed, size in enumerate([(8, 6), (8, 6), (8, 6), (32, 20), (4, 4), (8, 6)]):
        frame = frames(1, *size, seed=seed)
        assert np.array_equal(engine.run({"frame": frame})["frame_out"], frame)
    engine.close()
    engine.close()
    assert plan.driver.held == {}
    assert bool(plan.fake.called("execute_async_v2")) is old
    assert bool(plan.fake.called("execute_async_v3")) is not old
    with pytest.raises(BackendError, match="is closed"):
        engine.run({"frame": frames(1)})


def test_a_shape_that_comes_again_is_captured_once_and_replayed(graph: Graph) -> None:
    plan = Copying("10_3", graph)
    engine = plan.engine(graph)
    for seed in range(5):
        frame = frames(1, seed=seed)
        assert np.array_equal(engine.run({"frame": frame})["frame_out"], frame)
    counts = plan.driver.counts
    assert (counts["cuStreamBeginCapture"], counts["cuGraphLaunch"]) == (1, 4)
    assert len(plan.fake.called("execute_async_v3")) == 2  # plainly, and into the graph
    assert engine.describe()["cuda_graph"] == "yes"
    engine.close()
    assert plan.driver.held == {}


@pytest.mark.parametrize("failing", ["cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphInstantiate"])  # fmt: skip
def test_where_capturing_fails_frames_go_the_plain_way(failing: str, graph: Graph) -> None:
    plan = Copying("10_3", graph, failing)
    engine = plan.engine(graph)
    for seed in range(4):
        frame = frames(1, seed=seed)
        assert np.array_equal(engine.run({"frame": frame})["frame_out"], frame)
    assert plan.driver.counts[failing] == 1
    assert plan.driver.counts["cuGraphLaunch"] == 0
    assert engine.describe()["cuda_graph"] == "no"
    engine.close()
    assert plan.driver.held == {}


def test_where_the_gpu_shares_memory_nothing_is_copied(graph: Graph) -> None:
    plan = Copying("10_3", graph)
    engine = plan.engine(graph, ORIN)
    frame = frames(1)
    assert np.array_equal(engine.run({"frame": frame})["frame_out"], frame)
    counts = plan.driver.counts
    assert counts["cuMemHostGetDevicePointer"] == len(plan.names)
    assert counts["cuMemAlloc"] == counts["cuMemcpyHtoDAsync"] == counts["cuMemcpyDtoHAsync"] == 0
    engine.close()
    assert plan.driver.held == {}


def test_lanes_share_one_plan_and_have_a_context_each(graph: Graph) -> None:
    plan = Copying("11_4", graph)
    engine = plan.engine(graph, lanes=3)
    assert len(plan.fake.called("deserialize_cuda_engine")) == 1
    assert len(plan.fake.called("create_execution_context")) == 3
    assert plan.driver.counts["cuStreamCreate"] == 3
    assert plan.driver.counts["cuDevicePrimaryCtxRetain"] == 1
    engine.close()
    assert plan.driver.held == {}


def test_more_frames_than_a_plan_takes_go_through_it_in_turns(graph: Graph) -> None:
    plan = Copying("10_16", graph)
    engine = plan.engine(graph)
    frame, place = frames(5), np.empty((5, 8, 6, 3), np.uint8)
    assert np.array_equal(engine.run({"frame": frame})["frame_out"], frame)
    strength = np.linspace(0, 1, 5, dtype=np.float32)
    results = engine.run({"frame": frame, "strength": strength}, {"frame_out": place})
    assert results["frame_out"] is place
    assert np.array_equal(place, frame)
    engine.close()


def test_a_frame_larger_than_the_profile_is_refused_with_the_mend(graph: Graph) -> None:
    plan = Copying("10_3", graph)
    engine = plan.engine(graph)
    with pytest.raises(BackendError, match=r"up to \(2, 64, 64, 3\).*install BUNDLE --size"):
        engine.run({"frame": frames(1, 65, 8)})
    assert np.array_equal(engine.run({"frame": frames(1)})["frame_out"], frames(1))
    engine.close()
    assert plan.driver.held == {}


@pytest.mark.parametrize("failing", ["cuMemAlloc", "cuMemHostAlloc"])
def test_too_little_memory_is_a_sentence_and_leaves_nothing_behind(
    failing: str, graph: Graph
) -> None:
    plan = Copying("10_3", graph, failing)
    engine = plan.engine(graph)
    with pytest.raises(BackendError, match=r"CUDA_ERROR_OUT_OF_MEMORY.*fewer lanes"):
        engine.run({"frame": frames(1)})
    engine.close()
    assert plan.driver.held == {}


@pytest.mark.parametrize("missing", ["deserialize_cuda_engine", "create_execution_context"])
def test_a_plan_that_tensorrt_refuses_leaves_nothing_behind(missing: str, graph: Graph) -> None:
    plan = Copying("10_3", graph)
    plan.fake.values[missing] = None
    with pytest.raises(BackendError, match=r"TensorRT 10\.3\.0 (loads no plan|makes no context)"):
        plan.engine(graph)
    assert plan.driver.held == {}


def test_a_plan_without_weights_is_filled_when_it_is_loaded(graph: Graph) -> None:
    plan = Copying("10_3", graph)
    engine = plan.engine(graph, weights=b"onnx")
    assert plan.fake.called("refit_from_bytes") == [(b"onnx",)]
    engine.close()
    plan.fake.values |= {"refit_cuda_engine": False, "get_missing_weights": lambda: ["a.weight"]}
    with pytest.raises(BackendError, match="do not fill the plan"):
        plan.engine(graph, weights=b"other")
    assert plan.driver.held == {}


def test_many_callers_get_their_own_frames(graph: Graph) -> None:
    plan = Copying("10_3", graph)
    engine = plan.engine(graph)
    every = [frames(1, seed=seed) for seed in range(16)]
    work: Callable[[Any], Any] = lambda frame: engine.run({"frame": frame})["frame_out"]
    with ThreadPoolExecutor(4) as pool:
        for frame, result in zip(every, pool.map(work, every), strict=True):
            assert np.array_equal(result, frame)
    engine.close()


def test_the_fake_driver_has_no_function_that_the_real_one_lacks() -> None:
    driver = pytest.importorskip("cuda.bindings.driver")
    names = [
        name for name in vars(FakeDriver) if name.lower().startswith("cu") and name[2].isupper()
    ]
    assert len(names) > 15
    assert [name for name in names if not hasattr(driver, name)] == []


def test_without_a_driver_the_real_package_ends_in_a_sentence() -> None:
    pytest.importorskip("cuda.bindings.driver")
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        with pytest.raises(BackendError, match="has no cuInit"):
            Cuda()
