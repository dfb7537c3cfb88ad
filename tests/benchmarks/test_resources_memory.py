"""Memory while loading and while running are two figures, and sizes name their convention."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from stylepress.artifact import Artifact
from stylepress.benchmarks.check import Check
from stylepress.benchmarks.machine.timeline import Timeline, Window
from stylepress.benchmarks.machine.watch import Validity, Watch
from stylepress.benchmarks.timing.footprint import (
    gpu_bytes,
    measure_footprint,
    unified_bytes,
)
from stylepress.benchmarks.timing.systems import Contender, bundle_model
from stylepress.benchmarks.timing.worker import Answer, Request, fresh
from stylepress.errors import BackendError
from stylepress.progress import Silent
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import read_bundle

MEASURED = """
import time
from stylepress.benchmarks.timing.worker import Request, steps_of
for _ in steps_of(Request(bundle, "onnxruntime", 96, 128), time.perf_counter_ns()):
    pass
"""
BARE = """
from pathlib import Path
import numpy
from stylepress.runtime.backends import EngineOptions, open_engine
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import read_bundle
engine = open_engine(read_bundle(Path(bundle)), "onnxruntime", options=EngineOptions())
engine.run({"frame": numpy.zeros((1, 96, 128, 3), numpy.uint8)})
engine.describe()
"""
SECOND = 1_000_000_000
SIZE = (96, 128)


@pytest.fixture(scope="module")
def bundle(style: Mapping[str, Path]) -> Artifact:
    return Artifact.load(style["bundle"])


def timeline(**sensors: list[float]) -> Timeline:
    count = len(next(iter(sensors.values())))
    named = {
        "memory.available_bytes": "available",
        "gpu0.memory_bytes": "gpu",
        "gpu0.own_memory_bytes": "own",
        "clock.gpu_mhz": "clock",
    }
    return Timeline(
        tuple(
            (at * SECOND, {n: sensors[k][at] for n, k in named.items() if k in sensors})
            for at in range(count)
        )
    )


def test_gpu_memory_is_our_own_or_else_the_rise_of_what_is_in_use() -> None:
    used, own = [100.0, 300, 400, 350, 100], [0.0, 150, 250, 250, 0]
    assert gpu_bytes(timeline(gpu=used, own=own)) == 250
    assert gpu_bytes(timeline(gpu=used)) == 300


def test_gpu_memory_of_engines_that_were_open_before_is_not_this_ones() -> None:
    used, own = [500.0, 700, 800, 750, 500], [400.0, 550, 650, 650, 400]
    assert gpu_bytes(timeline(gpu=used, own=own)) == 250


def test_unified_memory_is_what_became_unavailable_on_a_board_that_has_it() -> None:
    available, whole = [1000.0, 990, 700, 600, 650, 640, 900], Window(SECOND, 6 * SECOND)
    board = timeline(available=available, clock=[1020.0] * 7)
    assert unified_bytes(board, whole) == 390
    assert unified_bytes(timeline(available=available), whole) is None


CHECKOUT = Path(__file__).parents[2]
FORGET = """
from stylepress.benchmarks.timing.worker import forget_peak, peak_bytes
if forget_peak():
    block = bytearray(64 << 20)
    high = peak_bytes()
    del block
    forget_peak()
    print(high - peak_bytes())
