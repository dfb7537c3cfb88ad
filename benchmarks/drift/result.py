"""What a study of drift found: figures, what they were taken over, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import model_validator

from stylepress.benchmarks.drift.features.extractor import ExtractorFact, LpipsFact
from stylepress.benchmarks.drift.rungs import Ladder
from stylepress.benchmarks.part import Part, Skipped

CheckVerdict = Literal["ok", "regression", "inconclusive", "not judged"]
Bound = Literal["at most", "at least", "within"]
DriftVerdict = Literal["ok", "regression", "inconclusive", "not judged"]
Policy = Literal["paired only", "biased", "printed", "gated"]


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


class Check(Part):
    """One figure against its limit. ``bound`` says on which side of the limit is good."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    limit: float | None
    bound: Bound
    verdict: CheckVerdict
    why: str = ""


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
    def verdict(self) -> DriftVerdict:
        """A regression where any check found one, inconclusive where any could not tell."""
        if not self.checks:
            return "not judged"
        seen = {check.verdict for check in self.checks}
        if "regression" in seen:
            return "regression"
        return "inconclusive" if "inconclusive" in seen or "ok" not in seen else "ok"

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
