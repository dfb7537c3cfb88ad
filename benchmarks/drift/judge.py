"""The study of drift as one more judge of ``stylepress compare``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.drift.bundles import NETWORK_SQUARE, SQUARE
from stylepress.benchmarks.drift.features.extractor import (
    Extractor,
    open_extractor,
    open_lpips,
)
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
    because they need many pictures; paired figures over whole frames. Where the base drew no other
    photos there is no drift to them, only what lies between the arms.
    """

    extractor: Extractor
    progress: Progress
    tile: int | None = SQUARE
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
            [frame[0] for frame in drawn.references],
            extractor=self.extractor,
            options=replace(self.options, square=self.tile),
            progress=self.progress,
        )
        yield from judgements(drift)


def drift_judge(
    extractor: Path | None,
    lpips: Path | None,
    *,
    env: Mapping[str, str],
    home: Path,
    progress: Progress,
) -> DriftJudge:
    """Return the judge over the networks that the user names; over features in code without any.

    Raises:
        ArtifactError, CheckpointError, BackendError, RecipeError: a file is not what it must be.
    """
    network = open_extractor(extractor)
    options = StudyOptions(ladder=0)
    if lpips is not None:
        options = replace(options, lpips=open_lpips(lpips, env=env, home=home))
    tile = SQUARE if network.fact.kind == "code" else NETWORK_SQUARE
    return DriftJudge(network, progress, tile=tile, options=options)


def judgements(drift: Drift) -> Iterator[Judgement]:
    """Return the checks of a study, and what it only tells, as judgements."""
    network = drift.frechet.extractor
    for check in drift.checks:
        one = _judgement(check)
        if network.kind != "code" and drift.frechet.metric in check.name:
            note = "; ".join(part for part in (one.note, network.title) if part)
            one = one.model_copy(update={"note": note})
        yield one
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
