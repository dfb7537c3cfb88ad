"""The study of drift of each bundle of a report, against the student or teacher it should equal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.gate import USUAL, Limits
from stylepress.benchmarks.quality.features.extractor import Extractor
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
from stylepress.benchmarks.quality.study import Drift, Pair, drift_study
from stylepress.benchmarks.report import Column, Model, Shown
from stylepress.errors import FrameError
from stylepress.progress import Progress

MOST_REFERENCES = 24
SHOWN, SHOWN_SIDE = 3, 192


@dataclass(frozen=True, slots=True)
class DriftOptions:
    """What studies are made with.

    ``wanted`` is False when nobody asked, None when they are made where there is an original.
    ``references`` is a folder of other photos, ``extractor`` a feature network; ``home`` is the
    user's folder, where standard weights lie. At most ``most_photos`` are studied. ``gated`` says
    that somebody goes by the verdict, so that there must be one.
    """

    wanted: bool | None = None
    references: Path | None = None
    extractor: Path | None = None
    home: Path = Path()
    most_photos: int = 12
    limits: Limits = USUAL
    gated: bool = False

    @property
    def asked(self) -> bool:
        """Whether somebody asked for it, so that it must be possible."""
        given = (self.references, self.extractor)
        return bool(self.wanted) or self.gated or any(one is not None for one in given)


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


def studies(
    drawn: Sequence[Drawing],
    references: Sequence[Photo],
    painters: Painters,
    *,
    strangers: Mapping[str, Check],
    extractor: Extractor,
    limits: Limits,
    progress: Progress,
) -> Iterator[tuple[Drift, tuple[Shown, ...]]]:
    """Study every bundle that has an original; yield its drift, and the places that suffered most.

    ``strangers`` are, by their names, bundles that were made from another student: what says so.
    Of a student nothing is judged against its teacher, which it is not meant to equal.
    """
    for model in painters:
        original = original_of(model, painters)
        if model.role != "bundle" or original is None:
            continue
        drift = drift_study(
            (original.name, model.name),
            [Pair(one.photo, one.made[original][0], one.made[model][0]) for one in drawn],
            (painters[original](one.frame)[0] for one in references),
            extractor=extractor,
            limits=limits,
            judged=model.family == original.family,
            progress=progress,
        )
        stranger = strangers.get(model.name) if original.role == "student" else None
        if stranger is not None and drift.judged:
            drift = drift.model_copy(update={"checks": (stranger, *drift.checks)})
        yield drift, tuple(_worst(drift, drawn, original, model))


def _worst(
    drift: Drift, drawn: Sequence[Drawing], original: Model, model: Model
) -> Iterator[Shown]:
    """Show the place that differs most of each of the pictures that do."""
    role: Column = "student" if original.role == "student" else "teacher"
    for number in sorted(range(len(drawn)), key=drift.psnr_db.__getitem__)[:SHOWN]:
        level, one = drift.psnr_db[number], drawn[number]
        if level >= CAP_DB:
            continue
        made, other = one.made[original][0], one.made[model][0]
        place = worst_place(made, other, SHOWN_SIDE)
        photo = f"{one.photo}: {level:.1f} dB"
        yield shown(photo, "content", "photo", one.content[0][place])
        yield shown(photo, role, drift.original, made[place])
        yield shown(photo, "bundle", drift.compressed, other[place])
        gap = difference(made[place], other[place])
        yield shown(photo, "difference", f"{AMPLIFIED} x their difference", gap)
