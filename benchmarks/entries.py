"""How what was handed in enters a measurement: baselines of the teacher, the student, bundles."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from stylepress.artifact import Artifact
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.quality.photos import Photo
from stylepress.benchmarks.report import Model
from stylepress.benchmarks.timing.systems import (
    NULL,
    Contender,
    bundle_model,
    named,
    opened,
    precision,
)
from stylepress.errors import BackendError, FrameError, RecipeError
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions, missing, usual
from stylepress.runtime.bundle import Bundle

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
    what is exported of checkpoints. What cannot be opened is in ``skipped``.
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
        self._stack = ExitStack()
        self._teacher: Artifact | None = None
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
        self.enter(bundle_model(bundle, "student", self.size, name), bundle)

    def bundles(self, loaded: Sequence[tuple[Bundle, str]]) -> None:
        """Enter what is measured, and the backend that copies frames: what the harness costs.

        Raises:
            BackendError: none of it can be opened in any backend.
        """
        before = len(self.contenders)
        for bundle, name in loaded:
            self.enter(bundle_model(bundle, "bundle", self.size, name), bundle)
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()
