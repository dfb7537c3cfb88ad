"""The terms of a comparison: how it is made and judged, and how long that takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stylepress.benchmarks.gate import FIGURES, USUAL, Limits
from stylepress.benchmarks.machine.record import Machine
from stylepress.benchmarks.machine.watch import FOREIGN_LOAD
from stylepress.benchmarks.quality.judges import PictureJudge
from stylepress.benchmarks.quality.photos import Photo, golden_photos, read_photos
from stylepress.benchmarks.verdict.floor import LENGTHS, Floor, check_floor
from stylepress.benchmarks.verdict.rule import DELTA, Key, Rule, check_power, looks
from stylepress.benchmarks.verdict.session import MEASURES, PairPlan
from stylepress.errors import RecipeError
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import Bundle

START_S = 1.0
"""What the two processes of a pair take to start, to load the bundles and to end, about."""


@dataclass(frozen=True, slots=True)
class DuelOptions:
    """How bundles are compared.

    ``size`` is (height, width), ``backends`` all that run here when None, as for ``bench``.
    ``floor`` is what equal arms differ by (1 % when None), ``foreign_load`` the share of the processor
    that the watch lets others use. ``photos`` is a folder (the base's golden pictures when None),
    ``most_photos`` of which are taken and ``shown`` put on the page; ``judges`` are further ones, and
    ``references`` a folder of other photos for them. ``labels`` are what base and new are called.
    """

    size: tuple[int, int] = (512, 512)
    threads: int | None = None
    backends: tuple[str, ...] | None = None
    plan: PairPlan = field(default_factory=PairPlan)
    limits: Limits = USUAL
    floor: Floor | None = None
    foreign_load: float = FOREIGN_LOAD
    photos: Path | None = None
    most_photos: int = 6
    shown: int = 3
    style: Path | None = None
    judges: tuple[PictureJudge, ...] = ()
    references: Path | None = None
    labels: tuple[str, str] = ("", "")
    created: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def engine(self) -> EngineOptions:
        return EngineOptions(threads=self.threads, size=self.size)

    @property
    def gated(self) -> tuple[str, ...]:
        return tuple(key for key in self.limits.gated if key in MEASURES)

    def photos_of(self, bundle: Bundle, progress: Progress) -> list[Photo]:
        """Return the photos both arms are run on: a folder's, or those the bundle brings."""
        if self.photos is None:
            return golden_photos(bundle, self.size, limit=self.most_photos)
        return read_photos(self.photos, self.size, limit=self.most_photos, progress=progress)


def rules_of(
    subjects: Mapping[str, str], options: DuelOptions, machine: Machine
) -> dict[Key, Rule]:
    """Make the rule of each figure, and refuse a plan that could not lead to a verdict.

    ``subjects`` maps what is measured to its backend.
    """
    floor = options.floor
    if floor is not None:
        plan, (height, width) = options.plan, options.size
        settings = {"height": height, "width": width, "threads": options.engine.all_threads}
        check_floor(floor, machine, {**settings, **{name: getattr(plan, name) for name in LENGTHS}})
    rules = {}
    for subject, backend in subjects.items():
        for key in MEASURES:
            limit = options.limits.limit(key)
            delta = DELTA if limit is None else limit
            known = None if floor is None else floor.of(backend, key)
            if floor is not None and known is None and limit is not None:
                raise RecipeError(
                    f"The floor holds no {FIGURES[key].title} in {backend}.",
                    "Measure it with "
                    "`stylepress bench BUNDLE --selftest`, or gate on what it holds.",
                )
            if known is not None and limit is None:
                known = min(known, delta / 2)
            rules[subject, key] = Rule.assumed(delta) if known is None else Rule(delta, known)
    check_power(len(subjects) * len(options.gated), options.plan.pairs)
    return rules


def forecast(plan: PairPlan, subjects: int) -> str:
    """Say how long a plan takes, and how much longer at most, if no run is spoiled.

    >>> forecast(PairPlan(), 2)
    'Up to 10 pairs of runs in 2 backends: about 75 s, less where a failure is obvious, up to 4 minutes more for what stays open or is not; longer where 10 calls take more than 1 s.'
    """
    pair_s = subjects * (2 * (plan.warm_s + plan.min_s) + plan.rest_s + START_S)
    last = looks(plan.pairs, extend=plan.extend)[-1].pairs
    most = last - plan.pairs + (last if plan.confirm else 0)
    more = f", up to {about(most * pair_s)} more for what stays open or is not" if most else ""
    return (
        f"Up to {plan.pairs} pairs of runs in {subjects} "
        f"{'backend' if subjects == 1 else 'backends'}: about {about(plan.pairs * pair_s)}, less "
        f"where a failure is obvious{more}; "
        f"longer where {plan.min_count} calls take more than {plan.min_s:g} s."
    )


def about(seconds: float) -> str:
    """Write a time as roughly as it is known.

    >>> about(7.6), about(140), about(7384)
    ('8 s', '2 minutes', '2.1 hours')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 90 * 60 else f"{seconds / 3600:.1f} hours"
