"""A plan for the GPU that is there: built once, known by its record, and built again when it must.

The GPU is a record here; the compiler is the real one, which needs no GPU.
"""

from __future__ import annotations

import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stylepress.artifact import Artifact
from stylepress.cache import Cache
from stylepress.errors import BackendError
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import read_bundle
from stylepress.runtime.nvidia import device
from stylepress.runtime.nvidia.build import build_plan
from stylepress.runtime.nvidia.device import PLAN, PlanOptions, plan_here, power_mode
from stylepress.runtime.nvidia.driver import Gpu
from stylepress.runtime.nvidia.engine import proof
from tests.frames import Heard

BUNDLE = min((Path(__file__).parents[3] / "recipes").glob("*/bundle"))
CARD = Gpu("NVIDIA GeForce RTX 4090", "8.9", 128, 24 << 30, integrated=False, driver=13020)
RTX = PlanOptions("tensorrt_rtx", (128, 128))


def no_driver() -> Gpu:
    raise BackendError("There is no NVIDIA driver here.", "Install it.")


def plan(cache: Cache, gpu: Gpu = CARD, options: PlanOptions = RTX) -> Artifact:
    return plan_here(
        read_bundle(BUNDLE), options, cache=cache, progress=Heard(), probe_gpu=lambda: gpu
    )


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    pytest.importorskip("tensorrt_rtx", reason="the compiler is not installed: stylepress[rtx]")
    return Cache(tmp_path / "cache")


def test_without_a_driver_nothing_is_loaded_or_written(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "first_load", lambda package: pytest.fail("loaded"))
    with pytest.raises(BackendError, match="no NVIDIA driver"):
        plan_here(read_bundle(BUNDLE), RTX, cache=cache, progress=Heard(), probe_gpu=no_driver)
    assert not cache.folder.exists()


def test_a_plan_is_built_once_and_again_when_it_is_not_the_one_that_was_kept(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = plan(cache)
    assert first.made_by["device"]["name"] == CARD.name
    assert first.made_by["onnx"] == Artifact.load(BUNDLE).files["model.onnx"].sha256
    assert first.made_by["applied"]["compute_capability"] == "SM89"
    assert first.numbers["int8_convolutions"] == first.numbers["convolutions"]
    with monkeypatch.context() as patch:
        patch.setattr(device, "build_plan", lambda *a, **k: pytest.fail("compiled again"))
        assert plan(cache) == first

    path = first.path(PLAN)
    path.write_bytes(path.read_bytes()[:-1])  # damaged
    assert plan(cache).numbers == first.numbers

    foreign = b"ftrt" + bytes(20) + bytes((10, 3, 0, 30)) + bytes(36)

    def fill(folder: Path) -> None:
        (folder / PLAN).write_bytes(foreign)

    Artifact.create(
        first.folder, fill, kind="engine", name="x", made_by=first.made_by, parent=first.parent
    )
    assert plan(cache).path(PLAN).read_bytes()[:4] == b"vtrt"  # whole, of another compiler


def test_a_plan_is_proven_before_it_is_kept_and_only_then(cache: Cache) -> None:
    proven = list[bytes]()

    def prove(data: bytes) -> dict[str, float]:
        proven.append(data)
        return {"golden_worst": 2.0, "frame_ms": 0.5}

    wanted = {"cache": cache, "progress": Heard(), "probe_gpu": lambda: CARD, "prove": prove}
    bundle = read_bundle(BUNDLE)
    first = plan_here(bundle, RTX, **wanted)  # type: ignore[arg-type]
    assert (first.numbers["golden_worst"], first.numbers["frame_ms"]) == (2.0, 0.5)
    assert plan_here(bundle, RTX, **wanted) == first  # type: ignore[arg-type]
    assert proven == [first.path(PLAN).read_bytes()]
    assert "golden_worst" not in plan(Cache(cache.folder.parent / "other")).numbers


def test_a_plan_that_cannot_be_run_here_has_no_proof_and_says_why() -> None:
    heard = Heard()
    bundle = read_bundle(BUNDLE)
    numbers = proof(bundle, bundle.main, EngineOptions(), "tensorrt", b"plan", heard)
    assert numbers == {}
    assert "could not be run for its record" in heard.warned[0]


def test_two_builders_at_once_build_one_plan(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    builds = list[str]()

    def counted(order: Any, **more: Any) -> Any:
        builds.append(order.package)
        return build_plan(order, **more)

    monkeypatch.setattr(device, "build_plan", counted)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: plan(cache), range(2))
    assert first == second
    assert builds == ["tensorrt_rtx"]
    assert Artifact.load(first.folder) == first


def test_a_plan_of_another_card_is_another_entry() -> None:
    bundle, keys = read_bundle(BUNDLE), set()
    gpus = [
        CARD,
        Gpu("NVIDIA GeForce RTX 4080", "8.9", 76, 16 << 30, integrated=False, driver=13020),
        Gpu(CARD.name, "8.9", 128, 24 << 30, integrated=False, driver=13030),
    ]
    for gpu in gpus:
        order = device.order_of(bundle, RTX, gpu)
        keys.add(str(device._record(bundle, order, RTX, gpu, "1.7.1.116")))
    assert len(keys) == 2  # another driver alone is no other device


def test_a_gpu_that_shares_its_memory_is_built_for_with_less() -> None:
    orin = Gpu("Orin", "8.7", 8, 8 << 30, integrated=True, driver=12060)
    order = device.order_of(read_bundle(BUNDLE), PlanOptions("tensorrt", mode="15W"), orin)
    assert (order.level, order.aux_streams, order.compute_capability) == (2, 0, None)
    assert order.workspace_bytes
    assert "int8" in order.precisions


def test_the_power_mode_is_read_by_name_and_only_of_a_jetson(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert power_mode(tmp_path) is None
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    files = {
        "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit Super\0",
        "proc/device-tree/compatible": "nvidia,p3768-0000+p3767-0005\0nvidia,tegra234\0",
        "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic\n",
        "proc/meminfo": "MemTotal:       7802412 kB\n",
        "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n",
        "var/lib/nvpmodel/status": "pmode:0000\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert power_mode(tmp_path) == "15W"
    (tmp_path / "var/lib/nvpmodel/status").write_text("pmode:0002\n", encoding="utf-8")
    assert power_mode(tmp_path) == "MAXN_SUPER"
