"""What judges the pictures of two versions of a model: one list, one entry a judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.gate import Limits, figure
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.quality.features.extractor import Extractor
from stylepress.benchmarks.quality.photos import unit
from stylepress.benchmarks.quality.pixels import (
    CAP_DB,
    colour_shifts,
    content_distance,
    grid_energy,
    patch_distance,
    psnr_db,
    saturation_percent,
    style_distance,
)
from stylepress.benchmarks.quality.study import Pair, drift_study, shortage
from stylepress.picture import Pixels
from stylepress.progress import Progress

if TYPE_CHECKING:
    from stylepress.train.features.judges import Judge


SUBJECT = "pictures"
TAKEN, DIRECTIONS = 256, 64
"""Patches a level and picture of a set, and directions that they are projected on."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What both arms made of the same photos; each picture (1, H, W, 3) uint8 RGB.

    ``style`` is the style picture (H, W, 3) uint8, None when there is none. ``references`` are what
    the base made of other photos, its world.
    """

    names: tuple[str, ...]
    photos: tuple[Pixels, ...]
    base: tuple[Pixels, ...]
    new: tuple[Pixels, ...]
    style: Pixels | None
    references: tuple[Pixels, ...] = ()

    @property
    def arms(self) -> Iterator[tuple[Pixels, Pixels]]:
        """Both pictures of each photo, (1, H, W, 3) uint8."""
        return zip(self.base, self.new, strict=True)


PictureJudge = Callable[[Drawn], Iterable[Check]]
"""Takes the pictures of both arms, gives figures. Their limits are those of the gate file, by their
``key``; a figure that could not be taken has no ``new`` value and the reason as ``note``."""


def likeness(drawn: Drawn) -> Iterator[Check]:
    """PSNR of new's pictures against base's, of the worst photo."""
    pairs = [(unit(one), unit(two)) for one, two in drawn.arms]
    worst, name = min((psnr_db(*pair), name) for pair, name in zip(pairs, drawn.names, strict=True))
    note = f"worst of {len(pairs)} photos, {name}" if worst < math.inf else "all pictures are equal"
    level = min(worst, CAP_DB)
    yield figure("psnr_db", SUBJECT, kind="pictures", new=level, larger_is_worse=False, note=note)


def colour(drawn: Drawn) -> Iterator[Check]:
    """How far the mean colour moved, and how much more or less colourful the pictures are."""
    casts = [colour_shifts(one[0], two[0])["cast_levels"] for one, two in drawn.arms]
    note = f"mean of {len(casts)} photos"
    yield figure("cast_levels", SUBJECT, kind="pictures", new=fmean(casts), note=note)
    change = saturation_percent(drawn.arms)
    yield figure("saturation_percent", SUBJECT, kind="pictures", new=change, note=note)


def style(drawn: Drawn) -> Iterator[Check]:
    """How far the patches moved from base's, and the distance to the style picture if it is there."""
    photos, base, new = (
        [unit(frame) for frame in frames] for frames in (drawn.photos, drawn.base, drawn.new)
    )
    way, gone = (
        patch_distance(base, some, patches=TAKEN, directions=DIRECTIONS) for some in (photos, new)
    )
    moved = 0.0 if not gone else 100 * gone / way if way else math.inf
    note = "of the way from base's pictures to the photos"
    yield figure("style_shift_percent", SUBJECT, kind="pictures", new=min(moved, 1e4), note=note)
    if drawn.style is None:
        note = "no style picture was given; `--style` takes one"
        yield figure("style_percent", SUBJECT, note=note)
        return
    picture = unit(drawn.style[np.newaxis])
    yield _growth(drawn, "style_percent", lambda frame, _: style_distance(unit(frame), picture))


def content(drawn: Drawn) -> Iterator[Check]:
    """How much farther the shapes are from the photo's."""
    yield _growth(
        drawn, "content_percent", lambda frame, photo: content_distance(unit(frame), unit(photo))
    )


def grid(drawn: Drawn) -> Iterator[Check]:
    """How much more of a pattern every 4 pixels there is."""
    yield _growth(drawn, "grid_percent", lambda frame, _: grid_energy(unit(frame)))


JUDGES: tuple[PictureJudge, ...] = (likeness, colour, style, content, grid)
"""Those that always judge. A further one is a further entry, and its figures entries in ``gate``."""
BLIND = Skipped(
    what="how steady a video is", why="no video was drawn; `stylepress bench --clip` tells it"
)
"""What no judge of a comparison sees."""


def judged(
    drawn: Mapping[str, Drawn], judges: Sequence[PictureJudge], limits: Limits
) -> Iterator[Check]:
    """Ask every judge about every subject's pictures, and hold what they say against the limits."""
    for subject, pictures in drawn.items():
        for judge in judges:
            for one in judge(pictures):
                own = one if one.key.startswith("drift_") else limits.held(one)
                name = f"{own.subject}, {subject}" if len(drawn) > 1 else own.subject
                yield own.model_copy(update={"subject": name})


def _growth(drawn: Drawn, key: str, of: Callable[[Pixels, Pixels], float]) -> Check:
    """Return by how much a distance of picture and photo grew in the mean, as a figure."""
    threes = zip(drawn.base, drawn.new, drawn.photos, strict=True)
    values = [(of(one, photo), of(two, photo)) for one, two, photo in threes]
    base, new = (fmean(one) for one in zip(*values, strict=True))
    worse = new / base if base > 0 else 1.0 if new == base else math.inf
    facts = {"base": base, "new": new, "worse": worse, "values": tuple(values)}
    return figure(key, SUBJECT, kind="pictures", note=f"mean of {len(values)} photos", **facts)


@dataclass(frozen=True, slots=True)
class DriftJudge:
    """A judge that holds the new arm's pictures to what compression may lose, as a distribution."""

    extractor: Extractor
    limits: Limits
    progress: Progress

    def __call__(self, drawn: Drawn) -> Iterator[Check]:
        """Return one check a figure of the study; where the base drew no other photos, no drift."""
        height, width = drawn.base[0].shape[1:3]
        if few := shortage(len(drawn.names), (height, width), self.extractor):
            yield figure("drift_benign_times", "drift", note=few)
            return
        arms = zip(drawn.names, drawn.arms, strict=True)
        drift = drift_study(
            ("base", "new"),
            [Pair(name, one[0], two[0]) for name, (one, two) in arms],
            [frame[0] for frame in drawn.references],
            extractor=self.extractor,
            limits=self.limits,
            progress=self.progress,
        )
        for one in drift.checks:
            of = f"{drift.extractor.title}, {drift.sample}"
            sets = one.key in ("", "drift_percent", "drift_benign_times")
            note = "; ".join(part for part in (one.note, of if sets else "") if part)
            yield one.model_copy(update={"note": note})


def found_judges(*, env: Mapping[str, str], home: Path) -> tuple[Judge, ...]:
    """Return the published networks whose weights are on this machine; none without torch.

    Raises:
        CheckpointError: a weight file of a known name with other content.
    """
    try:
        from stylepress.train.features.judges import find_judges
    except ImportError:  # torch
        return ()
    return tuple(find_judges(env=env, home=home).values())
