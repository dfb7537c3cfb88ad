"""The second step: a student distilled from a teacher's checkpoint."""

from __future__ import annotations

from pathlib import Path

from stylepress.artifact import Artifact
from stylepress.compress.distil import Teacher, distil_student, save_student
from stylepress.errors import RecipeError
from stylepress.steps import DistilStep
from stylepress.train.stage import album, style_pixels
from stylepress.train.student import PRESETS
from stylepress.train.trainer.session import open_session
from stylepress.train.weights.checkpoint import load_network
from stylepress.work import Work


def distil(source: Artifact, step: DistilStep, out: Path, work: Work) -> Artifact:
    """Distil a student from the checkpoint ``source`` and save it, folded, in ``out``.

    The processes of torchrun train together; the first writes.

    Raises:
        TrainingError: the loss stopped being finite.
        FrameError: no photos.
    """
    if step.photos is None:
        raise RecipeError("A student is distilled on photos. Add `photos: FOLDER`.")
    loaded = load_network(source.folder)
    style = style_pixels(step.style) if step.style is not None else None
    photos = album(step.photos, work)
    with open_session(work, step) as session:
        teacher = Teacher(loaded.module, loaded.image, style)
        net, summary = distil_student(teacher, photos, PRESETS[step.preset], step, session)
        return session.team.written(
            lambda: save_student(
                net, out, name=work.name, step=step, parent=source.digest, summary=summary
            ),
            otherwise=lambda: Artifact.load(out),
        )
