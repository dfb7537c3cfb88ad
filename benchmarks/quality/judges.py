"""What judges the pictures of two versions of a model: one list, one entry a judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.gate import Limits, figure
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.quality.features.extractor import Extractor, open_extractor, open_lpips
from stylepress.benchmarks.quality.ladder import squares
from stylepress.benchmarks.quality.paired import colour_shifts
from stylepress.benchmarks.quality.patches import TAKEN_OF_FEW, Patches
from stylepress.benchmarks.quality.photos import unit
from stylepress.benchmarks.quality.pixels import (
    colourfulness,
    content_distance,
    grid_energy,
    psnr_db,
    ssim,
    style_distance,
)
from stylepress.benchmarks.quality.study import (
    LEAST,
    Pair,
    StudyOptions,
    drift_study,
    square_of,
)
from stylepress.progress import Progress

Pixels = NDArray[np.uint8]

SUBJECT = "pictures"
LEAST_SSIM, LEAST_GRID = 11, 64
DULL = 8.0
"""Levels of colourfulness below which a change is a share of these: a grey style has none."""


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
        """Both pictures of each photo, (H, W, 3) uint8."""
        return ((one[0], two[0]) for one, two in zip(self.base, self.new, strict=True))


PictureJudge = Callable[[Drawn], Iterable[Check]]
"""Takes the pictures of both arms, gives figures. Their limits are those of the gate file, by their
``key``; a figure that could not be taken has no ``new`` value and the reason as ``note``."""


def likeness(drawn: Drawn) -> Iterator[Check]:
    """PSNR of new's pictures against base's, of the worst photo; SSIM is shown."""
    levels = [psnr_db(unit(one), unit(two)) for one, two in zip(drawn.base, drawn.new, strict=True)]
    yield worst_level("psnr_db", drawn.names, levels)
    if min(drawn.base[0].shape[1:3]) >= LEAST_SSIM:
        values = [
            ssim(unit(one), unit(two)) for one, two in zip(drawn.base, drawn.new, strict=True)
        ]
        yield Check(
            subject=SUBJECT,
            metric="SSIM against base",
            new=min(values),
            larger_is_worse=False,
            note=f"worst of {len(values)} photos",
        )


def colour(drawn: Drawn) -> Iterator[Check]:
    """How far the mean colour moved, and how much more or less colourful the pictures are."""
    casts = [colour_shifts(*pair)["cast_levels"] for pair in drawn.arms]
    note = f"mean of {len(casts)} photos"
    yield figure("cast_levels", SUBJECT, kind="pictures", new=fmean(casts), note=note)
    base, new = (fmean(map(colourfulness, frames)) for frames in (drawn.base, drawn.new))
    change = 100 * (new - base) / max(base, DULL)
    yield figure("saturation_percent", SUBJECT, kind="pictures", new=change, note=note)


def style(drawn: Drawn) -> Iterator[Check]:
    """How far the patches moved from base's, and the distance to the style picture if it is there."""
    photos, base, new = (
        Patches.of([frame[0] for frame in frames], taken=TAKEN_OF_FEW)
        for frames in (drawn.photos, drawn.base, drawn.new)
    )
    way, gone = base.distance(photos), base.distance(new)
    moved = 0.0 if not gone else 100 * gone / way if way else math.inf
    note = "of the way from base's pictures to the photos"
    yield figure("style_shift_percent", SUBJECT, kind="pictures", new=min(moved, 1e4), note=note)
    if drawn.style is None:
        note = "no style picture was given; `--style` takes one"
        yield figure("style_percent", SUBJECT, note=note)
        return
    picture = unit(drawn.style[np.newaxis])
    yield growth(
        "style_percent",
        [
            (style_distance(unit(one), picture), style_distance(unit(two), picture))
            for one, two in zip(drawn.base, drawn.new, strict=True)
        ],
    )


def content(drawn: Drawn) -> Iterator[Check]:
    """How much farther the shapes are from the photo's."""
    yield growth(
        "content_percent",
        [
            (content_distance(unit(one), unit(photo)), content_distance(unit(two), unit(photo)))
            for one, two, photo in zip(drawn.base, drawn.new, drawn.photos, strict=True)
        ],
    )


