"""What students keep of their teachers: with one and without, in motion, of a CycleGAN, as a library."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import partial
from statistics import fmean
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor

from stylepress.artifact import Artifact
from stylepress.benchmarks.evidence.row import Row
from stylepress.benchmarks.evidence.setting import ENGINE, RECOVERY, Setting, side_by_side
from stylepress.benchmarks.quality.features.handcrafted import handcrafted
from stylepress.benchmarks.quality.frechet import features_distance
from stylepress.benchmarks.quality.motion.course import views_of, warp_error
from stylepress.benchmarks.quality.study import benign, squares
from stylepress.compress.distil import Teacher
from stylepress.compress.fidelity import fidelity
from stylepress.compress.pruning.widths import multiply_accumulates
from stylepress.compress.stage import distil
from stylepress.export.bundle import GRAPH, sealed
from stylepress.export.frame_graph import MODEL
from stylepress.export.lowering.fp16 import to_fp16
from stylepress.export.onnx_file import serialized
from stylepress.export.stage import export
from stylepress.model_steps import LibraryStep, LibraryStyle, PairsStep
from stylepress.picture import Pixels, read_picture
from stylepress.runtime.bundle import read_bundle
from stylepress.runtime.style_code import style_of_names
from stylepress.step_fields import Preset, Style
from stylepress.steps import DistilStep, ExportStep, TrainStep
from stylepress.train.features.judges import Judge, find_judges
from stylepress.train.folding import fold
from stylepress.train.models.stage import train_model
from stylepress.train.pairs import to_cartoon
from stylepress.train.photos import Photos
from stylepress.train.stage import image_loss, style_pixels
from stylepress.train.student import IMAGE, PRESETS, FoldedStudent, Student
from stylepress.train.trainer.fit import Iteration, Objective, Training, fit
from stylepress.train.trainer.part import Part, adam, warm_linear
from stylepress.train.trainer.session import open_session
from stylepress.train.weights.checkpoint import load_network
from stylepress.train.weights.standard import require_weights
from stylepress.usual import with_loss

PRESET: Preset = "base"
JUDGES = ("vgg", "effnet")
COPY = "distance to the teacher's pictures, 0 a copy"

SHORTER = "distance to the teacher's pictures against that without a teacher"
STEPS = 2 * RECOVERY
"""Of a student with a teacher and of one without: more than of a recovery, they begin from nothing."""


def distilled(setting: Setting) -> Iterator[Row]:
    """Yield how far a student is from the teacher's pictures, and the same net without a teacher."""
    style = setting.style
    loaded = load_network(style.teacher.folder)
    shared: dict[str, Any] = {
        "photos": setting.learning, "steps": STEPS, "crop_px": 160, "batch": 2, "seed": 1,
        "learning_rate": 3e-3, "loss": "vgg",
        "style": Style(picture=style.picture),
    }  # fmt: skip
    step = DistilStep(preset=PRESET, pool=96, pool_px=320, margin_px=32, **shared)
    student = distil(style.teacher, step, setting.work / "distilled", setting.job("distil"))
    alone = _without_teacher(TrainStep(**shared), setting)
    teacher, copy = Teacher(loaded.module, loaded.image), Teacher(alone, IMAGE)
    apart = fidelity(
        teacher, copy, setting.parted()[1], setting.progress, env=setting.environ, home=setting.home
    )
    note = f"{STEPS} steps each, {PRESET}, on photos held out"
    row = partial(Row, precision="fp32", size="512x512", note=note)
    subject = f"student {style.name}"
    for judge in (name for name in JUDGES if f"fidelity_{name}" in apart):
        ours, theirs = (found[f"fidelity_{judge}"] for found in (student.numbers, apart))
        yield row(COPY, ours, "", f"{subject}, distilled", judge, digest=student.digest)
        yield row(COPY, theirs, "", "the same net without a teacher", judge)
        yield row(SHORTER, 100 * (ours / theirs - 1), "%", subject, judge)


