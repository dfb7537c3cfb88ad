"""How fast: teacher and student in every engine, in batches and in lanes, measured in turns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import cycle

import numpy as np

from stylepress.benchmarks.evidence.rivals.rival import Entry, Rival, rivals
from stylepress.benchmarks.evidence.row import Row, promised
from stylepress.benchmarks.evidence.setting import TITLES, Setting, Shipped, Size, wxh
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.timing.baselines import Teacher, eager
from stylepress.benchmarks.timing.latency import Plan, System, Timing, measure, speedup
from stylepress.benchmarks.timing.systems import precision
from stylepress.errors import BackendError
from stylepress.export.stage import frame_graph_of
from stylepress.runtime.backends import missing
from stylepress.runtime.bundle import Bundle, read_bundle

PLANS: Mapping[Size, Plan] = {
    (256, 256): Plan(rounds=8, turn_s=0.15, warm_up=2),
    (512, 512): Plan(rounds=8, turn_s=0.2, warm_up=2),
    (720, 1280): Plan(rounds=10, turn_s=0.2, warm_up=1),
}
NEEDS_GIB = {(720, 1280): 20}
"""With teacher and student open in ten engines each; measured 18."""
EAGER = "torch eager"
LATENCY, GAIN = "median of a frame", "speed over the teacher in torch eager"
FIGURES_AT = (512, 512)
BARS = {
    (EAGER, "fp32"): ("INT8 student against its teacher in torch eager", 80.0),
    (TITLES["onnxruntime"], "fp32"): ("... against the teacher in ONNX Runtime FP32", 40.0),
    (TITLES["openvino"], "int8"): ("... against the teacher as INT8 in OpenVINO", 10.0),
}
TOGETHER, TOGETHER_AT = 8, ((256, 256), (512, 512))
TOGETHER_PLAN = Plan(rounds=10, turn_s=0.2, warm_up=2)
ALONE, MORE, RATE = "one at a time", "throughput over one at a time", "frames a second"


@dataclass(frozen=True, slots=True)
class Runner:
    """A model, by what it is and its artifact's digest, in one engine."""

    subject: str
    digest: str
    made: Rival

    @property
    def key(self) -> tuple[str, str, str]:
        """What no other runner of a size has."""
        return self.subject, self.made.engine, self.made.precision


def speed_figures(
    setting: Setting, *, size: Size = FIGURES_AT, plan: Plan = PLANS[FIGURES_AT]
) -> Iterator[Row]:
    """Measure every style's bundle in our backends beside its teacher; the slowest counts.

    Teachers of one kind (width and blocks) take the same time, so one stands for all of them.
    """
    found: dict[tuple[str, str], list[tuple[float, str, str]]] = {key: [] for key in BARS}
    for kind in dict.fromkeys(style.teacher_kind for style in setting.styles):
        styles = [style for style in setting.styles if style.teacher_kind == kind]
        with ExitStack() as stack:
            teachers = _teacher(setting, styles[0], size, stack)
            runners = [one for one in teachers if one.key[1:] in BARS]
            for style in styles:
                bundle = read_bundle(style.bundle.folder)
                runners += _ours(style.name, bundle, size, setting, stack)
            timed = _timed(setting, runners, size, plan)
        for style in styles:
            mine = [one for one in timed if one[0].subject == style.name]
            fast, took = min(mine, key=lambda one: one[1].median_ms)
            for runner, slow in timed:
                key = runner.made.engine, runner.made.precision
                if runner.subject == "teacher" and key in found:
                    ratio = speedup(took, slow)
                    note = f"{took.median_ms:.2f} ms {took.name}, {slow.median_ms:.1f} ms"
                    if ratio.low is not None and ratio.high is not None:
                        note += f", 95 % in {ratio.low:.1f} to {ratio.high:.1f}"
                    found[key].append((ratio.value, note, fast.digest))
    for key, (name, bar) in BARS.items():
        nothing = float("nan"), f"{key[0]} cannot run here", ""
        value, note, digest = min(found[key], default=nothing)
        yield promised(name, value, "x", least=bar, note=note, digest=digest)


def speed_rows(setting: Setting, *, sizes: Mapping[Size, Plan] = PLANS) -> Iterator[Row]:
    """Measure every engine at every size, the ratio to the teacher in torch eager beside it."""
    for size, plan in sizes.items():
        needed = NEEDS_GIB.get(size, 0)
        if setting.free_gib is not None and setting.free_gib < needed:
            setting.progress.warn(
                f"{wxh(size)} is left out. It needs {needed} GiB of free memory, and there "
                f"are {setting.free_gib:.1f}."
            )
            continue
        with ExitStack() as stack:
            timed = _timed(setting, list(_everywhere(setting, size, stack)), size, plan)
        slow = next(taken for one, taken in timed if one.key == ("teacher", EAGER, "fp32"))
        for one, taken in timed:
            ratio = speedup(taken, slow)
            row = Row(
                *(*one.key, wxh(size), LATENCY, taken.median_ms, "ms"),
                digest=one.digest,
                note=one.made.version,
            )
            yield row
            yield replace(
                row, figure=GAIN, value=ratio.value, unit="x", low=ratio.low, high=ratio.high
            )


