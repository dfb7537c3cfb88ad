"""How what was handed in enters a measurement: baselines of the teacher, the student, bundles.

And whether an original is the model that something was made from, by what both of them record.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from stylepress.artifact import Artifact
from stylepress.benchmarks.check import Check
from stylepress.benchmarks.engines import golden_gap
from stylepress.benchmarks.gate import figure
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.quality.gallery import original_of
from stylepress.benchmarks.quality.photos import Photo
from stylepress.benchmarks.report import Model
from stylepress.benchmarks.timing.systems import (
    NULL,
    Contender,
    Run,
    bundle_model,
    named,
    opened,
    precision,
)
from stylepress.errors import BackendError, FrameError, RecipeError
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions, missing, usual
from stylepress.runtime.bundle import TOLERANCE, Bundle

if TYPE_CHECKING:
    from typing_extensions import Self


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
    """The contenders of one measurement; a context manager that closes their engines.

    Enter the teacher first, the bundles last. ``size`` is (height, width), ``work`` a folder for
    what is exported of checkpoints. What cannot be opened is in ``skipped``. A model that is not
    what it should be by what is recorded is warned of; ``strangers`` holds, by the name of a bundle,
    how far its student is from its golden pictures.
    """

    def __init__(
        self,
        options: EngineOptions,
        backends: Sequence[str] | None,
        *,
        work: Path,
        photos: Sequence[Photo],
        progress: Progress,
    ) -> None:
        self.options, self.size = options, options.size or (512, 512)
        self.work, self.photos, self.progress = work, photos, progress
        self.contenders: list[Contender] = []
        self.strangers: dict[str, Check] = {}
        self._stack = ExitStack()
        self._teacher: Artifact | None = None
        self._student: Contender | None = None
        absent, wanted = missing(), backends or usual()
        self.skipped = [Skipped(what=name, why=absent[name]) for name in wanted if name in absent]
        self.backends = tuple(name for name in wanted if name not in absent)
        if not self.backends:
            reasons = " ".join(absent[name] for name in wanted)
            raise BackendError(f"No backend that was asked for runs here. {reasons}")

    def teacher(self, source: Path) -> None:
        from stylepress.benchmarks.timing.baselines import Baselines  # torch, onnx

        frames = [photo.frame for photo in self.photos]
        forms = Baselines(source, self.work, frames=frames, progress=self.progress)
        forms.enter(self)
        self._teacher = forms.checkpoint

    def student(self, source: Path, names: set[str]) -> None:
        """Enter the student in float: its bundle, or its checkpoint, which is exported first."""
        student = Artifact.load(source)
        if student.kind == "checkpoint":
            from stylepress.benchmarks.timing.baselines import float_bundle  # torch, onnx

            # The parent of weights is the file they were in.
            teacher = self._teacher
            if teacher and student.parent not in (None, teacher.digest, teacher.parent):
                self.progress.warn(
                    f"{student.folder} learned from another teacher than {teacher.name}, by its "
                    f"manifest. They are compared all the same."
                )
            frame = self.photos[0].frame
            student = float_bundle(student, self.work, frame, progress=self.progress)
        ((bundle, name),) = named([student.folder], names)
        model = bundle_model(bundle, "student", self.size, name)
        self.enter(model, bundle)
        own = (one for one in self.contenders if one.model == model and one.backend != NULL)
        self._student = next(own, None)

    def bundles(self, loaded: Sequence[tuple[Bundle, str]]) -> None:
        """Enter what is measured, and the backend that copies frames: what the harness costs.

        Raises:
            BackendError: none of it can be opened in any backend.
        """
        before = len(self.contenders)
        for bundle, name in loaded:
            self.enter(bundle_model(bundle, "bundle", self.size, name), bundle)
        for bundle, name in loaded:
            self._check(bundle, name)
        if len(self.contenders) == before:
            why = "; ".join(f"{one.what}: {one.why}" for one in self.skipped)
            raise BackendError(
                f"There is nothing that runs here ({why}).", "See `stylepress doctor`."
            )
        run = self._stack.enter_context(opened(loaded[0][0], NULL, self.options))
        self.contenders.append(Contender(None, NULL, run, dict(run.engine.describe())))

    def enter(
        self,
        model: Model,
        bundle: Bundle,
        backends: Sequence[str] | None = None,
        *,
        baseline: bool = False,
    ) -> None:
        """Open a bundle in each backend (None: in all); one that cannot load it is noted."""
        for backend in self.backends if backends is None else backends:
            try:
                run = self._stack.enter_context(opened(bundle, backend, self.options))
            except (BackendError, FrameError) as error:
                self.skipped.append(Skipped(what=f"{model.name} · {backend}", why=str(error)))
                continue
            facts = dict(run.engine.describe())
            self.contenders.append(Contender(model, backend, run, facts, baseline, bundle))

    def check_judged(self) -> None:
        """Refuse to measure where no pictures could be judged.

        Raises:
            RecipeError: nothing draws, or no bundle is of its original's family.
        """
        models = {one.model for one in self.contenders if one.model and one.backend != NULL}
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

    def _check(self, bundle: Bundle, name: str) -> None:
        """Warn of a bundle that was made from another student than this."""
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()


def stranger(bundle: Bundle, original: Bundle, run: Run, *, name: str) -> Check | None:
    """Tell how far an original called ``name``, run by ``run``, is from a bundle's golden pictures.

    A float model is never further from those of its INT8 form than the tolerance in its manifest.
    None where it is not, or where the digest of what a bundle was made from says enough.
    """
    artifact, source = bundle.artifact, original.artifact
    if source.digest in (artifact.digest, artifact.parent):
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
