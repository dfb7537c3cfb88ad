"""Several frames at once: batches in one call, and lanes side by side, against one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import numpy as np

from stylepress.benchmarks.figures.result import Result
from stylepress.benchmarks.tables.setting import Setting
from stylepress.benchmarks.timing.latency import Plan, System, measure, speedup
from stylepress.runtime.backends import EngineOptions, missing, open_engine
from stylepress.runtime.bundle import Bundle, load_bundle

SIZES = ((256, 256), (512, 512))
TOGETHER = 8
PLAN = Plan(rounds=10, turn_s=0.2, warm_up=2)
ALONE = "one at a time"
GAIN, RATE = "throughput over one at a time", "frames a second"


def together_results(setting: Setting, *, plan: Plan = PLAN) -> Iterator[Result]:
    """Measure the INT8 student: eight frames one by one, as one batch, and in lanes."""
    if "openvino" in missing():
        setting.progress.warn("Batches and lanes are left out. OpenVINO is not installed.")
        return
    bundle = load_bundle(setting.style.bundle.folder)
    for size in SIZES:
        yield from _at(bundle, size, plan, setting)


def _at(bundle: Bundle, size: tuple[int, int], plan: Plan, setting: Setting) -> Iterator[Result]:
    frames = np.concatenate([photo.frame for photo in setting.heldout(size)])
    frames = np.ascontiguousarray(np.resize(frames, (TOGETHER, *size, 3)))
    with ExitStack() as stack:
        systems = list(_ways(bundle, size, setting.threads, stack))
        plain, *others = measure(systems, lambda: frames, plan=plan, progress=setting.progress)
    at, digest = f"{size[1]}x{size[0]}", bundle.artifact.digest
    for timing in (plain, *others):
        rate = 1e3 * TOGETHER / timing.median_ms
        yield Result("student", timing.name, "int8", at, RATE, rate, "fps", digest=digest)
    for timing in others:
        ratio = speedup(timing, plain)
        yield Result(
            *("student", timing.name, "int8", at, GAIN, ratio.value, "x"),
            low=ratio.low,
            high=ratio.high,
            digest=digest,
        )


def _ways(
    bundle: Bundle, size: tuple[int, int], threads: int, stack: ExitStack
) -> Iterator[System]:
    """Open one engine a way to get ``TOGETHER`` frames done."""
    one = EngineOptions(size=size, threads=threads)
    engine = stack.enter_context(closing(open_engine(bundle, "openvino", options=one)))
    batch = stack.enter_context(closing(open_engine(bundle, "openvino", options=one)))
    lanes = EngineOptions(size=size, threads=threads, lanes=threads)
    wide = stack.enter_context(closing(open_engine(bundle, "openvino", options=lanes)))
    pool = stack.enter_context(ThreadPoolExecutor(threads))

    yield System(ALONE, lambda frames: [engine.run(frame[None]) for frame in frames])
    yield System(f"batch of {TOGETHER}", batch.run)
    yield System(
        f"{threads} lanes",
        lambda frames: list(pool.map(wide.run, [frame[None] for frame in frames])),
    )
