"""The study of drift as one more judge of ``stylepress compare``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.drift.features.extractor import Extractor
from stylepress.benchmarks.drift.result import Check, CheckVerdict, Drift
from stylepress.benchmarks.drift.squares import squares
from stylepress.benchmarks.drift.study import LEAST, Pair, StudyOptions, drift_study
from stylepress.benchmarks.drift.titles import check_title
from stylepress.benchmarks.verdict.comparison import Judgement
from stylepress.benchmarks.verdict.pictures import SUBJECT, Drawn
from stylepress.benchmarks.verdict.rule import Verdict
from stylepress.progress import Progress

Pixels = NDArray[np.uint8]

VERDICTS: Mapping[CheckVerdict, Verdict | None] = {
    "ok": "PASS",
    "regression": "FAIL",
    "inconclusive": "INCONCLUSIVE",
    "not judged": None,
}


@dataclass(frozen=True, slots=True)
class DriftJudge:
    """A ``PictureJudge`` that holds the new arm's pictures against the base's as a distribution.

    Distances over sets are taken over squares of ``tile`` pixels of the frames (None: the frames),
    because they need many pictures; paired figures over whole frames. ``references`` are (H, W, 3)
    uint8 pictures of the base model of other photos; without any there is no drift to them, only
    what lies between the arms.
    """

    extractor: Extractor
    progress: Progress
    references: tuple[Pixels, ...] = ()
    tile: int | None = 64
    options: StudyOptions = field(default_factory=lambda: StudyOptions(ladder=0))

    def __call__(self, drawn: Drawn) -> Iterator[Judgement]:
        """Return one judgement a check of the study, and the kernel and patch distances."""
        pairs = [
            Pair(name, *(frame[0] for frame in frames))
            for name, *frames in zip(drawn.names, drawn.photos, drawn.base, drawn.new, strict=True)
        ]
        count = sum(1 for pair in pairs for _ in squares(pair.original, self.tile))
        if count < LEAST:
            yield Judgement(
                subject=SUBJECT,
                metric="drift",
                unit="",
                kind="quality",
                base=None,
                new=None,
                note=f"{count} pictures are too few; {LEAST} are needed at least",
            )
            return
        drift = drift_study(
            ("base", "new"),
            pairs,
            self.references,
            extractor=self.extractor,
            options=replace(self.options, square=self.tile),
            progress=self.progress,
        )
        yield from judgements(drift)


def judgements(drift: Drift) -> Iterator[Judgement]:
    """Return the checks of a study, and what it only tells, as judgements."""
    for check in drift.checks:
        yield _judgement(check)
    told = (
        ("kernel distance", drift.kernel.value, f"deviation {drift.kernel.deviation:.3g}"),
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
            note=f"{note}, {drift.sample}",
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
        metric=check_title(check.name),
        unit="",
        kind="quality",
        base=None,
        new=check.value,
        larger_is_worse=check.bound != "at least",
        gated=verdict is not None,
        verdict=verdict,
        note="; ".join(parts),
    )
