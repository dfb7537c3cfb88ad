"""The sensitivity ladder: what each figure would be for damages that everybody can picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.drift.damage import LADDERS, Kind
from stylepress.benchmarks.drift.distances.frechet import features_distance
from stylepress.benchmarks.drift.distances.kernel_distance import discrepancy
from stylepress.benchmarks.drift.distances.patch_distance import Patches
from stylepress.benchmarks.drift.features.extractor import Extractor, Perceptual
from stylepress.benchmarks.drift.paired import MORE_IS_WORSE, pair_scores, rank_correlation
from stylepress.benchmarks.part import Part
from stylepress.progress import Progress

Pixels = NDArray[np.uint8]

PAIRS = 16


class Rung(Part):
    """One damage of one strength, and what every metric says of it."""

    kind: str
    strength: str
    values: Mapping[str, float]


class Ladder(Part):
    """All rungs, faint to strong within each kind, on ``count`` pictures of the original model.

    ``drift`` is the size of FD(R, damaged) - FD(R, whole). Frechet distances of few pictures are
    larger than those of many: read those of a larger study as more damage than the rungs say.
    """

    count: int
    pairs: int
    rungs: tuple[Rung, ...]

    def climb(self, metric: str, kind: str) -> list[float]:
        """Return the values of one metric along one kind."""
        return [rung.values[metric] for rung in self.rungs if rung.kind == kind]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric that all rungs have."""
        return tuple(
            name for name in self.rungs[0].values if all(name in r.values for r in self.rungs)
        )

    def correlations(self) -> dict[tuple[str, str], float]:
        """Spearman of each metric, turned so that more is worse, with each kind of damage."""
        return {
            (metric, kind): rank_correlation(
                range(len(climb)), climb if MORE_IS_WORSE.get(metric, True) else [-v for v in climb]
            )
            for metric in self.metrics
            for kind in dict.fromkeys(rung.kind for rung in self.rungs)
            for climb in [self.climb(metric, kind)]
        }

    def like(self, metric: str, value: float) -> dict[str, str]:
        """Say for each kind of damage between which strengths a value of a metric lies.

        ``below`` the faintest or ``beyond`` the strongest where it leaves the ladder.
        """
        sign = 1 if MORE_IS_WORSE.get(metric, True) else -1
        found = {}
        for kind in dict.fromkeys(rung.kind for rung in self.rungs):
            rungs = [rung for rung in self.rungs if rung.kind == kind]
            passed = [r.strength for r in rungs if sign * r.values[metric] <= sign * value]
            ahead = [r.strength for r in rungs if sign * r.values[metric] > sign * value]
            if not passed:
                found[kind] = f"below {ahead[0]}"
            else:
                found[kind] = f"{passed[-1]} to {ahead[0]}" if ahead else f"beyond {passed[-1]}"
        return found


def ladder(
    pictures: Sequence[Pixels],
    extractor: Extractor,
    *,
    progress: Progress,
    lpips: Perceptual | None = None,
    ladders: Mapping[str, Kind] = LADDERS,
    reference: NDArray[np.float64] | None = None,
    pairs: int = PAIRS,
) -> Ladder:
    """Damage the pictures of a model in every known way and take every metric of each.

    Distances over sets use all (H, W, 3) uint8 ``pictures``, paired ones the first ``pairs``. The
    size of the drift needs the (M, d) features of a ``reference``.
    """
    whole = extractor.see(pictures).features
    patches = _patches(pictures)

    def gap(features: NDArray[np.float64]) -> float:
        return 0.0 if reference is None else features_distance(reference, features)

    rungs = []
    progress.start(
        "Climbing the ladder of damages", sum(len(kind.strengths) for kind in ladders.values())
    )
    for name, kind in ladders.items():
        for strength in kind.strengths:
            damaged = [kind.damage(picture, strength, i) for i, picture in enumerate(pictures)]
            seen = extractor.see(damaged).features
            values = {
                "direct": features_distance(whole, seen),
                "kernel": discrepancy(whole, seen),
                "patches": patches.distance(_patches(damaged)),
                **({} if reference is None else {"drift": abs(gap(seen) - gap(whole))}),
                **_paired(pictures[:pairs], damaged[:pairs], lpips),
            }
            rungs.append(Rung(kind=name, strength=kind.name(strength), values=values))
            progress.advance(note=f"{name}, {kind.name(strength)}")
    progress.finish()
    return Ladder(count=len(pictures), pairs=min(pairs, len(pictures)), rungs=tuple(rungs))


def _patches(pictures: Sequence[Pixels]) -> Patches:
    patches = Patches()
    for number, picture in enumerate(pictures):
        patches.add(picture, number)
    return patches


def _paired(
    whole: Sequence[Pixels], damaged: Sequence[Pixels], lpips: Perceptual | None
) -> dict[str, float]:
    scores = []
    for number, (one, two) in enumerate(zip(whole, damaged, strict=True)):
        extra = {} if lpips is None else {"lpips": lpips.distance(one, two)}
        scores.append(pair_scores(number, one, two, extra=extra).values)
    return {name: math.fsum(one[name] for one in scores) / len(scores) for name in scores[0]}
