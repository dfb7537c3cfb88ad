"""Judges over published networks, host-side: EfficientNet-Lite0 and VGG-19, where they are here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.quality.judges import SUBJECT, Drawn, PictureJudge

if TYPE_CHECKING:
    from stylepress.train.features.judges import Judge

LEAST_SIDE = 64
TRAINED_ON = "vgg"
"""What `stylepress train` and `distil` minimise by default: shown, and no judge of that training."""


@dataclass(frozen=True, slots=True)
class NetworkJudge:
    """One network's figures of two arms: how far new is from base, and both from the style."""

    judge: Judge

    def __call__(self, drawn: Drawn) -> Iterable[Check]:
        """Return fidelity to base, and the style distances when there is a style picture."""
        if min(drawn.base[0].shape[1:3]) < LEAST_SIDE:
            return
        judge, style = self.judge, drawn.style
        trained = "; the usual training loss, no judge of it" if judge.name == TRAINED_ON else ""
        threes = zip(drawn.photos, drawn.base, drawn.new, strict=True)
        values = [judge.fidelity(*three) for three in threes]
        yield Check(
            subject=SUBJECT,
            metric=f"fidelity to base, {judge.name}",
            new=fmean(values),
            of=judge.label,
            note=f"0 a copy, 1 as far as the photo; worst {max(values):.2f}{trained}",
        )
        if style is None:
            return
        pairs = tuple((judge.style(one, style), judge.style(two, style)) for one, two in drawn.arms)
        base, new = (fmean(side) for side in zip(*pairs, strict=True))
        yield Check(
            subject=SUBJECT,
            metric=f"style distance, {judge.name}",
            base=base,
            new=new,
            worse=new / base if base > 0 else None,
            of=judge.label,
            note=f"mean of {len(pairs)} photos{trained}",
            values=pairs,
        )


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


def network_judges(*, env: Mapping[str, str], home: Path) -> tuple[PictureJudge, ...]:
    """Return a judge of two arms for each of them."""
    return tuple(NetworkJudge(judge) for judge in found_judges(env=env, home=home))
