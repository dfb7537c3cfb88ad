"""Whether an original is the model that something was made from, by what both of them record."""

from __future__ import annotations

from pathlib import Path

from stylepress.artifact import Artifact
from stylepress.benchmarks.check import Check
from stylepress.benchmarks.engines import golden_gap
from stylepress.benchmarks.gate import figure
from stylepress.benchmarks.timing.systems import Run, precision
from stylepress.errors import BackendError, FrameError, RecipeError
from stylepress.runtime.bundle import TOLERANCE, Bundle


def check_originals(student: Path | None, teacher: Path | None) -> None:
    """Refuse what cannot be an original, before anything is made of it.

    Raises:
        RecipeError: a student that is INT8, or a teacher without weights.
        ArtifactError: a folder that is no artifact.
    """
    if student is not None and precision(Artifact.load(student)) == "int8":
        raise RecipeError(
            f"{student} is INT8 itself, which tells nothing of what INT8 lost.",
            "Give its float bundle or the student's checkpoint with `--student`.",
        )
    if teacher is not None and teacher.is_dir():
        kind = Artifact.load(teacher).kind
        if kind != "checkpoint":
            raise RecipeError(
                f"{teacher} is a {kind}, and a teacher is measured from its weights.",
                "Give its checkpoint with `--teacher`.",
            )


def stranger(bundle: Bundle, original: Bundle, run: Run, *, name: str) -> Check | None:
    """Tell how far an original called ``name``, run by ``run``, is from a bundle's golden pictures.

    A float model is never further from those of its INT8 form than the tolerance in its manifest.
    None where it is not, or where the digest of what a bundle was made from says enough.
    """
    made, source = bundle.artifact, original.artifact
    if source.digest in (made.digest, made.parent):
        return None
    try:
        worst = golden_gap(bundle, run) or 0.0
    except (BackendError, FrameError):
        return None
    limit = bundle.tolerance + TOLERANCE
    if worst <= limit:
        return None
    note = f"{name} is not the model it was made from; not judged"
    return figure("golden_levels", name, new=worst, limit=limit, note=note)


def other_teacher(student: Artifact, teacher: Artifact) -> bool:
    """Say whether a student's checkpoint names another teacher than this as what it learned from."""
    known = (teacher.digest, teacher.parent)  # the parent of weights is the file they were in
    return (
        student.kind == "checkpoint" and student.parent is not None and student.parent not in known
    )
