"""What a comparison is made by, and the document it ends as: every run, what was judged, the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, computed_field, model_validator

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.gate import FIGURES, USUAL, Limits, figure
from stylepress.benchmarks.machine.record import Machine
from stylepress.benchmarks.machine.watch import FOREIGN_LOAD
from stylepress.benchmarks.part import Document, FileFact, Part, Skipped
from stylepress.benchmarks.quality.judges import PictureJudge
from stylepress.benchmarks.quality.photos import Photo, golden_photos, read_photos
from stylepress.benchmarks.report import Shown
from stylepress.benchmarks.timing.systems import precision, weights_bytes
from stylepress.benchmarks.verdict.floor import LENGTHS, Floor, check_floor
from stylepress.benchmarks.verdict.rule import DELTA, Key, Rule, check_power, looks
from stylepress.benchmarks.verdict.session import MEASURES, PairPlan, Run
from stylepress.errors import RecipeError
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import Bundle

Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE", "NOT COMPARABLE", "TREND", "NO BASELINE"]
Mode = Literal["fresh processes", "trend", "not measured"]
Code = Literal[0, 1, 2, 3]
START_S = 1.0
"""What the two processes of a pair take to start, to load the bundles and to end, about."""
EXIT_CODES: Mapping[Outcome, Code] = {
    "PASS": 0,
    "TREND": 0,
    "FAIL": 1,
    "NOT COMPARABLE": 2,
    "NO BASELINE": 2,
    "INCONCLUSIVE": 3,
}


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


class Side(Part):
    """One of the two that are compared; ``label`` is what its user calls it, e.g. a branch."""

    name: str
    digest: str
    precision: str
    weights_bytes: int
    label: str = ""


class Settings(Part):
    """How it was measured and judged; written down before the first run.

    ``looks`` are pairs and two-sided alpha of each look, ``limits`` those of a gate file.
    ``foreign_load`` is the share of the processor that others may use, None where nobody watched.
    """

    height: int
    width: int
    threads: int
    backends: tuple[str, ...]
    plan: PairPlan
    looks: tuple[tuple[int, float], ...]
    limits: dict[str, float | None]
    floor_source: Literal["assumed", "measured"] = "assumed"
    foreign_load: float | None = None
    photos: tuple[FileFact, ...] = ()


class Comparison(Document, title="stylepress comparison"):
    """Two arms on one machine, or two reports; and the verdict with its reasons.

    ``engines`` are what the backends told of the engines, by what they are of. ``differing`` maps a
    field of machine or scenario to its two values, where these forbid a verdict.
    """

    command: ClassVar[str] = "stylepress compare A B --out DIR"

    schema_version: Literal[6] = 6
    document: Literal["comparison"] = "comparison"
    tool: str
    created: str
    mode: Mode
    base: Side | None
    new: Side
    verdict: Outcome
    reasons: tuple[str, ...]
    settings: Settings | None = None
    machine: Machine
    checks: tuple[Check, ...] = ()
    runs: tuple[Run, ...] = ()
    engines: dict[str, dict[str, str | int]] = Field(default_factory=dict)
    differing: dict[str, tuple[Any, Any]] = Field(default_factory=dict)
    unjudged: tuple[Skipped, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    gallery: tuple[Shown, ...] = Field(default=(), exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _without_its_code(cls, record: Any) -> Any:
        """Take what was written: the exit code follows from the verdict."""
        if isinstance(record, dict):
            return {name: value for name, value in record.items() if name != "exit_code"}
        return record

    @computed_field  # type: ignore[prop-decorator]
    @property
    def exit_code(self) -> Code:
        """0 pass or trend, 1 fail, 2 not comparable or no baseline, 3 inconclusive."""
        return EXIT_CODES[self.verdict]

    def code(self, open_code: int) -> int:
        """Return the exit code; an open verdict's is ``open_code``, unless nobody measured it: 3."""
        if self.verdict != "INCONCLUSIVE":
            return self.exit_code
        never = any(one.verdict == "INCONCLUSIVE" and one.new is None for one in self.checks)
        return self.exit_code if never and open_code == 0 else open_code

    @property
    def gated(self) -> tuple[Check, ...]:
        order = ("FAIL", "INCONCLUSIVE", "PASS")
        judged = [one for one in self.checks if one.verdict is not None]
        return tuple(sorted(judged, key=lambda one: order.index(one.verdict or "PASS")))

    @property
    def labels(self) -> tuple[str, str]:
        """What base and new are called; where their names are equal, with what tells them apart."""
        base, new = self.base, self.new
        if base is None:
            return "no baseline", new.label or new.name
        names = base.label or base.name, new.label or new.name
        if names[0] != names[1]:
            return names
        if base.precision != new.precision:
            return f"{names[0]} {base.precision}", f"{names[1]} {new.precision}"
        return f"{names[0]} {base.digest[:8]}", f"{names[1]} {new.digest[:8]}"

    def doubts(self) -> tuple[str, ...]:
        settings, runs = self.settings, self.runs
        if settings is None or not runs:
            return ()
        counts = {
            "were discarded": sum(bool(run.invalid) for run in runs),
            "count though others used the machine": sum(bool(run.disturbed) for run in runs),
        }
        found = [f"{count} of {len(runs)} runs {what}" for what, count in counts.items() if count]
        if settings.floor_source == "assumed":
            found.append("the floor is assumed; measure it with `stylepress bench --selftest`")
        return tuple(found)

    def terms(self) -> str:
        """Say in a sentence or two how it was measured and what counts as worse."""
        settings = self.settings
        if self.mode == "trend":
            return (
                "Two reports measured apart show a trend; they judge nothing. "
                "Give two bundles for a verdict."
            )
        if settings is None or self.mode == "not measured":
            return "Nothing had to be timed for this verdict."
        steps = " then ".join(f"{pairs} (alpha {alpha:.2g})" for pairs, alpha in settings.looks)
        again = ", and again when measured a second time" if settings.plan.confirm else ""
        return (
            f"{settings.width}x{settings.height}, "
            f"{settings.threads} {'thread' if settings.threads == 1 else 'threads'}, pairs of "
            f"fresh processes that work by turns (order seed {settings.plan.seed}): {steps}. A time fails when it "
            f"is worse by more than its limit and not by chance{again}; floor "
            f"{settings.floor_source}. Base and new are medians; worse by is of the pairs."
        )


def side_of(bundles: Sequence[Bundle], label: str = "") -> Side:
    known = [bundle.artifact for bundle in bundles]
    return Side(
        name=" + ".join(dict.fromkeys(one.name for one in known)),
        digest=" + ".join(one.digest for one in known),
        precision=" + ".join(dict.fromkeys(map(precision, known))),
        weights_bytes=sum(map(weights_bytes, bundles)),
        label=label,
    )


def weights_check(base: Side, new: Side, limits: Limits) -> Check:
    """Hold what does not vary against its limit: the weights."""
    before, after = base.weights_bytes, new.weights_bytes
    check = figure(
        "weights_percent",
        "size",
        kind="exact",
        base=before / 1e6,
        new=after / 1e6,
        worse=after / before if before else None,
        note="" if before != after else "unchanged",
    )
    return limits.held(check)
