"""What a study of drift found: figures, what they were taken over, known damages, the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import model_validator
from scipy.stats import spearmanr  # type: ignore[import-untyped]

from stylepress.benchmarks.check import Check, Verdict, together
from stylepress.benchmarks.part import Part, Skipped
from stylepress.benchmarks.quality.features.extractor import ExtractorFact, LpipsFact

Policy = Literal["paired only", "biased", "printed", "gated"]

TITLES: Mapping[str, str] = {
    "direct": "direct P",
    "drift": "drift D",
    "kernel": "kernel distance",
    "patches": "patch distance",
    "score": "Inception Score",
    "psnr_db": "PSNR, dB",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "lpips": "LPIPS",
    "levels": "difference, levels",
    "cast_levels": "colour cast, levels",
    "place_levels": "cast of a place, levels",
    "content_drift": "content distance, change",
}
"""How a reader calls the figures of a study."""
MORE_IS_WORSE: Mapping[str, bool] = {
    "psnr_db": False,
    "ssim": False,
    "ms_ssim": False,
    "lpips": True,
    "levels": True,
    "cast_levels": True,
    "place_levels": True,
    "content_drift": True,
}
"""Of the paired measures; a distance between sets is worse when it is more."""
AIMED: Mapping[str, tuple[str, ...]] = {
    "cast_levels": ("colour",),
    "place_levels": ("colour",),
    "content_drift": ("jpeg", "blur", "noise", "bits"),
}
"""By which damages a measure is ranked that is made to see only some; all others by every one.

