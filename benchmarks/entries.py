"""How what was handed in enters a measurement: baselines of the teacher, the student, bundles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stylepress.artifact import Artifact
from stylepress.benchmarks.check import Check
from stylepress.benchmarks.lineage import other_teacher, stranger
from stylepress.benchmarks.quality.gallery import original_of
from stylepress.benchmarks.quality.photos import Photo
from stylepress.benchmarks.report import Role
from stylepress.benchmarks.timing.systems import NULL, Contender, Field, bundle_model, named
from stylepress.errors import BackendError, RecipeError
from stylepress.progress import Progress
from stylepress.runtime.bundle import Bundle


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
        self._student: tuple[Bundle, Contender] | None = None

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
        self._student = next(((bundle, one) for one in made if one.backend != NULL), None)

    def bundles(self, loaded: Sequence[tuple[Bundle, str]]) -> None:
        """Enter what is measured.

        Raises:
            BackendError: none of it can be opened in any backend.
        """
        entered = [self._bundle(bundle, name) for bundle, name in loaded]
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

    def _bundle(self, bundle: Bundle, name: str) -> bool:
        made = self._enter(bundle, "bundle", name)
        if self._student is not None:
            source, one = self._student
            title = one.model.name if one.model else one.name
            found = stranger(bundle, source, one.run, name=title)
            if found is not None:
                self.strangers[name] = found
                self.progress.warn(
                    f"{title} is not the model that {name} was made from: it is {found.new:g} "
                    f"levels from its golden pictures, where that one is {found.limit:g} at most. "
                    f"They are compared all the same."
                )
        return bool(made)

    def _enter(self, bundle: Bundle, role: Role, name: str) -> list[Contender]:
        """Open a bundle in every backend; return what it runs in."""
        before = len(self.systems.contenders)
        model = bundle_model(bundle, role, self.size, name)
        self.systems.enter(model, bundle, self.systems.backends, baseline=False)
        return self.systems.contenders[before:]

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
