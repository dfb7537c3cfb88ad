"""What rows are measured with: the styles that ship, photos, a folder to work in, engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from stylepress.artifact import Artifact
from stylepress.benchmarks.quality.photos import Photo, read_photos
from stylepress.benchmarks.timing.baselines import float_bundle
from stylepress.benchmarks.timing.systems import Pixels, Run, opened
from stylepress.errors import ArtifactError
from stylepress.picture import PHOTO_SUFFIXES, read_picture
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions, missing
from stylepress.runtime.bundle import Bundle, read_bundle
from stylepress.runtime.machine import usable_cores

Size = tuple[int, int]
PHOTOS = 8
TITLES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
"""Our backends as tables call them."""


def usual_backend() -> str:
    """Return the backend in which what ships is judged: OpenVINO where it is installed."""
    return "onnxruntime" if "openvino" in missing() else "openvino"


def wxh(size: Size) -> str:
    """Write a size, (height, width), as tables do.

    >>> wxh((720, 1280))
    '1280x720'
    """
    return f"{size[1]}x{size[0]}"


@dataclass(frozen=True, slots=True)
class Shipped:
    """One style: teacher's and student's checkpoints, the INT8 bundle, the style picture."""

    name: str
    teacher: Artifact
    student: Artifact
    bundle: Artifact
    picture: Path

    @property
    def teacher_kind(self) -> str:
        """What the teacher's network is: two teachers of one kind are equally fast."""
        return self.teacher.path("network.json").read_text(encoding="utf-8")

    @property
    def macs(self) -> float:
        """Multiply-accumulates of the bundle for a 512x512 frame."""
        return self.bundle.numbers.get("macs_512", 0.0)


def shipped(recipes: Path) -> Sequence[Shipped]:
    """Find the styles below ``recipes``, each checked against its digests.

    Raises:
        ArtifactError: there is none, or one is not whole.
    """
    folders = sorted(path.parent for path in recipes.glob("*/bundle"))
    if not folders:
        raise ArtifactError(
            f"{recipes} holds no style that ships (NAME/bundle).",
            f"Build one with `stylepress build {recipes}/NAME.yaml --out {recipes}/NAME`.",
        )
    return [_style(recipes, folder) for folder in folders]


def _style(recipes: Path, folder: Path) -> Shipped:
    names = (f"{folder.name}.png", f"{folder.name}.jpg")
    pictures = [recipes / "styles" / name for name in names]
    picture = next((path for path in pictures if path.is_file()), pictures[0])
    if not picture.is_file():
        raise ArtifactError(
            f"There is no style picture {picture}.",
            f"Draw it with `stylepress styles draw {folder.name} {picture}`.",
        )
    teacher, student, bundle = (
        Artifact.load(folder / name) for name in ("teacher", "student", "bundle")
    )
    return Shipped(folder.name, teacher, student, bundle, picture)


@dataclass(frozen=True, slots=True)
class Setting:
    """The styles, the folder of recipes with its photos, and a folder to work in.

    ``free_gib`` is the memory that is free, None where nobody knows; ``environ`` the environment of
    processes that are measured.
    """

    styles: Sequence[Shipped]
    recipes: Path
    work: Path
    progress: Progress
    free_gib: float | None = None
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def style(self) -> Shipped:
        """The style that stands for all where only time counts: their networks are alike."""
        return self.styles[0]

    @property
    def threads(self) -> int:
        """Every engine gets as many."""
        return usable_cores()

    def heldout(self, size: Size) -> list[Photo]:
        """Photos of ``size`` (height, width) that no training saw."""
        return self._photos("heldout", size)

    def training(self, size: Size) -> list[Pixels]:
        """Frames of photos that the training saw: what INT8 may be calibrated on."""
        return [photo.frame for photo in self._photos("train", size)]

    def paths(self, name: str) -> list[Path]:
        """Return the photos of ``heldout`` or ``train``."""
        paths = sorted((self.recipes / "photos" / name).iterdir())
        return [path for path in paths if path.suffix.lower() in PHOTO_SUFFIXES]

    def pictures(self, name: str) -> list[Pixels]:
        """Read all photos of ``heldout`` or ``train`` as they are, (H, W, 3) each."""
        return [read_picture(path).pixels for path in self.paths(name)]

    def float_bundle(self, checkpoint: Artifact) -> Bundle:
        """Export a checkpoint in float, once."""
        frame = self.heldout((256, 256))[0].frame
        made = float_bundle(checkpoint, self.work, frame, progress=self.progress)
        return read_bundle(made.folder)

    def engine(
        self, bundle: Bundle, size: Size, stack: ExitStack, *, backend: str = "", lanes: int = 1
    ) -> Run:
        """Open a bundle for frames of ``size``, until the stack closes; return how it runs."""
        options = EngineOptions(size=size, threads=self.threads, lanes=lanes)
        return stack.enter_context(opened(bundle, backend or usual_backend(), options))

    def folder(self, *names: str) -> Path:
        """Make a folder below the working folder."""
        made = self.work.joinpath(*names)
        made.mkdir(parents=True, exist_ok=True)
        return made

    def _photos(self, name: str, size: Size) -> list[Photo]:
        folder = self.recipes / "photos" / name
        return read_photos(folder, size, limit=PHOTOS, progress=self.progress)
