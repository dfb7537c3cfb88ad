"""The study of drift as one more judge of ``stylepress compare``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.drift.features.extractor import Extractor
from stylepress.benchmarks.drift.result import Check, CheckVerdict, Drift
from stylepress.benchmarks.drift.study import Arms, StudyOptions, drift_study
from stylepress.benchmarks.verdict.comparison import Judgement
from stylepress.benchmarks.verdict.pictures import SUBJECT, Drawn
from stylepress.benchmarks.verdict.rule import Verdict
from stylepress.progress import Progress

Pixels = NDArray[np.uint8]

LEAST = 4
VERDICTS: Mapping[CheckVerdict, Verdict | None] = {
    "ok": "PASS",
    "regression": "FAIL",
    "inconclusive": "INCONCLUSIVE",
    "not judged": None,
}


@dataclass(frozen=True, slots=True)
class DriftJudge:
    """A ``PictureJudge`` that holds the new arm's pictures against the base's as a distribution.

    Frames are cut into squares of ``tile`` pixels (None: taken whole), because a distance over
    sets needs many pictures; squares of one frame are alike, so its intervals are a little narrow.
    ``references`` are (H, W, 3) uint8 pictures of the size of the frames, the photos themselves
    when there are none.
    """

    extractor: Extractor
    progress: Progress
    references: tuple[Pixels, ...] = ()
    tile: int | None = 64
    options: StudyOptions = field(default_factory=lambda: StudyOptions(ladder=0))

    def __call__(self, drawn: Drawn) -> Iterator[Judgement]:
        """Return one judgement a check of the study, and the kernel and patch distances."""
        photos, base, new = (
            self._tiles([frame[0] for frame in frames])
            for frames in (drawn.photos, drawn.base, drawn.new)
        )
        references = self._tiles(self.references) if self.references else photos
        if min(len(photos), len(references)) < LEAST:
            yield Judgement(
                subject=SUBJECT,
                metric="drift",
                unit="",
                kind="quality",
                base=None,
                new=None,
                note=f"{len(photos)} pictures are too few; {LEAST} are needed at least",
            )
            return
        yield from judgements(self.study(photos, base, new, references))

    def study(
        self,
        photos: Sequence[Pixels],
        base: Sequence[Pixels],
        new: Sequence[Pixels],
        references: Sequence[Pixels],
    ) -> Drift:
        """Study pictures that were drawn before: (H, W, 3) each, in the same order."""
        mine, theirs = iter(base), iter(new)
        arms = Arms(
            ("base", lambda _: next(mine)[np.newaxis]), ("new", lambda _: next(theirs)[np.newaxis])
        )
        return drift_study(
            arms,
            photos,
            references,
            extractor=self.extractor,
            options=self.options,
            progress=self.progress,
        )

    def _tiles(self, frames: Sequence[Pixels]) -> list[Pixels]:
        if self.tile is None:
            return list(frames)
        return [tile for frame in frames for tile in tiles(frame, self.tile)]


def tiles(frame: Pixels, side: int) -> Iterator[Pixels]:
    """Cut (H, W, 3) into squares, row by row; what is left at the right and below is left out.

    >>> [int(tile.sum()) for tile in tiles(np.ones((5, 9, 3), np.uint8), 4)]
    [48, 48]
    """
    for top in range(0, frame.shape[0] - side + 1, side):
        for left in range(0, frame.shape[1] - side + 1, side):
            yield np.ascontiguousarray(frame[top : top + side, left : left + side])


def judgements(drift: Drift) -> Iterator[Judgement]:
    """Return the checks of a study, and what it only tells, as judgements."""
    for check in drift.checks:
        yield _judgement(check)
    told = (
        ("KID", drift.kernel.value, f"deviation {drift.kernel.deviation:.3g}"),
        (
            "patch distance",
            drift.patches,
            f"{drift.frechet.benign_change} {drift.benign_patches:.3g}",
        ),
    )
    for metric, value, note in told:
        yield Judgement(
            subject=SUBJECT,
            metric=f"{metric} between the arms",
            unit="",
            kind="quality",
            base=None,
            new=value,
            note=f"{note}, {drift.pictures} pictures",
        )


def _judgement(check: Check) -> Judgement:
    verdict = VERDICTS[check.verdict]
    parts = []
    if check.low is not None and check.high is not None:
        parts.append(f"95 % [{check.low:.3g}, {check.high:.3g}]")
    if check.limit is not None:
        sign = "±" if check.bound == "within" else ""
        parts.append(f"{check.bound} {sign}{check.limit:.3g}")
    if check.why:
        parts.append(check.why)
    return Judgement(
        subject=SUBJECT,
        metric=check.name,
        unit="",
        kind="quality",
        base=None,
        new=check.value,
        larger_is_worse=check.bound != "at least",
        gated=verdict is not None,
        verdict=verdict,
        note="; ".join(parts),
    )
