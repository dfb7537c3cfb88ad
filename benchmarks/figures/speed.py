"""Rows about speed: each shipped bundle against its teacher, measured in turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

from stylepress.benchmarks.figures.rows import Row
from stylepress.benchmarks.figures.shipped import Shipped
from stylepress.benchmarks.quality.photos import Photo
from stylepress.benchmarks.timing.baselines import Teacher
from stylepress.benchmarks.timing.latency import Plan, System, Timing, measure, speedup
from stylepress.benchmarks.timing.systems import Contender, Field, bundle_model
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import load_bundle

SIZE = (512, 512)
PLAN = Plan(rounds=8, turn_s=0.2, warm_up=2)
BARS = {
    "torch eager": ("INT8 student against its teacher in torch eager", 80.0),
    "onnxruntime": ("... against the teacher in ONNX Runtime FP32", 40.0),
    "openvino": ("... against the teacher as INT8 in OpenVINO", 10.0),
}


def speed_rows(
    styles: Sequence[Shipped],
    photos: Sequence[Photo],
    work: Path,
    *,
    progress: Progress,
    plan: Plan = PLAN,
) -> Iterator[Row]:
    """Measure every style's bundle in every backend beside the baselines; the slowest counts.

    Teachers of one kind (width and blocks) take the same time, so one stands for all of them.
    """
    lowest: dict[str, tuple[float, str]] = {}
    for kind in dict.fromkeys(style.teacher_kind for style in styles):
        alike = [style for style in styles if style.teacher_kind == kind]
        for backend, ratio, note in _ratios(alike, photos, work, progress=progress, plan=plan):
            if backend not in lowest or ratio < lowest[backend][0]:
                lowest[backend] = ratio, note
    for backend, (name, bar) in BARS.items():
        ratio, note = lowest.get(backend, (float("nan"), f"{backend} cannot run here"))
        yield Row(name, ratio, bar, "x", at_least=True, note=note)


def _ratios(
    styles: Sequence[Shipped],
    photos: Sequence[Photo],
    work: Path,
    *,
    progress: Progress,
    plan: Plan,
) -> Iterator[tuple[str, float, str]]:
    """Yield, for each baseline and style: the baseline's backend, the ratio, and its terms."""
    frames = [photo.frame for photo in photos]
    teacher = Teacher(styles[0].teacher.folder, work, frames=frames, progress=progress)
    with Field(EngineOptions(size=SIZE)) as field:
        teacher.enter(field, SIZE)
        for style in styles:
            bundle = load_bundle(style.bundle.folder)
            model = bundle_model(bundle, "bundle", SIZE, style.name)
            field.enter(model, bundle, field.backends, baseline=False)
        turns = cycle(frames)
        systems = [System(one.name, one.run) for one in field.contenders]
        timings = measure(systems, lambda: next(turns), plan=plan, progress=progress)
        pairs = list(zip(field.contenders, timings, strict=True))
    for style in styles:
        mine = [timing for one, timing in pairs if one.model and one.model.name == style.name]
        fast = min(mine, key=lambda timing: timing.median_ms)
        for one, slow in pairs:
            if one.baseline and _stands_for(one):
                yield one.backend, speedup(fast, slow).value, _terms(fast, slow)


def _stands_for(one: Contender) -> bool:
    """The INT8 teacher counts in OpenVINO only: ONNX Runtime is no baseline for that."""
    int8 = one.model is not None and one.model.precision == "int8"
    return one.backend == "openvino" if int8 else one.backend in ("torch eager", "onnxruntime")


def _terms(fast: Timing, slow: Timing) -> str:
    ratio = speedup(fast, slow)
    known = ratio.low is not None and ratio.high is not None
    span = f", 95 % in {ratio.low:.1f} to {ratio.high:.1f}" if known else ""
    return f"{fast.median_ms:.2f} ms {fast.name}, {slow.median_ms:.1f} ms{span}"
