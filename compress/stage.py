"""The second step: a student distilled from a teacher's checkpoint."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from stylepress.artifact import Artifact
from stylepress.compress.copying import Copying
from stylepress.compress.distil import Teacher, distil_student, save_student
from stylepress.compress.fidelity import drift, fidelity, parted
from stylepress.compress.learner import picture_network
from stylepress.compress.steadiness import TEMPORAL
from stylepress.compress.terms import Term
from stylepress.errors import RecipeError
from stylepress.steps import DistilStep
from stylepress.train.photos import Photos
from stylepress.train.stage import lessons, step_vgg, style_pixels
from stylepress.train.student import IMAGE, PRESETS, FoldedStudent, StudentSize
from stylepress.train.trainer.plan import Session
from stylepress.train.trainer.session import open_session
from stylepress.train.weights.checkpoint import LoadedNetwork, load_network
from stylepress.work import Work


def distil(source: Artifact, step: DistilStep, out: Path, work: Work) -> Artifact:
    """Distil a student from the checkpoint ``source`` and save it, folded, in ``out``.

    The processes of torchrun train together; the first writes.

    Raises:
        TrainingError: the loss stopped being finite.
        FrameError: no photos.
    """
    if step.photos is None:
        raise RecipeError("A student is distilled on photos.", "Add `photos: FOLDER`.")
    loaded = picture_network(source.folder)
    style = style_pixels(step.style) if step.style is not None else None
    photos, held = parted(lessons(step.photos, work))
    with open_session(work, step) as session:
        if work.pictures is not None:
            kept = work.pictures / _pictures_of(source, step, work, session)
            session = replace(session, pictures=kept)
        teacher = Teacher(loaded.module, loaded.image, style)
        place = session.device.place
        size = PRESETS[step.preset] if step.size is None else StudentSize(**dict(step.size))
        extra: tuple[Term, ...] = (TEMPORAL,)
        if step.loss == "vgg":
            vgg = step_vgg(step.vgg, work, session.device)
            aim = None if style is None else style.to(place)
            extra += Copying(vgg, step.margin_px or 0, aim).terms
        start = None if step.start is None else beginning(step.start, size)
        net, summary = distil_student(
            teacher, photos, size, step, session, extra=extra, start=start
        )
        verdict: dict[str, Any] = {}
        # Steadiness in motion is bought with likeness, by which the better one is told.
        if start is not None and not step.temporal_weight:
            net, verdict = _better(loaded, start, net, held, work)
        return session.team.written(
            lambda: save_student(
                net,
                out,
                name=work.name,
                step=step,
                parent=source.digest,
                numbers={"loss": summary.loss, **_judged(loaded, net, held, work)},
                verdict=verdict,
            ),
            otherwise=lambda: Artifact.load(out),
        )


def _pictures_of(source: Artifact, step: DistilStep, work: Work, session: Session) -> str:
    """Name what decides a teacher's pictures: any two trainings of one name look at the same."""
    photos = work.identity.get("step", {}).get("photos", str(step.photos))
    values = (step.seed, step.pool_px, step.loss, session.device.precision)
    text = repr((source.digest, photos, *values))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _better(
    loaded: LoadedNetwork,
    before: FoldedStudent,
    after: FoldedStudent,
    held: Photos,
    work: Work,
) -> tuple[FoldedStudent, dict[str, Any]]:
    """Return the student that copies better, the one that went on learning or what it began as."""
    teacher = Teacher(loaded.module.cpu().eval(), loaded.image)
    (old, _), (new, judge) = (
        drift(teacher, Teacher(net.eval(), IMAGE), held, env=work.environ, home=work.home)
        for net in (before, after)
    )
    accepted = new <= old
    said = f"drift {old:.4f} before, {new:.4f} after, by {judge}"
    if not accepted:
        work.progress.warn(f"The student became no better ({said}); it stays as it was.")
    return (after if accepted else before), {"accepted": accepted, "verdict": said}


def _judged(
    loaded: LoadedNetwork, net: FoldedStudent, held: Photos, work: Work
) -> dict[str, float]:
    """Return the fidelity of a student to the network it was distilled from."""
    teacher = Teacher(loaded.module.cpu().eval(), loaded.image)
    student = Teacher(net.eval(), IMAGE)
    return fidelity(teacher, student, held, work.progress, env=work.environ, home=work.home)


def beginning(folder: Path, size: StudentSize) -> FoldedStudent:
    """Load the student that a distillation goes on from.

    Raises:
        CheckpointError: no checkpoint, or one that cannot be read.
        RecipeError: a network of another kind or size.
    """
    loaded = load_network(folder)
    module = loaded.module
    if not isinstance(module, FoldedStudent) or module.size != size:
        kind = f"a student of {module.size}" if isinstance(module, FoldedStudent) else loaded.family
        raise RecipeError(
            f"{folder} holds {kind}, and the student to begin with must be of {size}.",
            "Name a student of the same preset, or leave `start` away.",
        )
    return module
