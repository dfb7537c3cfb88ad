"""What rows are measured with: the styles that ship, photos, a folder to work in, engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stylepress.artifact import Artifact
from stylepress.benchmarks.quality.photos import read_photos
from stylepress.benchmarks.timing.baselines import eager
from stylepress.benchmarks.timing.systems import Run, opened
from stylepress.errors import ArtifactError
from stylepress.export.stage import frame_graph_of
from stylepress.picture import PHOTO_SUFFIXES, Pixels
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions, missing
from stylepress.runtime.bundle import Bundle, read_bundle
from stylepress.runtime.machine import usable_cores

Size = tuple[int, int]
PHOTOS = 5
SQUARE = (512, 512)
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
    def networks(self) -> tuple[str, str]:
        """What teacher and student are: two styles with the same take the same time."""
        teacher, student = (
            one.path("network.json").read_text(encoding="utf-8")
            for one in (self.teacher, self.student)
        )
        return teacher, student


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
    pictures = [recipes / "styles" / f"{folder.name}.{kind}" for kind in ("png", "jpg")]
    picture = next((path for path in pictures if path.is_file()), None)
    if picture is None:
        raise ArtifactError(
            f"There is no style picture {pictures[0]}.",
            f"Draw it with `stylepress styles draw {folder.name} {pictures[0]}`.",
        )
    teacher, student, bundle = (
        Artifact.load(folder / name) for name in ("teacher", "student", "bundle")
    )
    return Shipped(folder.name, teacher, student, bundle, picture)


@dataclass(frozen=True, slots=True)
class Drawn:
    """The held-out photos, and what the models of a style make of them: (1, H, W, 3) uint8 each."""

    names: tuple[str, ...]
    photos: tuple[Pixels, ...]
    teacher: tuple[Pixels, ...]
    student: tuple[Pixels, ...]
    bundle: tuple[Pixels, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """The styles, the folder of recipes with its photos, and a folder to work in.

    ``size`` (height, width) is that of pictures that are judged, ``environ`` the environment of
    processes that are measured, ``home`` where weights are looked for.
    """

    styles: Sequence[Shipped]
    recipes: Path
    work: Path
    progress: Progress
    size: Size = SQUARE
    environ: Mapping[str, str] = field(default_factory=dict)
    home: Path = Path()
    _drawn: dict[str, Drawn] = field(default_factory=dict)

    @property
    def style(self) -> Shipped:
        """The style that stands for all where only time counts: their networks are alike."""
        return self.styles[0]

    @property
    def threads(self) -> int:
        """Every engine gets as many."""
        return usable_cores()

    def paths(self, name: str) -> list[Path]:
        """Return the photos of ``heldout`` (no training saw them) or ``train``."""
        paths = sorted((self.recipes / "photos" / name).iterdir())
        return [path for path in paths if path.suffix.lower() in PHOTO_SUFFIXES]

    def frames(self, name: str, size: Size | None = None) -> list[Pixels]:
        """Read the photos of ``heldout`` or ``train`` as frames, (1, H, W, 3) uint8."""
        folder = self.recipes / "photos" / name
        photos = read_photos(folder, size or self.size, limit=PHOTOS, progress=self.progress)
        return [photo.frame for photo in photos]

    def engine(self, bundle: Bundle, size: Size, stack: ExitStack, *, backend: str = "") -> Run:
        """Open a bundle for frames of ``size``, until the stack closes; return how it runs."""
        options = EngineOptions(size=size, threads=self.threads)
        return stack.enter_context(opened(bundle, backend or usual_backend(), options))

    def network(self, checkpoint: Artifact) -> Run:
        """Return what runs a checkpoint in PyTorch."""
        return eager(frame_graph_of(checkpoint), self.threads)

    def drawn(self, style: Shipped) -> Drawn:
        """Draw the held-out photos with all models of a style, once."""
        if style.name not in self._drawn:
            frames = self.frames("heldout")
            with ExitStack() as stack:
                int8 = self.engine(read_bundle(style.bundle.folder), self.size, stack)
                runs = (self.network(style.teacher), self.network(style.student), int8)
                pictures = [tuple(np.array(run(frame)) for frame in frames) for run in runs]
            names = tuple(path.stem for path in self.paths("heldout"))[: len(frames)]
            self._drawn[style.name] = Drawn(names, tuple(frames), *pictures)
        return self._drawn[style.name]