def together_rows(setting: Setting, *, plan: Plan = TOGETHER_PLAN) -> Iterator[Row]:
    """Measure the INT8 student: eight frames one by one, as one batch, and in lanes."""
    if "openvino" in missing():
        setting.progress.warn("Batches and lanes are left out. OpenVINO is not installed.")
        return
    bundle = read_bundle(setting.style.bundle.folder)
    for size in TOGETHER_AT:
        frames = np.concatenate([photo.frame for photo in setting.heldout(size)])
        frames = np.ascontiguousarray(np.resize(frames, (TOGETHER, *size, 3)))
        with ExitStack() as stack:
            ways = list(_ways(setting, bundle, size, stack))
            timings = measure(ways, lambda: frames, plan=plan, progress=setting.progress)  # noqa: B023
        for taken in timings:
            rate = 1e3 * TOGETHER / taken.median_ms
            row = Row("student", taken.name, "int8", wxh(size), RATE, rate, "fps")
            row = replace(row, digest=bundle.artifact.digest)
            yield row
            if taken.name != ALONE:
                gain = speedup(taken, timings[0])
                row = replace(row, figure=MORE, value=gain.value, unit="x")
                yield replace(row, low=gain.low, high=gain.high)


def _ways(setting: Setting, bundle: Bundle, size: Size, stack: ExitStack) -> Iterator[System]:
    """Open one engine a way to get ``TOGETHER`` frames done."""
    lanes = setting.threads
    one, batch = (setting.engine(bundle, size, stack, backend="openvino") for _ in range(2))
    wide = setting.engine(bundle, size, stack, backend="openvino", lanes=lanes)
    pool = stack.enter_context(ThreadPoolExecutor(lanes))
    yield System(ALONE, lambda frames: [one(frame[None]) for frame in frames])
    yield System(f"batch of {TOGETHER}", batch)
    yield System(
        f"{lanes} lanes", lambda frames: list(pool.map(wide, [frame[None] for frame in frames]))
    )


def _timed(
    setting: Setting, runners: Sequence[Runner], size: Size, plan: Plan
) -> list[tuple[Runner, Timing]]:
    turns = cycle([photo.frame for photo in setting.heldout(size)])
    systems = [System(" · ".join(one.key), one.made.run) for one in runners]
    timings = measure(systems, lambda: next(turns), plan=plan, progress=setting.progress)
    return list(zip(runners, timings, strict=True))


def _teacher(setting: Setting, style: Shipped, size: Size, stack: ExitStack) -> Iterator[Runner]:
    """Yield a teacher in PyTorch, and in our backends as float and as INT8."""
    frames, progress = setting.training(size), setting.progress
    teacher = Teacher(style.teacher.folder, setting.work, frames=frames, progress=progress)
    yield _eager("teacher", setting, style)
    for bundle in (teacher.float_bundle, read_bundle(teacher.quantized().folder)):
        yield from _ours("teacher", bundle, size, setting, stack)


def _everywhere(setting: Setting, size: Size, stack: ExitStack) -> Iterator[Runner]:
    style, training = setting.style, setting.training(size)
    for subject, checkpoint in (("teacher", style.teacher), ("student", style.student)):
        bundle = setting.float_bundle(checkpoint)
        if subject == "teacher":
            yield from _teacher(setting, style, size, stack)
        else:
            yield _eager(subject, setting, style)
            for ready in (bundle, read_bundle(style.bundle.folder)):
                yield from _ours(subject, ready, size, setting, stack)
        folder = setting.folder("rivals", subject, wxh(size))
        for rival in rivals(Entry(checkpoint, bundle, size, setting.threads, training, folder)):
            if isinstance(rival, Skipped):
                setting.progress.warn(f"{subject} in {rival.what} is left out. {rival.why}")
            else:
                yield Runner(subject, checkpoint.digest, rival)


def _eager(subject: str, setting: Setting, style: Shipped) -> Runner:
    checkpoint = style.teacher if subject == "teacher" else style.student
    run = eager(frame_graph_of(checkpoint), setting.threads)
    return Runner(
        subject, checkpoint.digest, Rival(EAGER, f"torch {version('torch')}", "fp32", run)
    )


def _ours(
    subject: str, bundle: Bundle, size: Size, setting: Setting, stack: ExitStack
) -> Iterator[Runner]:
    """Open a bundle in both of our backends, where they are installed."""
    absent, artifact = missing(), bundle.artifact
    for backend, title in TITLES.items():
        try:
            if backend in absent:
                raise BackendError(absent[backend])
            run = setting.engine(bundle, size, stack, backend=backend)
        except BackendError as error:
            setting.progress.warn(f"{subject} in {title} is left out. {error}")
            continue
        made = Rival(title, f"{backend} {version(backend)}", precision(artifact), run)
        yield Runner(subject, artifact.digest, made)
