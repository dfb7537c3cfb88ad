"""How fast: teacher and student in every engine, three sizes, measured in turns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import cycle

from stylepress.artifact import Artifact
from stylepress.benchmarks.figures.result import Result
from stylepress.benchmarks.figures.shipped import TITLES
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.rivals.entry import Entry, rivals
from stylepress.benchmarks.rivals.rival import Rival
from stylepress.benchmarks.tables.setting import Setting
from stylepress.benchmarks.timing.baselines import Teacher, eager
from stylepress.benchmarks.timing.latency import Plan, System, Timing, measure, speedup
from stylepress.benchmarks.timing.systems import Pixels, precision
from stylepress.errors import BackendError
from stylepress.export.stage import frame_graph_of
from stylepress.runtime.backends import EngineOptions, missing, open_engine
from stylepress.runtime.bundle import Bundle, load_bundle

PLANS: Mapping[tuple[int, int], Plan] = {
    (256, 256): Plan(rounds=8, turn_s=0.15, warm_up=2),
    (512, 512): Plan(rounds=8, turn_s=0.2, warm_up=2),
    (720, 1280): Plan(rounds=10, turn_s=0.2, warm_up=1),
}
NEEDS_GIB = {(720, 1280): 20}
"""With teacher and student open in ten engines each; measured 18."""
REFERENCE = ("teacher", "torch eager", "fp32")
LATENCY, GAIN = "median of a frame", "speed over the teacher in torch eager"


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
            [System(" · ".join(one.key), one.made.run) for one in runners],
            lambda: next(turns),
            plan=plan,
            progress=setting.progress,
        )
    slow = next(
        timing for one, timing in zip(runners, timings, strict=True) if one.key == REFERENCE
    )
    for one, timing in zip(runners, timings, strict=True):
        yield from _results(one, timing, slow, size)


def _results(one: Runner, timing: Timing, slow: Timing, size: tuple[int, int]) -> Iterator[Result]:
    at, ratio = f"{size[1]}x{size[0]}", speedup(timing, slow)
    took = Result(
        *(*one.key, at, LATENCY, timing.median_ms, "ms"),
        digest=one.digest,
        note=one.made.version,
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
        plain = Rival("torch eager", f"torch {version('torch')}", "fp32", run)
        yield Runner(subject, checkpoint.digest, plain)
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
    for backend, title in TITLES.items():
        if backend in absent:
            setting.progress.warn(f"{title} is left out. {absent[backend]}")
            continue
        try:
            engine = stack.enter_context(closing(open_engine(bundle, backend, options=options)))
        except BackendError as error:
            setting.progress.warn(f"{subject} in {title} is left out. {error}")
            continue
        told = f"{backend} {str(engine.describe()['version']).partition('-')[0]}"
        made = Rival(title, told, precision(bundle.artifact), engine.run)
        yield Runner(subject, bundle.artifact.digest, made)


def _theirs(subject: str, checkpoint: Artifact, entry: Entry, setting: Setting) -> Iterator[Runner]:
    for rival in rivals(entry):
        if isinstance(rival, Skipped):
            setting.progress.warn(f"{subject} in {rival.what} is left out. {rival.why}")
        else:
            yield Runner(subject, checkpoint.digest, rival)
