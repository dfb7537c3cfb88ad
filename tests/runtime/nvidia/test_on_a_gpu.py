"""What only a machine with an NVIDIA GPU can show; skipped elsewhere.

``pytest -m gpu tests/runtime/nvidia`` runs it, ``-m jetson`` what a Jetson alone can show.
"""

from __future__ import annotations

from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest

from stylepress.cache import Cache
from stylepress.errors import BackendError
from stylepress.runtime.backends import BACKENDS, Engine, EngineOptions, obstacle
from stylepress.runtime.bundle import read_bundle
from stylepress.runtime.choice import self_test
from stylepress.runtime.nvidia import device
from stylepress.runtime.nvidia.device import PLAN, PlanOptions, plan_here
from stylepress.runtime.nvidia.driver import Gpu, probe
from stylepress.runtime.nvidia.plan import check_version
from stylepress.runtime.prepared import ready
from tests.frames import Heard
from tests.gpu_record import keep

pytestmark = pytest.mark.gpu
ON_A_GPU = [name for name, kind in BACKENDS.items() if kind.gpu]
SIZE, ROUNDS = (512, 512), 200
BUNDLE = min((Path(__file__).parents[3] / "recipes").glob("*/bundle"))


def frames_a_second(engine: Engine, batch: int) -> float:
    """Frames of bytes in and out, copies and all, after the graph was captured."""
    frames = np.random.default_rng(0).integers(0, 256, (batch, *SIZE, 3), np.uint8)
    place = {"frame_out": np.empty_like(frames)}
    for _ in range(10):
        engine.run({"frame": frames}, place)
    began = perf_counter()
    for _ in range(ROUNDS):
        engine.run({"frame": frames}, place)
    return batch * ROUNDS / (perf_counter() - began)


def without_copies(engine: Any, batch: int) -> float:
    """Frames a second of the captured graph of ``torch_cuda`` alone, bytes in and out on the GPU."""
    import torch

    (lane,) = engine._all
    captured = next(one for shapes, one in lane.items() if shapes[0][0] == batch)
    torch.cuda.synchronize()
    began = perf_counter()
    for _ in range(ROUNDS):
        captured._graph.replay()
    torch.cuda.synchronize()
    return batch * ROUNDS / (perf_counter() - began)


@pytest.fixture
def gpu() -> Gpu:
    try:
        return probe()
    except BackendError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("compiler", ["tensorrt", "tensorrt_rtx"])
def test_a_plan_is_built_for_this_gpu_and_the_second_time_kept(
    compiler: str, gpu: Gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    cache, bundle, options = Cache(tmp_path / "cache"), read_bundle(BUNDLE), PlanOptions(compiler)
    built = plan_here(bundle, options, cache=cache, progress=Heard())
    version = str(built.made_by["compiler"])
    header = check_version(built.path(PLAN).read_bytes(), compiler, version)
    monkeypatch.setattr(device, "build_plan", lambda *a, **k: pytest.fail("compiled again"))
    assert plan_here(bundle, options, cache=cache, progress=Heard()) == built
    keep(
        {
            "test": "plan built and kept",
            "gpu": asdict(gpu),
            "compiler": f"{compiler} {version}",
            "header": header.release,
            "bundle": bundle.artifact.digest,
            "numbers": dict(built.numbers),
            "applied": built.made_by["applied"],
            "skipped": built.made_by["skipped"],
        }
    )


@pytest.mark.parametrize("backend", ON_A_GPU)
@pytest.mark.parametrize(
    "style", sorted(path.parent.name for path in BUNDLE.parents[1].glob("*/bundle"))
)
def test_an_engine_draws_the_golden_pictures_and_says_how_fast(
    backend: str, style: str, gpu: Gpu, tmp_path: Path
) -> None:
    if reason := obstacle(backend):
        pytest.skip(reason)
    bundle = read_bundle(BUNDLE.parents[1] / style / "bundle")
    cache = Cache(tmp_path / "cache")
    engine = ready(bundle, backend, options=EngineOptions(size=SIZE), cache=cache, progress=Heard())
    try:
        self_test(bundle, engine, bundle.placed_for(backend))
        speeds = {f"fps_batch_{n}": frames_a_second(engine, n) for n in (1, 8)}
        if backend == "torch_cuda":
            speeds |= {f"fps_batch_{n}_without_copies": without_copies(engine, n) for n in (1, 8)}
        described = dict(engine.describe())
    finally:
        engine.close()
    assert all(speed > 0 for speed in speeds.values())
    keep(
        {
            "test": "golden pictures drawn",
            "gpu": asdict(gpu),
            "backend": backend,
            "bundle": bundle.artifact.digest,
            "style": style,
            "size": SIZE,
            "speeds": speeds,
            "engine": described,
        }
    )


@pytest.mark.jetson
def test_a_jetson_runs_a_plan_in_the_memory_that_it_shares(gpu: Gpu, tmp_path: Path) -> None:
    if not gpu.integrated:
        pytest.skip("the GPU has memory of its own")
    if reason := obstacle("tensorrt"):
        pytest.skip(reason)
    bundle, cache = read_bundle(BUNDLE), Cache(tmp_path / "cache")
    options = EngineOptions(size=SIZE, lanes=2)
    engine = ready(bundle, "tensorrt", options=options, cache=cache, progress=Heard())
    try:
        self_test(bundle, engine)
        described = dict(engine.describe())
    finally:
        engine.close()
    assert described["memory"] == "mapped"
    keep(
        {
            "test": "plan in shared memory",
            "gpu": asdict(gpu),
            "mode": device.power_mode(),
            "bundle": bundle.artifact.digest,
            "engine": described,
        }
    )
