"""How fast: teacher and student in every engine, and students from nano to wide, in turns."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import cycle
from typing import NamedTuple, get_args

import torch

from stylepress.artifact import Artifact
from stylepress.benchmarks.evidence.row import Row
from stylepress.benchmarks.evidence.setting import TITLES, Setting, Size, usual_backend, wxh
from stylepress.benchmarks.intervals import paired_ratio
from stylepress.benchmarks.timing.baselines import framed
from stylepress.benchmarks.timing.latency import Plan, Timing, measure
from stylepress.benchmarks.timing.systems import Run, precision
from stylepress.compress.distil import save_student
from stylepress.export.stage import frame_graph_of
from stylepress.runtime.backends import missing
from stylepress.runtime.bundle import read_bundle
from stylepress.step_fields import Preset
from stylepress.steps import DistilStep
from stylepress.train.folding import fold
from stylepress.train.student import PRESETS, Student

PLANS: Mapping[Size, Plan] = {
    (256, 256): Plan(rounds=8, turn_s=0.15, warm_up=2),
    (512, 512): Plan(rounds=8, turn_s=0.2, warm_up=2),
    (720, 1280): Plan(rounds=8, turn_s=0.2, warm_up=1),
}
FIGURES_PLAN = Plan(rounds=6, turn_s=0.2, warm_up=1)
"""As few rounds as have an interval."""
EAGER, COMPILED = "torch eager", "torch.compile"
LATENCY, GAIN = "median of a frame", "speed over the teacher in torch eager"
OVER_EAGER = "INT8 student against its teacher in torch eager"
OVER_FLOAT = "INT8 student against its teacher in ONNX Runtime FP32"
OVER_INT8 = "INT8 student against its teacher as INT8 in OpenVINO"
CURVE = "INT8 student of that size against the teacher in torch eager"
COMPARED = {
    OVER_EAGER: (EAGER, "fp32"),
    OVER_FLOAT: (TITLES["onnxruntime"], "fp32"),
    OVER_INT8: (TITLES["openvino"], "int8"),
}
"""The forms of the teacher that the student is held against."""


class Runner(NamedTuple):
    """A model by what it is, its artifact, the engine that runs it, and how."""

    subject: str
    artifact: Artifact
    engine: str
    precision: str
    run: Run


def figures(setting: Setting, *, plan: Plan = FIGURES_PLAN) -> Iterator[Row]:
    """Measure teachers, students and the curve of presets; styles of the same networks once.

    The presets are untrained: weights change no time. They are made as the students that ship are.
    """
    alike = {style.networks: style for style in reversed(setting.styles)}
    for style in reversed(alike.values()):
        with ExitStack() as stack:
            teachers = [
                runner
                for runner in _teacher(setting, style.teacher, setting.size, stack)
                if (runner.engine, runner.precision) in COMPARED.values()
            ]
            others = [
                *_ours("student", style.bundle, setting, setting.size, stack, [usual_backend()])
            ]
            if style is setting.style:
                others += _presets(setting, stack)
            timed = _timed(setting, [*teachers, *others], setting.size, plan)
        slow = {(runner.engine, runner.precision): took for runner, took in timed[: len(teachers)]}
        of = "" if len(alike) == 1 else style.name
        for runner, took in timed[len(teachers) :]:
            if runner.subject != "student":
                yield _gain(CURVE, runner, took, slow[EAGER, "fp32"], subject=runner.subject)
                continue
            for figure, form in COMPARED.items():
                if form in slow:
                    yield _gain(figure, runner, took, slow[form], subject=of)


def rows(setting: Setting, *, plans: Mapping[Size, Plan] = PLANS) -> Iterator[Row]:
    """Measure every engine at every size, the ratio to the teacher in torch eager beside it."""
    style = setting.style
    for size, plan in plans.items():
        with ExitStack() as stack:
            runners = [*_teacher(setting, style.teacher, size, stack)]
            runners.append(_eager(setting, style.student, "student"))
            for bundle in (setting.forms(style.student).float_bundle.artifact, style.bundle):
                runners += _ours("student", bundle, setting, size, stack)
            for subject, checkpoint in (("teacher", style.teacher), ("student", style.student)):
                runners += _compiled(setting, checkpoint, subject, size)
            timed = _timed(setting, runners, size, plan)
        slow = timed[0][1]
        for runner, took in timed:
            gain = paired_ratio(took.round_medians_ms, slow.round_medians_ms)
            row = Row(
                GAIN, gain.value, "x", runner.subject, runner.engine, runner.precision, wxh(size),
                low=gain.low, high=gain.high, digest=runner.artifact.digest,
            )  # fmt: skip
            yield row
            yield replace(row, figure=LATENCY, value=took.median_ms, unit="ms", low=None, high=None)


def _gain(figure: str, runner: Runner, fast: Timing, slow: Timing, *, subject: str) -> Row:
    ratio = paired_ratio(fast.round_medians_ms, slow.round_medians_ms)
    note = f"{fast.median_ms:.2f} ms in {runner.engine}, {slow.median_ms:.1f} ms"
    if ratio.low is not None and ratio.high is not None:
        note += f", 95 % in {ratio.low:.1f} to {ratio.high:.1f}"
    if figure == CURVE:
        params = runner.artifact.numbers.get("params", 0)
        note += f"; {params / 1e3:.0f} k weights, untrained"
    return Row(
        figure, ratio.value, "x", subject, low=ratio.low, high=ratio.high,
        digest=runner.artifact.digest, note=note,
    )  # fmt: skip


def _timed(
    setting: Setting, runners: Sequence[Runner], size: Size, plan: Plan
) -> list[tuple[Runner, Timing]]:
    turns = cycle(setting.frames("heldout", size))
    systems = {" · ".join((*one[2:4], one.subject)): one.run for one in runners}
    timings = measure(systems, lambda: next(turns), plan=plan, progress=setting.progress)
    return list(zip(runners, timings.values(), strict=True))


def _teacher(
    setting: Setting, checkpoint: Artifact, size: Size, stack: ExitStack
) -> Iterator[Runner]:
    """Yield a teacher in PyTorch, and in our backends as float and as INT8."""
    yield _eager(setting, checkpoint, "teacher")
    forms = setting.forms(checkpoint)
    for bundle in (forms.float_bundle.artifact, forms.quantized()):
        yield from _ours("teacher", bundle, setting, size, stack)


def _eager(setting: Setting, checkpoint: Artifact, subject: str) -> Runner:
    return Runner(subject, checkpoint, EAGER, "fp32", setting.network(checkpoint))


def _compiled(setting: Setting, checkpoint: Artifact, subject: str, size: Size) -> Iterator[Runner]:
    """Compile a network with TorchInductor; needs a C++ compiler, as PyTorch does."""
    torch.set_num_threads(setting.threads)
    graph = frame_graph_of(checkpoint)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch warns of its own parts
            run = framed(graph, torch.compile(graph.network.eval(), dynamic=False))
            run(setting.frames("heldout", size)[0])
    except RuntimeError as error:
        setting.progress.warn(f"{subject} in {COMPILED} is left out. {str(error)[:200]}")
        return
    yield Runner(subject, checkpoint, COMPILED, "fp32", run)


def _presets(setting: Setting, stack: ExitStack) -> Iterator[Runner]:
    """Yield an untrained INT8 student of each preset, narrow to wide."""
    for name in get_args(Preset):
        if PRESETS[name].stride != 4:
            continue  # `texture` is no step of this curve
        checkpoint = save_student(
            fold(Student(PRESETS[name]).eval()), setting.work / f"student-{name}", name=name,
            step=DistilStep(preset=name), parent=setting.style.teacher.digest, numbers={},
        )  # fmt: skip
        bundle = setting.forms(checkpoint).quantized()
        yield from _ours(name, bundle, setting, setting.size, stack, [usual_backend()])


def _ours(
    subject: str, bundle: Artifact, setting: Setting, size: Size, stack: ExitStack,
    backends: Sequence[str] = tuple(TITLES),
) -> Iterator[Runner]:  # fmt: skip
    """Open a bundle in our backends, where they are installed."""
    for backend in (name for name in backends if name not in missing()):
        run = setting.engine(read_bundle(bundle.folder), size, stack, backend=backend)
        yield Runner(subject, bundle, TITLES[backend], precision(bundle), run)