def _without_teacher(step: TrainStep, setting: Setting) -> FoldedStudent:
    """Train the student's net on style and photos alone, as a teacher is trained; fold it."""
    assert step.style is not None
    photos, work = setting.parted()[0], setting.job("alone")
    torch.manual_seed(step.seed or 0)
    net = Student(PRESETS[PRESET])
    norms = [layer for layer in net.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    with open_session(work, step) as session:
        style = style_pixels(step.style).to(session.device.place)
        loss = image_loss(step, style, work, session.device)

        def terms(now: Iteration) -> dict[str, Tensor]:
            (content,) = now.batch
            with now.autocast():
                output = now.net("student")(content)
            return loss(output.float(), content, now.draw)

        def still_in_the_second_half(number: int) -> None:  # as in a distillation
            for norm in norms:
                norm.train(number < step.steps // 2)

        descent, schedule = adam(net, step.learning_rate), warm_linear(step.steps)
        training = Training(
            [Part("student", net, descent, schedule, channels_last=True)],
            [Objective(terms, trains=("student",))],
            lambda draw: (photos.crop(draw, step.crop_px, strange=False),),
            before_step=still_in_the_second_half,
        )
        fit(training, step, session, title="Training the same net without a teacher")
    return fold(net.eval())


WARPING = "warping error, with the temporal term / without"
STYLE = "style distance, with the temporal term / without"
FRAMES, WEIGHT, LEAST_WEIGHT = 6, 6.0, 1e-9
"""A student that is tuned without any weight would be taken back where it became no better."""


def temporal(setting: Setting) -> Iterator[Row]:
    """Let the student that ships learn on with the temporal term and without; compare both.

    What moves is a camera over a photo, known exactly.
    """
    style = next((one for one in setting.styles if one.name == "starry"), setting.style)
    judge = _judge(setting)
    step = DistilStep(
        start=style.student.folder, style=Style(picture=style.picture), steps=150, crop_px=144,
        batch=1, learning_rate=1e-3, pool=12, pool_px=256, margin_px=32, pixel_share=0.0,
        loss="vgg", seed=1, photos=setting.recipes / "photos" / "train",
    )  # fmt: skip
    students = {"shipped": style.student}
    for name, weight in (("without", LEAST_WEIGHT), ("with", WEIGHT)):
        tuned, job = step.model_copy(update={"temporal_weight": weight}), setting.job(name)
        students[name] = distil(style.teacher, tuned, setting.work / f"temporal-{name}", job)
    views, matrices = views_of(setting.paths("heldout")[0], setting.size, FRAMES)
    picture, frames = read_picture(style.picture).pixels, setting.frames("heldout")
    errors, styles = dict[str, float](), dict[str, float]()
    for name, student in students.items():
        film = setting.painted(student, (view[np.newaxis] for view in views))
        errors[name] = warp_error([frame[0] for frame in film], matrices)
        styles[name] = fmean(judge.style(one, picture) for one in setting.painted(student, frames))
    tuning = f"{step.steps} steps on from the student that ships, weight {WEIGHT:g}"
    for figure, values, note in (
        (WARPING, errors, f"the photo itself {warp_error(views, matrices):.2g}"),
        (STYLE, styles, judge.label),
    ):
        told = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
        yield Row(
            figure, values["with"] / values["without"], "x", style.name,
            digest=style.student.digest, note=f"{told}; {note}; {tuning}",
        )  # fmt: skip


def _judge(setting: Setting) -> Judge:
    """Return the judge whose features no training minimised.

    Raises:
        RecipeError: its weights are not on this machine.
    """
    require_weights("effnet-lite0", env=setting.environ, home=setting.home)
    return find_judges(env=setting.environ, home=setting.home)["effnet"]


FEWER, RERUN = "fewer multiply-accumulates", "Frechet drift over that of an FP16 re-run"
SIDE, SQUARE = 256, 64
"""Published multiply-accumulates and distances of this generator are of pictures of that side."""
TEACHER_STEPS, STUDENT_STEPS = RECOVERY // 2, 3 * RECOVERY
FEW_ROUNDS = 8
"""The generator takes a second a frame."""
NOTHING = 1e-9
"""Least distance that is divided by: a re-run may round to the same levels everywhere."""


def translator(setting: Setting) -> Iterator[Row]:
    """Yield work, time and drift of a student of CycleGAN's ResNet generator with nine blocks.

    The generator has the published architecture and size; what it draws is learnt here in minutes,
    from pairs that are made of photos. Drift is the Frechet distance of handcrafted features of
    squares of its pictures, over that of the generator itself run again in FP16, and over that of
    a change that nobody minds (one level of tint, JPEG at quality 95). The last row is what papers
    compare: how far each is from pictures of the kind that was taught.
    """
    teaching = PairsStep(
        task="cartoon", width=64, blocks=9, judge_width=16, crop_px=96, photos=setting.learning,
        steps=TEACHER_STEPS, learning_rate=5e-4, seed=1,
    )  # fmt: skip
    teacher = train_model(None, teaching, setting.work / "resnet", setting.job("pairs"))
    learning = DistilStep(
        preset=PRESET, steps=STUDENT_STEPS, crop_px=160, margin_px=32, pool=64, pool_px=SIDE,
        loss="vgg", photos=setting.learning, seed=1,
    )  # fmt: skip
    out, job = setting.work / "resnet-student", setting.job("translator")
    student = distil(teacher, learning, out, job)
    taught = f"teacher of {TEACHER_STEPS} steps here, student of {STUDENT_STEPS}"
    row = partial(Row, subject=f"ResNet-9 to {PRESET}", precision="fp32", digest=student.digest)
    many, few = (_macs(checkpoint) for checkpoint in (teacher, student))
    yield row(FEWER, many / few, "x", size=f"{SIDE}x{SIDE}")
    bundles = [setting.forms(one).float_bundle.artifact for one in (teacher, student)]
    before, after = side_by_side(*bundles, rounds=FEW_ROUNDS)
    yield row("speed over the generator", before / after, "x", engine=ENGINE, size="512x512")
    for judge in JUDGES:
        if (value := student.numbers.get(f"fidelity_{judge}")) is not None:
            yield row(COPY, value, engine=judge, size="512x512", note=taught)
    frames = list(_frames(setting))
    drawn, redrawn = (setting.painted(bundle, frames) for bundle in bundles)
    half = setting.painted(_half(bundles[0], setting), frames, backend="onnxruntime")
    original, copies, again, minded, aims = map(_squares, (
        drawn, redrawn, half, (benign(one[0])[np.newaxis] for one in drawn), map(_cartoon, frames),
    ))  # fmt: skip
    note = f"{taught}; {len(frames)} photos held out"
    apart = partial(row, unit="x", engine=ENGINE, size=f"{SIDE}x{SIDE}", note=note)
    drift = features_distance(original, copies)
    yield apart(RERUN, drift / max(features_distance(original, again), NOTHING))
    figure = "Frechet drift over that of a change that nobody minds"
    yield apart(figure, drift / features_distance(original, minded))
    ours, theirs = (features_distance(aims, pictures) for pictures in (copies, original))
    yield apart("Frechet distance to the aim over the generator's", ours / theirs)


@torch.no_grad()
def _macs(checkpoint: Artifact) -> float:
    """Return the multiply-accumulates of a network on one picture; a transposed convolution
    multiplies at its input's positions."""
    module = load_network(checkpoint.folder).module
    return sum(multiply_accumulates(module, torch.zeros(1, 3, SIDE, SIDE)).values())


def _frames(setting: Setting) -> Iterator[Pixels]:
    """Yield photos that nobody learnt from, (1, H, W, 3) uint8, each mirrored too."""
    others = Photos.below(setting.recipes / "photos" / "heldout", setting.progress)
    for photos in (setting.parted()[1], others):
        for frame in photos.frames(len(photos), most_side=SIDE):
            yield from (frame, frame[:, :, ::-1])


def _cartoon(frame: Pixels) -> Pixels:
    """Return what the generator was taught to make of a frame, (1, H, W, 3) uint8."""
    photo = torch.from_numpy(np.ascontiguousarray(frame[0])).permute(2, 0, 1).float() / 255
    levels = to_cartoon(photo)[1].mul(255).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 0).numpy()[np.newaxis])


