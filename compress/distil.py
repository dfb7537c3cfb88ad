"""Distil a student from any image-to-image teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import stylepress
from stylepress.artifact import Artifact
from stylepress.compress.patchgan import PatchGan
from stylepress.compress.pool import pool_of
from stylepress.compress.taps import Taps
from stylepress.compress.terms import PIXEL_TERMS, TERMS, Comparison, Term, weighted
from stylepress.ports import Port
from stylepress.steps import DistilStep, recorded
from stylepress.train.folding import fold, unfold
from stylepress.train.photos import Photos
from stylepress.train.student import IMAGE, FoldedStudent, Student, StudentSize
from stylepress.train.teacher import side_by_side
from stylepress.train.trainer.feed import generator
from stylepress.train.trainer.fit import Iteration, Objective, Training, fit
from stylepress.train.trainer.part import Part, adam, warm_linear
from stylepress.train.trainer.plan import Session, TrainingSummary
from stylepress.train.unit_range import draw_in_unit_range
from stylepress.train.weights.checkpoint import save_checkpoint
from stylepress.usual import with_loss


@dataclass(frozen=True)
class Teacher:
    """A network to learn from, the range it works in, and its style picture when there is one.

    ``module`` maps (N, 3, H, W) float32 in [spec.low, spec.high] to the same range; ``style`` is
    (3, h, w) float32 in [0, 1].
    """

    module: nn.Module
    spec: Port
    style: Tensor | None = None

    def __call__(self, image: Tensor) -> Tensor:
        """Stylize (N, 3, H, W) in [0, 1]; the result is clamped to [0, 1] and cut to H and W."""
        return draw_in_unit_range(self.module, self.spec, image)


def distil_student(
    teacher: Teacher,
    photos: Photos,
    size: StudentSize,
    step: DistilStep,
    session: Session,
    *,
    extra: Sequence[Term] = (),
    start: FoldedStudent | None = None,
) -> tuple[FoldedStudent, TrainingSummary]:
    """Train a student of ``size`` and fold it; return it on the CPU.

    The first steps compare pixels alone (``pixel_share``): they cost a fraction of those that look
    at features, and the large shapes are learned from them as well. ``extra`` terms are added to
    the usual ones. A ``start`` goes on learning, its batch norms standing still.

    Batch normalisation switches to its population statistics for the last part of the run, as
    RepSR found necessary (arXiv 2205.05671), so that folding changes nothing.

    Raises:
        TrainingError: the loss stopped being finite.
        RecipeError: a tapped layer that the teacher has not.
    """
    step = with_loss(step, "vgg" if step.loss == "vgg" else "swd")
    torch.manual_seed(step.seed or 0)
    held = _held(teacher, session)
    student = Student(size) if start is None else unfold(start)
    taps = Taps(held.module, student, step.taps) if step.feature_weight else None
    late = int(step.steps * (1 - step.freeze_norm_share)) if start is None else 0
    lesson = Lesson(
        "Distilling the student",
        extra,
        taps,
        channels_last=True,
        before_step=lambda number: _freeze_norms(student, frozen=number >= late),
    )
    summary = learn(held, student, photos, step, session, lesson=lesson)
    return fold(student.eval()), summary


@dataclass(frozen=True)
class Lesson:
    """What distinguishes one distillation from another: its title, its terms beside the usual.

    ``taps`` compares features too. ``before_step`` may switch layers of the student.
    """

    title: str
    extra: Sequence[Term] = ()
    taps: Taps | None = None
    channels_last: bool = False
    before_step: Callable[[int], None] | None = None


def learn(
    teacher: Teacher,
    student: nn.Module,
    photos: Photos,
    step: DistilStep,
    session: Session,
    *,
    lesson: Lesson,
) -> TrainingSummary:
    """Train any ``student`` in place to draw what ``teacher`` draws; it ends on the CPU.

    ``student`` maps (N, 3, H, W) float32 in [0, 1] to the same, unclamped, at least as large. The
    step's loss is settled: ``with_loss``.

    Raises:
        TrainingError: the loss stopped being finite.
    """
    held = _held(teacher, session)
    taps = lesson.taps
    modules = {"student": student} if taps is None else {"student": student, "taps": taps}
    schedule = warm_linear(step.steps, hold=pixel_steps(step))
    parts = [
        Part(
            name,
            module,
            adam(module, step.learning_rate),
            schedule,
            channels_last=lesson.channels_last and module is student,
        )
        for name, module in modules.items()
    ]
    preview = side_by_side(photos.crop(generator(step.seed or 0, 0), step.crop_px))
    terms = (*TERMS, *lesson.extra)
    patchgan = PatchGan(step.patchgan_weight, schedule) if step.patchgan_weight else None
    objectives = [Objective(_terms(held, taps, step, terms, patchgan), tuple(modules))]
    if patchgan is not None:
        parts.append(patchgan.part())
        objectives.append(patchgan.objective)
    with pool_of(held, photos, step, session) as pool:
        training = Training(
            parts=parts,
            objectives=objectives,
            sample=pool.cut,
            prepare=pool.draw,
            before_step=lesson.before_step,
            preview=lambda: preview(student),
        )
        return fit(training, step, session, title=lesson.title)


def pixel_steps(step: DistilStep) -> int:
    """Return how many steps at the beginning compare pixels alone."""
    return int(step.steps * (step.pixel_share or 0.0))


def save_student(
    net: FoldedStudent,
    folder: Path,
    *,
    name: str,
    step: DistilStep,
    parent: str,
    numbers: Mapping[str, float],
    verdict: Mapping[str, object] | None = None,
) -> Artifact:
    """Write a folded student as a checkpoint artifact; ``verdict`` says whether it was accepted."""
    return save_checkpoint(
        net,
        folder,
        family="student",
        config=asdict(net.size),
        spec=IMAGE,
        made_by={"stylepress": stylepress.__version__, **recorded(step), **(verdict or {})},
        name=name,
        parent=parent,
        numbers=numbers,
    )


def _held(teacher: Teacher, session: Session) -> Teacher:
    """Return the teacher on the session's device, frozen."""
    device = session.device
    device.hold(teacher.module.eval().requires_grad_(False))
    style = None if teacher.style is None else teacher.style.to(device.place)
    return Teacher(teacher.module, teacher.spec, style)


