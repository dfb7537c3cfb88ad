"""What can be put side by side, a model in a backend, and how it enters a measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stylepress.artifact import Artifact
from stylepress.benchmarks.check import Check
from stylepress.benchmarks.gate import figure
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.report import Model, Role
from stylepress.errors import (
    ArtifactError,
    BackendError,
    FrameError,
    RecipeError,
    VerificationError,
)
from stylepress.picture import Pixels
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions, missing, open_engine, usual
from stylepress.runtime.bundle import Bundle, read_bundle
from stylepress.runtime.choice import self_test
from stylepress.runtime.machine import usable_cores
from stylepress.runtime.model import Model as Drawing

if TYPE_CHECKING:
    from stylepress.benchmarks.quality.photos import Photo

Run = Callable[[Pixels], Pixels]
"""A model: (1, H, W, 3) uint8 to the same shape."""

NULL = "null"
COUNTED_AT = 512 * 512
CONVENTION = (
    "One multiply with its addition is one MAC (two operations). Convolutions only, a transposed "
    "one at its input's size; no bias, norm, activation or resize. Counted at 512x512, scaled by "
    "the area. Parameters are the weights that are learned, zero points and scales left out."
)


@dataclass(frozen=True, slots=True)
class Contender:
    """One model in one backend; ``bundle`` is at hand where it can be opened again."""

    model: Model | None
    backend: str
    run: Run
    facts: Mapping[str, str | int]
    baseline: bool = False
    bundle: Bundle | None = None

    @property
    def name(self) -> str:
        return f"{self.model.name} · {self.backend}" if self.model else f"harness · {self.backend}"


def opened(bundle: Bundle, backend: str, options: EngineOptions) -> Drawing:
    """Open a bundle in a backend: a context manager, called with (N, H, W, 3) uint8 frames.

    Raises:
        BackendError: no such backend, not installed, or it cannot load the bundle.
        FrameError: ``options.size`` is smaller than the bundle takes.
    """
    return Drawing(bundle, open_engine(bundle, backend, options=options))


def check_threads(options: EngineOptions, progress: Progress) -> None:
    """Warn of more threads than there are cores for them."""
    threads, cores = options.all_threads, usable_cores()
    if threads > cores:
        progress.warn(
            f"{threads} threads share {cores} {'core' if cores == 1 else 'cores'} here, and wait for "
            f"each other. Give `--threads {cores}`, or leave it out."
        )


def bundle_model(bundle: Bundle, role: Role, size: tuple[int, int], name: str) -> Model:
    """Describe a bundle for the report, for frames of ``size``: (height, width)."""
    artifact = bundle.artifact
    macs, parameters = artifact.numbers.get("macs_512"), artifact.numbers.get("params")
    return Model(
        name=name,
        role=role,
        family=str(artifact.made_by.get("family", "unknown")),
        precision=precision(artifact),
        digest=artifact.digest,
        parent=artifact.parent,
        weights_bytes=bundle.onnx_path().stat().st_size,
        parameters=None if parameters is None else round(parameters),
        macs=None if macs is None else round(macs * size[0] * size[1] / COUNTED_AT),
    )


def precision(artifact: Artifact) -> str:
    """Return what the manifest says of the precision: fp32, int8, ..."""
    return str(artifact.made_by.get("precision", "unknown"))


def named(folders: Sequence[Path], names: set[str]) -> Iterator[tuple[Bundle, str]]:
    """Load bundles, and give each a name that no other has: ``glass int8``, ``glass int8 2``."""
    for folder in folders:
        bundle = read_bundle(folder)
        first = f"{bundle.artifact.name} {precision(bundle.artifact)}"
        name, number = first, 1
        while name in names:
            number += 1
            name = f"{first} {number}"
        names.add(name)
        yield bundle, name


def common_backends(
    bundles: Sequence[Bundle],
    wanted: Sequence[str] | None,
    options: EngineOptions,
    *,
    most: int | None = None,
) -> tuple[tuple[str, ...], tuple[Skipped, ...]]:
    """Return the backends in which all bundles can be opened, and why not in the others.

    The first ``most`` of them where that is told; those after them are not tried.

    Raises:
        BackendError: there is none.
    """
    absent, able, skipped = missing(), list[str](), list[Skipped]()
    for name in wanted or usual():
        try:
            if name in absent:
                raise BackendError(absent[name])
            for bundle in bundles:
                with opened(bundle, name, options):
                    pass
            able.append(name)
        except BackendError as error:
            skipped.append(Skipped(what=name, why=str(error)))
        if len(able) == most:
            break
    if not able:
        raise BackendError(
            f"Both bundles run in no backend here: {'; '.join(one.why for one in skipped)} "
            f"See `stylepress doctor`."
        )
    return tuple(able), tuple(skipped)


def golden_check(bundle: Bundle, backend: str, *, threads: int | None, subject: str) -> Check:
    """Run a bundle's own golden pairs, and FAIL where `run` would refuse it.

    A bundle that brings none is not judged, nor is the backend that only copies frames.
    """
    if backend == NULL:
        note = "copies of frames are not what a network draws"
        return figure("golden_levels", subject, note=note)
    judged: dict[str, object] = {"kind": "pictures", "limit": bundle.tolerance}
    with opened(bundle, backend, EngineOptions(threads=threads)) as model:
        try:
            judged |= {"new": self_test(bundle, model.engine), "verdict": "PASS"}
        except VerificationError as error:
            judged |= {"verdict": "FAIL", "note": f"`stylepress run` would refuse it. {error}"}
    if judged["verdict"] == "PASS" and judged["new"] is None:
        judged = {"note": "it brings no golden pictures"}
    return figure("golden_levels", subject, **judged)


def golden_pictures(bundle: Bundle) -> Iterator[tuple[str, Pixels]]:
    """Yield the pictures of a bundle's self-test with their names, (1, H, W, 3) uint8.

    Raises:
        ArtifactError: a pair lacks a port, or its main graph maps no picture to a picture.
    """
    graph = bundle.graph()
    if graph.picture is None:
        raise ArtifactError(
            f"The main graph of {bundle.artifact.folder} maps no picture to a picture, so there is "
            f"nothing to compare.",
            "Name the bundle of a frame graph.",
        )
    for pair in bundle.golden():
        yield pair.name, pair.feeds[graph.picture.name]


def weights_bytes(bundle: Bundle) -> int:
    """Return the size of all its graphs: what it weighs without the pictures that it brings."""
    return sum(bundle.onnx_path(name).stat().st_size for name in bundle.artifact.graphs)


def bundle_pairs(base: Path, new: Path) -> dict[str, tuple[Bundle, Bundle]]:
    """Load two bundles, or all that two folders hold below the same names.

    The name of two single bundles is empty; else it is the way to the bundle within its folder.

    Raises:
        RecipeError: the folders hold no bundle of one name, or one holds some that the other lacks.
        ArtifactError: a bundle cannot be loaded.
    """
    if (base / "manifest.json").is_file() or (new / "manifest.json").is_file():
        return {"": (read_bundle(base), read_bundle(new))}
    old, made = (_bundles(folder) for folder in (base, new))
    if not old and not made:
        raise ArtifactError(
            f"{base} and {new} hold no bundle.",
            "Make one with `stylepress build`, and name its folder, or one of folders of bundles.",
        )
    alone = sorted(set(old) ^ set(made))
    if alone:
        raise RecipeError(
            f"Only one of {base} and {new} holds {', '.join(alone)}.",
            "Give two folders with the same bundles, or two bundles.",
        )
    return {name: (read_bundle(old[name]), read_bundle(made[name])) for name in old}


def _bundles(folder: Path) -> dict[str, Path]:
    found = (path.parent for path in sorted(folder.rglob("manifest.json")))
    bundles = (path for path in found if any(path.glob("*.onnx")))
    return {one.relative_to(folder).as_posix().removesuffix("/bundle"): one for one in bundles}


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


class Entries(ExitStack):
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
        super().__init__()
        self.options, self.size = options, options.size or (512, 512)
        self.work, self.photos, self.progress = work, photos, progress
        self.contenders: list[Contender] = []
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
        run = self.enter_context(opened(loaded[0][0], NULL, self.options))
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
                run = self.enter_context(opened(bundle, backend, self.options))
            except (BackendError, FrameError) as error:
                self.skipped.append(Skipped(what=f"{model.name} · {backend}", why=str(error)))
                continue
            facts = dict(run.engine.describe())
            self.contenders.append(Contender(model, backend, run, facts, baseline, bundle))