def _half(bundle: Artifact, setting: Setting) -> Artifact:
    """Return a float bundle in FP16, weights and what is between the convolutions."""
    model = to_fp16(onnx.load(str(bundle.path(MODEL))))
    return sealed(
        setting.work / "half", {MODEL: serialized(model)}, name="half",
        graphs={GRAPH: bundle.graphs[GRAPH]}, made_by={**bundle.made_by, "precision": "fp16"},
        parent=bundle.digest, numbers={},
    )  # fmt: skip


def _squares(pictures: Iterable[Pixels]) -> np.ndarray[Any, Any]:
    """Describe the squares of pictures, (1, H, W, 3) uint8 each."""
    return handcrafted(np.concatenate([squares(one[0], SQUARE) for one in pictures]))


NEAR = "EffNet fidelity of a style of the library over that of its student"
LIBRARY_STEPS = 1500
"""A quarter of an hour of a core."""


def library(setting: Setting) -> Iterator[Row]:
    """Judge every style of a library that copies the teachers, and its student, on photos unseen."""
    judge, made = _judge(setting), _library(setting)
    bundle = read_bundle(made.folder)
    for style in setting.styles:
        drawn, code = setting.drawn(style), style_of_names(bundle, style.name)
        mixed = setting.painted(made, drawn.photos, controls=code)
        near, student = (
            fmean(map(judge.fidelity, drawn.photos, drawn.teacher, pictures))
            for pictures in (mixed, drawn.bundle)
        )
        note = f"library {near:.3f}, student {student:.3f}; 0 a copy, 1 the photo; {judge.label}"
        yield Row(NEAR, near / student, "x", style.name, digest=made.digest, note=note)


def _library(setting: Setting) -> Artifact:
    """Train it, or go on where the last run with these teachers stopped; return its bundle."""
    styles = {one.name: LibraryStyle(teacher=one.teacher.folder) for one in setting.styles}
    copies = LibraryStep(
        styles=styles, photos=setting.learning, steps=LIBRARY_STEPS, crop_px=160, seed=1,
        learning_rate=1e-3, save_every=100,
    )  # fmt: skip
    step = with_loss(copies, "vgg")
    digests = " ".join(one.teacher.digest for one in setting.styles)
    name = f"library-{LIBRARY_STEPS}-{hashlib.sha256(digests.encode()).hexdigest()[:12]}"
    job = setting.job(name, identity={"library": name}, resume=True)
    out, bundle = setting.work / name, setting.work / f"{name}-bundle"
    if bundle.is_dir():
        return Artifact.load(bundle)
    made = Artifact.load(out) if out.is_dir() else train_model(None, step, out, job)
    return export(made, ExportStep(), bundle, job)