def _terms(
    teacher: Teacher,
    taps: Taps | None,
    step: DistilStep,
    terms: Sequence[Term],
    patchgan: PatchGan | None = None,
) -> Callable[[Iteration], dict[str, Tensor]]:
    """Return what weighs one batch: the student's pictures against the teacher's."""

    begin = pixel_steps(step)

    def weigh(now: Iteration) -> dict[str, Tensor]:
        def redraw(pictures: Tensor) -> Tensor:
            with now.autocast():
                drawn: Tensor = now.net("student")(pictures)
            return drawn

        pairs = now.batch[0].float() / 255
        content, target = pairs[:, :3].contiguous(), pairs[:, 3:].contiguous()
        inputs, shift = _with_twin(content, step, now)
        guesses: list[Tensor] = []
        features: list[Tensor] = []
        with now.autocast():
            output = now.net("student")(inputs)
            if taps is not None:
                guesses, features = now.net("taps")(), taps.of_teacher(teacher, content)
        output = output[..., : content.shape[-2], : content.shape[-1]].float()
        count = len(content)
        comparison = Comparison(
            output[:count],
            content,
            target,
            now.draw,
            style=teacher.style,
            twin=output[count:] if len(output) > count else None,
            twin_share=float(now.team.size),
            shift=shift,
            guesses=guesses,
            features=features,
            redraw=redraw,
        )
        whole = now.number >= begin
        weighed = weighted(terms if whole else PIXEL_TERMS, step, comparison)
        if patchgan is not None:
            patchgan.note(comparison)
        if patchgan is not None and whole:
            weighed |= patchgan.term(now, comparison)
        return weighed

    return weigh


def _with_twin(content: Tensor, step: DistilStep, now: Iteration) -> tuple[Tensor, tuple[int, int]]:
    """Let the noisy, shifted twin of the team's first sample ride along in the same batch.

    What a student draws must move with the photo, not with its own grid of cells.
    """
    if not step.noise_weight:
        return content, (0, 0)
    noise = torch.randn(content[:1].shape, generator=now.draw) * step.noise_level
    down, right = torch.randint(step.twin_shift + 1, (2,), generator=now.draw).tolist()
    if not now.team.leads:
        return content, (down, right)
    twin = content[:1].roll((down, right), dims=(2, 3)) + noise.to(content.device)
    return torch.cat([content, twin]), (down, right)


def _freeze_norms(student: Student, *, frozen: bool) -> None:
    for layer in student.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.train(not frozen)
