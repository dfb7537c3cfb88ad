"""The study of drift of each bundle of a report, against the student or teacher it should equal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.gate import USUAL, Limits
from stylepress.benchmarks.quality.features.extractor import Extractor, Perceptual
from stylepress.benchmarks.quality.gallery import (
    AMPLIFIED,
    Drawing,
    difference,
    original_of,
    shown,
    worst_place,
)
from stylepress.benchmarks.quality.motion.steadiness import Painters
from stylepress.benchmarks.quality.paired import CAP_DB
from stylepress.benchmarks.quality.photos import Photo, read_photos
from stylepress.benchmarks.quality.result import Drift, Ladder
from stylepress.benchmarks.quality.study import (
    LEAST,
    Pair,
    StudyOptions,
    drift_study,
    is_network,
    square_of,
)
from stylepress.benchmarks.report import Column, Model, Shown
from stylepress.errors import FrameError
from stylepress.progress import Progress

LADDER, NETWORK_LADDER = 6, 1
"""Pictures of the ladder: 30 times as many are described, which a network does slowly."""
MOST_REFERENCES = 24
SHOWN, SHOWN_SIDE = 3, 192


@dataclass(frozen=True, slots=True)
class DriftOptions:
    """What studies are made with.

    ``wanted`` is False when nobody asked, None when they are made where there is an original.
    ``references`` is a folder of other photos, ``extractor`` a feature network, ``lpips`` its heads;
    ``home`` is the user's folder, where standard weights lie. At most ``most_photos`` are studied.
    ``gated`` says that somebody goes by the verdict, so that there must be one.
    """

    wanted: bool | None = None
    references: Path | None = None
    extractor: Path | None = None
    lpips: Path | None = None
    home: Path = Path()
    most_photos: int = 12
    limits: Limits = USUAL
    gated: bool = False

    @property
    def asked(self) -> bool:
        """Whether somebody asked for it, so that it must be possible."""
        given = (self.references, self.extractor, self.lpips)
        return bool(self.wanted) or self.gated or any(one is not None for one in given)


@dataclass(frozen=True, slots=True)
class Study:
    """A bundle's drift, and the places where its pictures suffered most."""

    drift: Drift
    worst: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Measures:
    """What pictures are described and compared by."""

    extractor: Extractor
    lpips: Perceptual | str


@dataclass(frozen=True, slots=True)
class Sample:
    """What the models drew of each photo, and the other photos that only originals draw.

    ``strangers`` are, by their names, bundles that were made from another student: what says so.
    """

    drawn: Sequence[Drawing]
    references: Sequence[Photo] = ()
    strangers: Mapping[str, Check] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of all frames."""
        height, width = self.drawn[0].content.shape[1:3]
        return height, width


def other_photos(
    folder: Path | None, inputs: Sequence[Photo], *, progress: Progress
) -> list[Photo]:
    """Read the photos of reference, at the size of the inputs; none is both.

    Raises:
        FrameError: the folder holds no photo that is not among the inputs.
    """
    if folder is None:
        return []
    size = inputs[0].frame.shape[1], inputs[0].frame.shape[2]
    taken = {one.fact.sha256 for one in inputs}
    most = MOST_REFERENCES + len(taken)
    found = read_photos(folder, size, limit=most, progress=progress)
    others = [one for one in found if one.fact.sha256 not in taken][:MOST_REFERENCES]
    if not others:
        raise FrameError(
            f"All {len(found)} photos of {folder} are measured on, so none is left for reference.",
            "Name a folder of other photos with `--references`.",
        )
    return others


def shortage(count: int, size: tuple[int, int], extractor: Extractor) -> str:
    """Say why ``count`` photos of ``size``, (height, width), are too few to study; "" where not."""
    side = min(square_of(extractor), *size)
    cut = count * (size[0] // side) * (size[1] // side)
    if cut >= LEAST:
        return ""
    return (
        f"{count} photos of {size[1]}x{size[0]} are {cut} squares of {side} pixels, and a distance "
        f"takes {LEAST} at least"
    )


def studies(
    sample: Sample,
    painters: Painters,
    measures: Measures,
    *,
    limits: Limits,
    progress: Progress,
) -> Iterator[Study]:
    """Study every bundle that has an original among the models that drew."""
    ladders: dict[str, Ladder | None] = {}
    for model in painters:
        original = original_of(model, painters)
        if model.role != "bundle" or original is None:
            continue
        pairs = [
            Pair(one.photo, one.content[0], one.made[original][0], one.made[model][0])
            for one in sample.drawn
        ]
        drift = drift_study(
            (original.name, model.name),
            pairs,
            (painters[original](one.frame)[0] for one in sample.references),
            extractor=measures.extractor,
            options=_options(measures, limits, sample.size, known=ladders.get(original.name)),
            progress=progress,
        )
        drift = drift.model_copy(update={"checks": _checks(drift, model, original, sample)})
        ladders[original.name] = drift.ladder
        yield Study(drift, tuple(_worst(drift, pairs, original)))


def _checks(drift: Drift, model: Model, original: Model, sample: Sample) -> tuple[Check, ...]:
    """Return what is judged: nothing of a student, which is not meant to equal its teacher."""
    if model.family != original.family:
        return ()
    stranger = sample.strangers.get(model.name) if original.role == "student" else None
    return (*([stranger] if stranger else []), *drift.checks)


def _options(
    measures: Measures, limits: Limits, size: tuple[int, int], *, known: Ladder | None
) -> StudyOptions:
    ladder = NETWORK_LADDER if is_network(measures.extractor) else LADDER
    square = min(square_of(measures.extractor), *size)
    return StudyOptions(square=square, ladder=known or ladder, limits=limits, lpips=measures.lpips)


def _worst(drift: Drift, pairs: Sequence[Pair], original: Model) -> Iterator[Shown]:
    """Show the place that differs most of each of the pictures that do."""
    psnr = drift.measure("psnr_db")
    role: Column = "student" if original.role == "student" else "teacher"
    for worst in psnr.worst[:SHOWN] if psnr else ():
        if worst.value >= CAP_DB:
            continue
        pair = pairs[worst.picture]
        place = worst_place(pair.original, pair.compressed, SHOWN_SIDE)
        made, other = pair.original[place], pair.compressed[place]
        photo = f"{pair.name}: {worst.value:.1f} dB"
        yield shown(photo, "content", "photo", pair.content[place])
        yield shown(photo, role, drift.original, made)
        yield shown(photo, "bundle", drift.compressed, other)
        yield shown(photo, "difference", f"{AMPLIFIED} x their difference", difference(made, other))
