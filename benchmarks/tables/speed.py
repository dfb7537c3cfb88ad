"""How fast: teacher and student in every engine, three sizes, measured in turns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import cycle

from stylepress.artifact import Artifact
from stylepress.benchmarks.figures.result import Result
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.rivals.entry import Entry, rivals
from stylepress.benchmarks.tables.setting import Setting
from stylepress.benchmarks.timing.baselines import Teacher, eager
from stylepress.benchmarks.timing.latency import Plan, System, Timing, measure, speedup
from stylepress.benchmarks.timing.systems import Pixels, Run, precision
from stylepress.errors import BackendError
from stylepress.export.stage import frame_graph_of
from stylepress.runtime.backends import EngineOptions, missing, open_engine
from stylepress.runtime.bundle import Bundle, load_bundle

PLANS: Mapping[tuple[int, int], Plan] = {
    (256, 256): Plan(rounds=8, turn_s=0.15, warm_up=2),
    (512, 512): Plan(rounds=8, turn_s=0.2, warm_up=2),
    (720, 1280): Plan(rounds=6, turn_s=0.2, warm_up=1),
}
NEEDS_GIB = {(720, 1280): 20}
"""With teacher and student open in ten engines each; measured 18."""
BACKENDS = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
REFERENCE = ("teacher", "torch eager", "fp32")
LATENCY, GAIN = "median of a frame", "speed over the teacher in torch eager"


@dataclass(frozen=True, slots=True)
class Runner:
    """One model in one engine at one precision."""

    subject: str
    engine: str
    precision: str
    run: Run
    digest: str
    note: str = ""

    @property
    def name(self) -> str:
        """What no other runner of a size is called."""
        return f"{self.subject} · {self.engine} · {self.precision}"


def speed_results(
    setting: Setting, *, sizes: Mapping[tuple[int, int], Plan] = PLANS
) -> Iterator[Result]:
    """Measure every engine at every size, the ratio to the teacher in torch eager beside it."""
    for size, plan in sizes.items():
        needed = NEEDS_GIB.get(size, 0)
        if setting.free_gib is not None and setting.free_gib < needed:
            setting.progress.warn(
                f"{size[1]}x{size[0]} is left out. It needs {needed} GiB of free memory, and there "
                f"are {setting.free_gib:.1f}."
            )
            continue
        yield from _at(setting, size, plan)


def _at(setting: Setting, size: tuple[int, int], plan: Plan) -> Iterator[Result]:
    frames = [photo.frame for photo in setting.heldout(size)]
    with ExitStack() as stack:
        runners = list(_runners(setting, size, frames, stack))
        turns = cycle(frames)
        timings = measure(
            [System(one.name, one.run) for one in runners],
            lambda: next(turns),
            plan=plan,
            progress=setting.progress,
        )
    slow = next(
        timing
        for one, timing in zip(runners, timings, strict=True)
        if (one.subject, one.engine, one.precision) == REFERENCE
    )
    for one, timing in zip(runners, timings, strict=True):
        yield from _results(one, timing, slow, size)


def _results(one: Runner, timing: Timing, slow: Timing, size: tuple[int, int]) -> Iterator[Result]:
    at, ratio = f"{size[1]}x{size[0]}", speedup(timing, slow)
    took = Result(
        *(one.subject, one.engine, one.precision, at, LATENCY, timing.median_ms, "ms"),
        digest=one.digest,
        note=one.note,
    )
    yield took
    yield replace(took, figure=GAIN, value=ratio.value, unit="x", low=ratio.low, high=ratio.high)


def _runners(
    setting: Setting, size: tuple[int, int], frames: list[Pixels], stack: ExitStack
) -> Iterator[Runner]:
    style, training = setting.style, setting.training(size)
    work = setting.folder("teacher")
    teacher = Teacher(style.teacher.folder, work, frames=training, progress=setting.progress)
    int8 = {"teacher": load_bundle(teacher.quantized().folder)}
    int8["student"] = load_bundle(style.bundle.folder)
    for subject, checkpoint in (("teacher", style.teacher), ("student", style.student)):
        bundle = setting.float_bundle(checkpoint)
        run = eager(frame_graph_of(checkpoint), setting.threads)
        version = _installed("torch")
        yield Runner(subject, "torch eager", "fp32", run, checkpoint.digest, version)
        for ready in (bundle, int8[subject]):
            yield from _ours(subject, ready, size, setting, stack)
        entry = Entry(
            checkpoint,
            bundle,
            size,
            setting.threads,
            training,
            setting.folder("rivals", subject, f"{size[1]}x{size[0]}"),
        )
        yield from _theirs(subject, checkpoint, entry, setting)


def _ours(
    subject: str, bundle: Bundle, size: tuple[int, int], setting: Setting, stack: ExitStack
) -> Iterator[Runner]:
    """Open a bundle in both of our backends, where they are installed."""
    options = EngineOptions(size=size, threads=setting.threads)
    absent = missing()
    for backend, title in BACKENDS.items():
        if backend in absent:
            setting.progress.warn(f"{title} is left out. {absent[backend]}")
            continue
        try:
            engine = stack.enter_context(closing(open_engine(bundle, backend, options=options)))
        except BackendError as error:
            setting.progress.warn(f"{subject} in {title} is left out. {error}")
            continue
        note = f"{backend} {str(engine.describe()['version']).partition('-')[0]}"
        kind = precision(bundle.artifact)
        yield Runner(subject, title, kind, engine.run, bundle.artifact.digest, note)


def _theirs(subject: str, checkpoint: Artifact, entry: Entry, setting: Setting) -> Iterator[Runner]:
    for rival in rivals(entry):
        if isinstance(rival, Skipped):
            setting.progress.warn(f"{subject} in {rival.what} is left out. {rival.why}")
            continue
        yield Runner(
            *(subject, rival.engine, rival.precision, rival.run, checkpoint.digest),
            note=rival.version,
        )


def _installed(name: str) -> str:
    from importlib.metadata import version

    return f"{name} {version(name)}"