def grid(drawn: Drawn) -> Iterator[Check]:
    """How much more of a pattern every 4 pixels there is."""
    if min(drawn.base[0].shape[1:3]) < LEAST_GRID:
        yield figure("grid_percent", SUBJECT, note=f"needs sides of {LEAST_GRID} pixels")
        return
    yield growth(
        "grid_percent",
        [
            (grid_energy(unit(one)), grid_energy(unit(two)))
            for one, two in zip(drawn.base, drawn.new, strict=True)
        ],
    )


JUDGES: tuple[PictureJudge, ...] = (likeness, colour, style, content, grid)
"""Those that always judge. A further one is a further entry, and its figures entries in ``gate``."""
BLIND: tuple[Skipped, ...] = (
    Skipped(
        what="how steady a video is", why="no video was drawn; `stylepress bench --clip` tells it"
    ),
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


def worst_level(key: str, names: Sequence[str], levels: Sequence[float]) -> Check:
    """Return PSNR in dB by photo as a figure: the worst; infinite for equal pictures."""
    worst = min(range(len(levels)), key=levels.__getitem__)
    equal = math.isinf(levels[worst])
    return figure(
        key,
        SUBJECT,
        kind="pictures",
        new=99.0 if equal else levels[worst],
        larger_is_worse=False,
        note="all pictures are equal"
        if equal
        else f"worst of {len(levels)} photos, {names[worst]}",
    )


def growth(key: str, values: Sequence[tuple[float, float]]) -> Check:
    """Return by how much a distance, (base, new) by photo, grew in the mean, as a figure."""
    base, new = (fmean(one) for one in zip(*values, strict=True))
    worse = new / base if base > 0 else 1.0 if new == base else math.inf
    return figure(
        key,
        SUBJECT,
        kind="pictures",
        base=base,
        new=new,
        worse=worse,
        values=tuple(values),
        note=f"mean of {len(values)} photos",
    )


@dataclass(frozen=True, slots=True)
class DriftJudge:
    """A judge that holds the new arm's pictures to what compression may lose, as a distribution.

    Distances over sets are taken over squares of the frames, because they need many pictures;
    paired figures over whole frames. Where the base drew no other photos there is no drift to them.
    """

    extractor: Extractor
    options: StudyOptions
    progress: Progress

    def __call__(self, drawn: Drawn) -> Iterator[Check]:
        """Return one check a figure of the study, and the kernel and patch distances."""
        pairs = [
            Pair(name, *(frame[0] for frame in frames))
            for name, *frames in zip(drawn.names, drawn.photos, drawn.base, drawn.new, strict=True)
        ]
        side = self.options.square
        count = sum(1 for pair in pairs for _ in squares(pair.original, side))
        if count < LEAST:
            note = f"{count} pictures are too few; {LEAST} are needed at least"
            yield figure("drift_benign_times", "drift", note=note)
            return
        drift = drift_study(
            ("base", "new"),
            pairs,
            [frame[0] for frame in drawn.references],
            extractor=self.extractor,
            options=self.options,
            progress=self.progress,
        )
        network = drift.frechet.extractor
        for one in drift.checks:
            of = network.title if one.key in ("drift_percent", "drift_benign_times") else ""
            note = "; ".join(part for part in (one.note, of) if part)
            yield one.model_copy(update={"note": note})
        for metric, value, note in (
            ("kernel distance", drift.kernel.value, f"deviation {drift.kernel.deviation:.3g}"),
            (
                "patch distance",
                drift.patches,
                f"{drift.frechet.benign_change} {drift.benign_patches:.3g}",
            ),
        ):
            yield Check(
                subject="drift",
                metric=f"{metric} between the arms",
                new=value,
                note=f"{note}, {drift.sample}",
            )


def drift_judge(
    extractor: Path | None,
    lpips: Path | None,
    *,
    limits: Limits,
    env: Mapping[str, str],
    home: Path,
    progress: Progress,
) -> DriftJudge:
    """Return the judge over the networks that the user names; over features in code without any.

    Raises:
        ArtifactError, CheckpointError, BackendError, RecipeError: a file is not what it must be.
    """
    network = open_extractor(extractor, env=env, home=home)
    options = StudyOptions(square=square_of(network), ladder=0, limits=limits)
    if lpips is not None:
        options = replace(options, lpips=open_lpips(lpips, env=env, home=home))
    return DriftJudge(network, options, progress)
