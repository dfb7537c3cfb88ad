"""How what was handed in enters a measurement: baselines of the teacher, the student, bundles.

And whether an original is the model that something was made from, by what both of them record.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stylepress.artifact import Artifact
from stylepress.benchmarks.check import Check
from stylepress.benchmarks.engines import golden_gap
from stylepress.benchmarks.gate import figure
from stylepress.benchmarks.quality.gallery import original_of
from stylepress.benchmarks.quality.photos import Photo
from stylepress.benchmarks.report import Role
from stylepress.benchmarks.timing.systems import (
    NULL,
    Contender,
    Field,
    Run,
    bundle_model,
    named,
    precision,
)
from stylepress.errors import BackendError, FrameError, RecipeError
from stylepress.progress import Progress
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
    if teacher is not None and teacher.is_dir() and Artifact.load(teacher).kind != "checkpoint":
        raise RecipeError(
            f"{teacher} is a {Artifact.load(teacher).kind}, and a teacher is measured from its "
            f"weights.",
            "Give its checkpoint with `--teacher`.",
        )


class Entries:
    """Lets models enter a field; enter the teacher first, the bundles last.

    ``size`` is (height, width), ``work`` a folder for what is exported of checkpoints. A model that
    is not what it should be by what is recorded is told; ``strangers`` holds, by the name of a
    bundle, how far its student is from its golden pictures.
    """

    def __init__(
        self,
        systems: Field,
        size: tuple[int, int],
        *,
        work: Path,
        photos: Sequence[Photo],
        progress: Progress,
    ) -> None:
        self.systems, self.size = systems, size
        self.work, self.photos, self.progress = work, photos, progress
        self.strangers: dict[str, Check] = {}
        self._teacher: Artifact | None = None
        self._student: Contender | None = None

    def teacher(self, source: Path) -> None:
        """Enter a checkpoint's three baselines."""
        from stylepress.benchmarks.timing.baselines import Teacher  # torch, onnx

        frames = [photo.frame for photo in self.photos]
        made = Teacher(source, self.work, frames=frames, progress=self.progress)
        made.enter(self.systems, self.size)
        self._teacher = made.checkpoint

    def student(self, source: Path, names: set[str]) -> None:
        """Enter the student in float: its bundle, or its checkpoint, which is exported first."""
        ((bundle, name),) = named([self._float(Artifact.load(source))], names)
        made = self._enter(bundle, "student", name)
        self._student = next((one for one in made if one.backend != NULL), None)

    def bundles(self, loaded: Sequence[tuple[Bundle, str]]) -> None:
        """Enter what is measured.

        Raises:
            BackendError: none of it can be opened in any backend.
        """
        entered = [self._enter(bundle, "bundle", name) for bundle, name in loaded]
        for bundle, name in loaded:
            self._check(bundle, name)
        if not any(entered):
            why = "; ".join(f"{one.what}: {one.why}" for one in self.systems.skipped)
            raise BackendError(
                f"There is nothing that runs here ({why}).", "See `stylepress doctor`."
            )

    def check_judged(self) -> None:
        """Refuse to measure where no pictures could be judged.

        Raises:
            RecipeError: nothing draws, or no bundle is of its original's family.
        """
        models = {one.model for one in self.systems.contenders if one.model and one.backend != NULL}
        if not models:
            raise RecipeError(
                f"The backend {NULL} copies frames, and copies judge nothing.",
                "Name another `--backend`, or leave `--gate` out.",
            )
        originals = {one: original_of(one, models) for one in models if one.role == "bundle"}
        if not any(other and other.family == one.family for one, other in originals.items()):
            raise RecipeError(
                "With `--teacher` alone no pictures are judged: a student is not meant to equal "
                "it.",
                "Give the student in float with `--student`, or leave `--gate` out.",
            )

    def _enter(self, bundle: Bundle, role: Role, name: str) -> list[Contender]:
        """Open a bundle in every backend; return what it runs in."""
        before = len(self.systems.contenders)
        model = bundle_model(bundle, role, self.size, name)
        self.systems.enter(model, bundle, self.systems.backends, baseline=False)
        return self.systems.contenders[before:]

    def _check(self, bundle: Bundle, name: str) -> None:
        """Tell of a bundle that was made from another student than this."""
        student = self._student
        if student is None or student.model is None or student.bundle is None:
            return
        title = student.model.name
        found = stranger(bundle, student.bundle, student.run, name=title)
        if found is not None:
            self.strangers[name] = found
            self.progress.warn(
                f"{title} is not the model that {name} was made from: it is {found.new:g} "
                f"levels from its golden pictures, where that one is {found.limit:g} at most. "
                f"They are compared all the same."
            )

    def _float(self, student: Artifact) -> Path:
        if student.kind != "checkpoint":
            return student.folder
        from stylepress.benchmarks.timing.baselines import float_bundle  # torch, onnx

        if self._teacher is not None and other_teacher(student, self._teacher):
            self.progress.warn(
                f"{student.folder} learned from another teacher than {self._teacher.name}, by its "
                f"manifest. They are compared all the same."
            )
        frame = self.photos[0].frame
        return float_bundle(student, self.work, frame, progress=self.progress).folder


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
    known = (None, teacher.digest, teacher.parent)  # the parent of weights is the file they were in
    return student.kind == "checkpoint" and student.parent not in known