"""


def test_a_peak_can_be_forgotten() -> None:
    """In a process of its own: what else this one holds moves meanwhile."""
    done = subprocess.run(
        [sys.executable, "-c", FORGET], check=True, capture_output=True, text=True, cwd=CHECKOUT
    )
    if not done.stdout:
        pytest.skip("this system does not let a process forget its peak")
    assert int(done.stdout) > 32 << 20


def test_a_bundle_tells_bytes_parameters_and_macs(bundle: Artifact) -> None:
    own = read_bundle(bundle.folder)
    small, large = (bundle_model(own, "bundle", (side, side), "dots") for side in (128, 256))
    assert small.macs is not None
    assert large.macs == pytest.approx(4 * small.macs, rel=1e-6)
    assert small.parameters == bundle.numbers["params"]
    assert small.weights_bytes == bundle.size_bytes


def test_an_engine_in_a_fresh_process_tells_its_times_and_its_memory(bundle: Artifact) -> None:
    request = Request(str(bundle.folder), "onnxruntime", 96, 128, min_count=2, threads=1)
    [told] = fresh([request], os.environ)
    marks = [told.began, told.imported, told.opened, told.first, told.ended]
    assert marks == sorted(marks)
    assert (len(told.samples_ns), told.engine["backend"]) == (2, "onnxruntime")
    if told.load_bytes is not None:
        assert told.load_bytes > 20 << 20  # Python, numpy and the backend at least
        assert told.peak_rss_bytes == max(told.load_bytes, told.steady_bytes or 0)


def test_a_start_is_timed_with_nothing_imported_that_the_engine_does_not_need(
    bundle: Artifact,
) -> None:
    def modules(code: str) -> set[str]:
        tell = "\nimport json, sys; print(json.dumps([*sys.modules]))"
        told = subprocess.run(
            [sys.executable, "-c", f"bundle = {str(bundle.folder)!r}\n{code}{tell}"],
            check=True,
            capture_output=True,
            text=True,
        )
        return set(json.loads(told.stdout.splitlines()[-1]))

    own = {"stylepress.benchmarks", "stylepress.benchmarks.timing", "gc", "encodings.ascii"}
    own |= {f"stylepress.benchmarks.timing.{name}" for name in ("loop", "worker")}
    extra = modules(MEASURED) - modules(BARE) - own
    assert not extra


def canned(began_ns: int) -> Answer:
    """An engine that took a second until its first frame, and then ran for one more."""
    first = began_ns + SECOND
    return Answer(
        samples_ns=(1,), turns=(1,), engine={}, began=began_ns + 1, imported=began_ns + 2,
        opened=began_ns + 3, first=first, ended=first + SECOND, load_bytes=90, steady_bytes=40,
    )  # fmt: skip


class StubWatch(Watch):
    """Sees no sensor at all."""

    def judged(self, window: Window) -> Validity:
        return Validity(ok=True, events=(), samples=0)

    def timeline(self) -> Timeline:
        return Timeline((), {"nvml": "no driver"})


def taken(bundle: Artifact, backend: str, watch: Watch, environ: Mapping[str, str]) -> list[Check]:
    model, size = bundle_model(read_bundle(bundle.folder), "bundle", SIZE, "small"), SIZE
    one = Contender(model, backend, lambda f: f, {}, bundle=read_bundle(bundle.folder))
    asked = EngineOptions(size=size)
    return measure_footprint(one, asked, rounds=2, watch=watch, environ=environ, progress=Silent())


def test_a_footprint_tells_memory_of_the_last_start_and_why_there_is_none(
    bundle: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches: list[str] = []

    def answered(requests: Sequence[Request], environ: Mapping[str, str]) -> list[Answer]:
        [request] = requests
        cache = Path(str(request.cache))
        assert not list(cache.iterdir()) or len(caches) % 2 == 1  # a cold one has an empty cache
        caches.append(str(cache))
        (cache / "compiled").write_bytes(b"12345")
        return [canned(time.perf_counter_ns())]

    monkeypatch.setattr("stylepress.benchmarks.timing.footprint.fresh", answered)
    with StubWatch() as watch:
        made = taken(bundle, "null", watch, {})
    told = {one.metric: one.new for one in made}
    assert (told["memory, load"], told["memory, steady"]) == (90e-6, 40e-6)
    assert {one.metric: one.note for one in made if one.new is None} == {"GPU memory": "no driver"}
    assert "unified memory" not in told, "no system without a board has it"
    assert caches[0] == caches[1] != caches[2] == caches[3]


def test_a_real_engine_is_started_cold_and_warm(bundle: Artifact) -> None:
    with Watch() as watch:
        made = {one.metric: one.new for one in taken(bundle, "null", watch, os.environ)}
    assert made["cold start"]
    assert made["warm start"]


def test_an_engine_that_cannot_be_opened_is_the_users_to_know(tmp_path: Path) -> None:
    request = Request(str(tmp_path), "null", 96, 128)
    with pytest.raises(BackendError, match="no stylepress artifact"):
        fresh([request], os.environ)
