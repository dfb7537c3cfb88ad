"""What the tables are measured with: the styles that ship, photos, a working folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stylepress.artifact import Artifact
from stylepress.benchmarks.figures.shipped import Shipped
from stylepress.benchmarks.pictures.photos import Photo, read_photos
from stylepress.benchmarks.timing.baselines import float_bundle
from stylepress.benchmarks.timing.systems import Pixels
from stylepress.picture import PHOTO_SUFFIXES, read_picture
from stylepress.progress import Progress
from stylepress.runtime.bundle import Bundle, load_bundle
from stylepress.runtime.machine import usable_cores

PHOTOS = 8


@dataclass(frozen=True, slots=True)
class Setting:
    """The styles, the folder of recipes with its photos, and a folder to work in.

    ``free_gib`` is the memory that is free, None where nobody knows.
    """

    styles: Sequence[Shipped]
    recipes: Path
    work: Path
    progress: Progress
    free_gib: float | None = None

    @property
    def style(self) -> Shipped:
        """The style that stands for all where only time counts: their networks are alike."""
        return self.styles[0]

    @property
    def threads(self) -> int:
        """Every engine gets as many."""
        return usable_cores()

    def heldout(self, size: tuple[int, int]) -> list[Photo]:
        """Photos of ``size`` (height, width) that no training saw."""
        return self._photos("heldout", size)

    def training(self, size: tuple[int, int]) -> list[Pixels]:
        """Frames of photos that the training saw: what INT8 may be calibrated on."""
        return [photo.frame for photo in self._photos("train", size)]

    def pictures(self, name: str) -> list[Pixels]:
        """Read all photos of ``heldout`` or ``train`` as they are, (H, W, 3) each."""
        paths = sorted((self.recipes / "photos" / name).iterdir())
        photos = [path for path in paths if path.suffix.lower() in PHOTO_SUFFIXES]
        return [read_picture(path).pixels for path in photos]

    def float_bundle(self, checkpoint: Artifact) -> Bundle:
        """Export a checkpoint in float, once."""
        frame = self.heldout((256, 256))[0].frame
        made = float_bundle(checkpoint, self.work, frame, progress=self.progress)
        return load_bundle(made.folder)

    def folder(self, *names: str) -> Path:
        """Make a folder below the working folder."""
        made = self.work.joinpath(*names)
        made.mkdir(parents=True, exist_ok=True)
        return made

    def _photos(self, name: str, size: tuple[int, int]) -> list[Photo]:
        folder = self.recipes / "photos" / name
        return read_photos(folder, size, limit=PHOTOS, progress=self.progress)