Casts are of the mean colour, which only a tint moves on purpose: of noise, blur or coding they see
what is cut off at black and white. The content is what is drawn, which a tint leaves as it was.
"""


class Interval(Part):
    """A value and, where it could be told, its 95 % bounds."""

    value: float
    low: float | None = None
    high: float | None = None


class FrechetDrift(Part):
    """Frechet distances among the reference R, the original's pictures O, the compressed one's C.

    ``direct`` is FD(O, C), ``benign`` FD(O, O through ``benign_change``) of the same pictures.
    ``floor`` is FD between two halves of O: what unpaired numbers cannot see below. ``drift`` is
    FD(R, C) - FD(R, O), signed; null without a reference and below 2 pictures a dimension.
    ``policy`` says how far the number of pictures lets ``direct`` be trusted, ``drift_policy`` the
    same of ``drift``, where the reference counts too. A distance, or a difference of two, below
    ``rounding`` is nothing.
    """

    metric: str
    extractor: ExtractorFact
    n_reference: int
    n: int
    seed: int
    policy: Policy
    drift_policy: Policy | None
    resampling: str
    reference_original: float | None
    reference_compressed: float | None
    drift: Interval | None
    benign_drift: float | None
    direct: Interval
    benign: float
    benign_change: str
    direct_over_benign: Interval | None
    floor: float
    rounding: float

    @model_validator(mode="after")
    def _named_for_what_it_is(self) -> FrechetDrift:
        if self.metric != self.extractor.metric:
            raise ValueError(
                f"distances over {self.extractor.name} are {self.extractor.metric!r}, "
                f"not {self.metric!r}"
            )
        return self


class Kernel(Part):
    """Kernel distance of O and C: mean and deviation over random subsets of pairs.

    It is KID's kernel, but KID is of Inception's features, and counts each picture with itself.
    """

    value: float
    deviation: float
    subsets: int
    subset: int
    seed: int


class Score(Part):
    """Inception Scores of the original's and the compressed model's pictures."""

    original: float
    compressed: float
    splits: int


class Worst(Part):
    """One of the pictures that suffered most, by its number among the inputs."""

    picture: int
    value: float


class Paired(Part):
    """One measure over all pictures.

    ``low`` and ``high`` bound the mean with 95 % (Student's t; None below 3 pictures). ``p95`` is
    what 95 % of the pictures keep to, ``worst`` the 16 beyond, worst first.
    """

    measure: str
    more_is_worse: bool
    count: int
    mean: float
    low: float | None
    high: float | None
    p95: float
    worst: tuple[Worst, ...]


class Rung(Part):
    """One damage of one strength, and what every metric says of it."""

    kind: str
    strength: float
    values: Mapping[str, float]


class Ladder(Part):
    """All rungs, faint to strong within each kind, on ``pictures`` of the original model.

    Distances over sets are over ``count`` squares of them (or the pictures themselves), paired
    measures over ``pairs`` of them. ``drift`` is the size of FD(R, damaged) - FD(R, whole).
    Frechet distances of few squares are larger than those of many: read those of a larger study as
    more damage than the rungs say.
    """

    pictures: int
    count: int
    pairs: int
    rungs: tuple[Rung, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of damage."""
        return tuple(dict.fromkeys(rung.kind for rung in self.rungs))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric that all rungs have."""
        return tuple(
            name for name in self.rungs[0].values if all(name in r.values for r in self.rungs)
        )

    def climb(self, metric: str, kind: str) -> list[float]:
        """Return the values of one metric along one kind."""
        return [rung.values[metric] for rung in self.rungs if rung.kind == kind]

    def correlations(self) -> dict[tuple[str, str], float]:
        """Spearman of each metric, turned so that more is worse, with the damages it should see."""
        return {
            (metric, kind): rank_correlation(
                range(len(climb)), climb if MORE_IS_WORSE.get(metric, True) else [-v for v in climb]
            )
            for metric in self.metrics
            for kind in self.kinds
            if kind in AIMED.get(metric, self.kinds)
            for climb in [self.climb(metric, kind)]
        }

    def like(self, metric: str, value: float) -> dict[str, str]:
        """Say for each kind of damage between which strengths a value of a metric lies.

        ``below`` the faintest or ``beyond`` the strongest where it leaves the ladder.
        """
        sign = 1 if MORE_IS_WORSE.get(metric, True) else -1
        found = {}
        for kind in self.kinds:
            rungs = [rung for rung in self.rungs if rung.kind == kind]
            strengths = [f"{rung.strength:g}" for rung in rungs]
            more = (n for n, r in enumerate(rungs) if sign * r.values[metric] > sign * value)
            first = next(more, len(rungs))
            if first == 0:
                found[kind] = f"below {strengths[0]}"
            elif first == len(rungs):
                found[kind] = f"beyond {strengths[-1]}"
            else:
                found[kind] = f"{strengths[first - 1]} to {strengths[first]}"
        return found


class Drift(Part):
    """Everything that one study of a compressed model against its original found.

    ``names`` are the pictures, ``size`` (height, width) that of the first. Distances over sets are
    taken over squares of ``square`` pixels cut from them, ``frechet.n`` in all (None: the pictures
    themselves); squares of one picture are alike, so intervals are taken over pictures.
    ``benign_patches`` is what the benign change does to the patch distance. There are no ``checks``
    where the original is another network, whose pictures nobody means to equal.
    """

    original: str
    compressed: str
    names: tuple[str, ...]
    size: tuple[int, int]
    square: int | None
    seed: int
    frechet: FrechetDrift
    kernel: Kernel
    patches: float
    benign_patches: float
    score: Score | None
    lpips: LpipsFact | None
    paired: tuple[Paired, ...]
    checks: tuple[Check, ...]
    ladder: Ladder | None
    skipped: tuple[Skipped, ...]

    @property
    def verdict(self) -> Verdict | None:
        """None where nothing was meant to be judged; open where nothing could be."""
        return together(self.checks) if self.checks else None

    @property
    def sample(self) -> str:
        """What the pictures were, in words."""
        height, width = self.size
        pictures = f"{len(self.names)} pictures of {width}x{height}"
        if self.square is None:
            return pictures
        return f"{self.frechet.n} squares of {self.square} pixels of {pictures}"

    def measure(self, name: str) -> Paired | None:
        """Return a paired measure, None where it was not taken."""
        return next((one for one in self.paired if one.measure == name), None)

    def figures(self) -> Iterator[tuple[str, float]]:
        """Yield every figure that the ladder has too, by the ladder's name for it."""
        yield "direct", self.frechet.direct.value
        if self.frechet.drift is not None:
            yield "drift", abs(self.frechet.drift.value)
        yield "kernel", self.kernel.value
        yield "patches", self.patches
        for one in self.paired:
            yield one.measure, one.mean

    def like(self) -> dict[str, dict[str, str]]:
        """Say of every figure between which rungs of the ladder it lies, by kind of damage."""
        if self.ladder is None:
            return {}
        metrics = set(self.ladder.metrics)
        return {
            name: self.ladder.like(name, value) for name, value in self.figures() if name in metrics
        }


def rank_correlation(one: Sequence[float], two: Sequence[float]) -> float:
    """Spearman's rho, ties by their mean rank; NaN when one of them does not vary.

    >>> rank_correlation([1, 2, 3, 4], [10, 20, 40, 30])
    0.8
    """
    if np.ptp(one) == 0 or np.ptp(two) == 0:
        return float("nan")
    return round(float(spearmanr(one, two).statistic), 12)
