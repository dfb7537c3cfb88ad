"""What a teacher is worth to a student: the same net trained on the style itself, equal steps."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stylepress.artifact import Artifact
from stylepress.benchmarks.evidence.place import STYLE, Place
from stylepress.benchmarks.evidence.row import Row, most, promised
from stylepress.compress.distil import Teacher
from stylepress.compress.fidelity import fidelity, parted
from stylepress.compress.stage import distil
from stylepress.recipe import load_recipe
from stylepress.step_fields import Preset
from stylepress.steps import DistilStep, TrainStep
from stylepress.train.folding import fold
from stylepress.train.photos import Photos
from stylepress.train.stage import image_loss, style_pixels
from stylepress.train.student import IMAGE, PRESETS, FoldedStudent, Student
from stylepress.train.trainer.fit import Iteration, Objective, Training, fit
from stylepress.train.trainer.part import Part, adam, warm_linear
from stylepress.train.trainer.session import open_session
from stylepress.train.weights.checkpoint import load_network

PRESET: Preset = "base"
TIMES = 2
"""Steps of each training for each step of a recovery after pruning: it begins from nothing."""
SAME: dict[str, Any] = {
    "crop_px": 160, "batch": 2, "learning_rate": 3e-3, "loss": "vgg", "seed": 1,
}  # fmt: skip
"""What both trainings have in common, beside the net, the photos, the style and the steps."""
FIGURE = "distance to the teacher's pictures, 0 a copy"
SHORTER = "distance to the teacher's pictures against that without a teacher"


def distilled_rows(place: Place) -> Iterator[Row]:
    """Yield how far a student is from the teacher's pictures, and the same net without a teacher."""
    source = Artifact.load(place.recipes / STYLE / "teacher")
    loaded = load_network(source.folder)
    steps = TIMES * place.steps
    shared = {
        **SAME, "photos": place.photos(), "steps": steps,
        "style": load_recipe(place.recipes / f"{STYLE}.yaml").style,
    }  # fmt: skip
    learnt = DistilStep(preset=PRESET, pool=96, pool_px=320, margin_px=32, **shared)
    student = distil(source, learnt, place.work / "distilled", place.job("distil"))
    alone = _without_teacher(TrainStep(**shared), place)
    _, held = parted(Photos.below(place.photos(), place.progress))
    apart = fidelity(
        Teacher(loaded.module, loaded.image), Teacher(alone, IMAGE), held, place.progress,
        env=os.environ, home=Path.home(),
    )  # fmt: skip
    note = f"{steps} steps each, {PRESET}, on photos held out"
    row = partial(Row, precision="fp32", size="512x512", note=note)
    for judge in ("vgg", "effnet"):
        name = f"fidelity_{judge}"
        if name not in apart:
            continue
        ours, theirs = student.numbers[name], apart[name]
        yield row(FIGURE, ours, "", f"student {STYLE}, distilled", judge, digest=student.digest)
        yield row(FIGURE, theirs, "", "the same net without a teacher", judge)
        change = row(SHORTER, 100 * (ours / theirs - 1), "%", f"student {STYLE}", judge)
        yield promised(change, most(-20, "%"))


def _without_teacher(step: TrainStep, place: Place) -> FoldedStudent:
    """Train the student's net on style and photos alone, as a teacher is trained; fold it."""
    if step.style is None or step.photos is None:
        raise ValueError("a net without a teacher learns from a style and photos")
    photos, _ = parted(Photos.below(step.photos, place.progress))
    work = place.job("alone")
    torch.manual_seed(step.seed or 0)
    net = Student(PRESETS[PRESET])
    with open_session(work, step) as session:
        style = style_pixels(step.style).to(session.device.place)
        loss = image_loss(step, style, work, session.device)

        def terms(now: Iteration) -> dict[str, Tensor]:
            (content,) = now.batch
            with now.autocast():
                output = now.net("student")(content)
            return loss(output.float(), content, now.draw)

        part = Part(
            "student", net, adam(net, step.learning_rate), warm_linear(step.steps),
            channels_last=True,
        )  # fmt: skip
        training = Training(
            parts=[part],
            objectives=[Objective(terms, trains=("student",))],
            sample=lambda draw: (photos.crop(draw, step.crop_px, strange=False),),
            before_step=lambda number: _frozen(net, number >= step.steps // 2),
        )
        fit(training, step, session, title="Training the same net without a teacher")
    return fold(net.eval())


def _frozen(net: Student, frozen: bool) -> None:
    """Let batch norms stand still in the second half, as they do in a distillation."""
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.train(not frozen)
