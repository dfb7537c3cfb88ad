"""Two reports against each other: a trend, unless the newer one measured both bundles in turns.

And a stored comparison held against other limits.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stylepress import __version__
from stylepress.benchmarks.check import Check, reasons_of, together
from stylepress.benchmarks.gate import USUAL, Limits
from stylepress.benchmarks.machine.record import differing
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.quality.judges import growth, worst_level
from stylepress.benchmarks.report import Latency, Model, Quality, Report, read_report
from stylepress.benchmarks.show.figures import DISTANCES, figures
from stylepress.benchmarks.verdict.comparison import Comparison, Settings, Side, sizes
from stylepress.benchmarks.verdict.rule import (
    ALPHA,
    ONCE_ALPHA,
    Key,
    Paired,
    Rule,
    confirmed,
    judge,
    least_pairs,
)
from stylepress.errors import RecipeError

SAME_ENGINES = (
    "two engines of one process differ among themselves; compare the bundles, not the reports"
)
MACHINE = "machine."
"""What the names of a machine's fields begin with where those of a scenario stand beside them."""


def compare_files(
    base: Path,
    new: Path,
    *,
    limits: Limits = USUAL,
    vary: Collection[str] = (),
    labels: tuple[str, str] = ("", ""),
) -> Comparison:
    """Compare two ``report.json`` files; ``labels`` are what they are called.

    Raises:
        ArtifactError: one of them is no report.
        RecipeError: an unknown field in ``vary``.
    """
    found = compare(read_report(base), read_report(new), limits=limits, vary=vary)
    sides = zip(("base", "new"), (found.base, found.new), labels, strict=True)
    return found.model_copy(
        update={name: side and side.model_copy(update={"label": one}) for name, side, one in sides}
    )


def compare(
    base: Report, new: Report, *, limits: Limits = USUAL, vary: Collection[str] = ()
) -> Comparison:
    """Set two reports side by side.

    Times that were measured apart are never judged: between two sessions a machine differs by more
    than most changes do. When the machine fields agree and the newer report holds the older bundle
    too (``stylepress bench OLD NEW``), both were measured in turns, and their rounds are judged as
    pairs; when the machine disturbed the rounds, they stay open. Fields of machine or scenario that
    differ are named, and then nothing is shown; those of the machine that are meant to differ are
    named in ``vary``, and then nothing is judged.
    """
    vary = [name.removeprefix(MACHINE) for name in vary]
    _check_fields(vary, base, new)
    apart = _differing(base, new, vary)
    both = None if apart or vary else _both_inside(base, new)
    why = () if both is None else _too_few(new, both)
    if both is None or why:
        both = None
        checks = () if apart else tuple(_trend(base, new))
        sides = _side(base.of_role("bundle")), _side(new.of_role("bundle"))
    else:
        checks = tuple(_judged(new, both, limits))
        sides = _side(both[:1]), _side(both[1:])
    return Comparison(
        tool=f"stylepress {__version__}",
        created=new.created,
        mode="trend" if both is None else "rounds",
        base=sides[0],
        new=sides[1],
        verdict="NOT COMPARABLE" if apart else together(checks) if both else "TREND",
        reasons=(*why, *reasons_of(checks), *(() if both or apart else _doubts(base, new))),
        settings=None if both is None else _settings(new, limits),
        machine=new.machine,
        checks=checks,
        differing=apart,
        skipped=() if both or apart else tuple(_measured_otherwise(base, new)),
    )


def judged_again(stored: Comparison, limits: Limits) -> Comparison:
    """Hold the figures of a stored comparison against other limits; nothing is measured.

    A failure that was not measured a second time, and is not obvious, stays open. Figures of drift
    that the file holds keep their verdicts, as their limits follow from more than the figure.

    Raises:
        RecipeError: it judged nothing, as a trend does.
    """
    if stored.settings is None or stored.differing:
        raise RecipeError(
            f"There is nothing to judge again in a comparison that ended with {stored.verdict}.",
            "Compare two bundles.",
        )
    pairs = {
        (one.subject, one.key): _pairs(one, delta)
        for one in stored.checks
        if one.kind == "paired" and one.values and (delta := limits.limit(one.key)) is not None
    }
    found = judge(pairs, stored.settings.looks[-1][1])
    checks = []
    for one in stored.checks:
        key = one.subject, one.key
        if key in pairs:
            again, repeated = None, one.confirmation
            if repeated is not None and repeated.values:
                again = judge({key: _pairs(repeated, pairs[key].rule.delta)}, ALPHA)[key]
            checks.append(confirmed(found[key], again) if stored.settings.confirm else found[key])
        elif not one.key or one.key.startswith("drift_") or one.key == "golden_levels":
            checks.append(one)
        elif one.kind == "paired":
            gated = limits.limit(one.key) is not None and one.verdict is not None
            open_ = "INCONCLUSIVE" if gated and one.new is None else None
            checks.append(one.model_copy(update={"verdict": open_, "limit": None}))
        else:
            checks.append(limits.held(one))
    settings = stored.settings.model_copy(update={"limits": limits.model_dump()})
    return stored.model_copy(
        update={
            "checks": tuple(checks),
            "verdict": together(checks),
            "reasons": reasons_of(checks),
            "settings": settings,
        }
    )


def _pairs(one: Check, delta: float) -> Paired:
    """Return the pairs of a stored figure, to be judged by another limit."""
    base, new = zip(*one.values, strict=True)
    return Paired(base, new, Rule(delta, min(one.floor or 0.0, delta / 2)))


def _doubts(base: Report, new: Report) -> Iterator[str]:
    """Repeat what speaks against trusting the times of either report."""
    for word, report in (("base", base), ("new", new)):
        yield from (f"{word}: {doubt}" for doubt in report.doubts())


def _check_fields(vary: Collection[str], base: Report, new: Report) -> None:
    """Refuse the name of a field that no machine has: nothing would be let vary by it."""
    known = sorted({*base.machine.gating(), *new.machine.gating()})
    unknown = [name for name in vary if not any(f"{one}.".startswith(f"{name}.") for one in known)]
    if unknown:
        raise RecipeError(
            f"Neither machine has a field {', '.join(unknown)} that could vary.",
            f"Name some of {', '.join(known)}, or a group of them.",
        )


def _differing(base: Report, new: Report, vary: Collection[str]) -> dict[str, tuple[Any, Any]]:
    """Fields of machine and scenario that must agree and do not; and bundles without partner."""
    found = {
        f"{MACHINE}{name}": values
        for name, values in differing(base.machine, new.machine, vary=vary).items()
    }
    one, two = (report.scenario.model_dump(mode="json") for report in (base, new))
    found |= {
        f"scenario.{name}": (value, two[name]) for name, value in one.items() if value != two[name]
    }
    mine, theirs = ([model.name for model in each.of_role("bundle")] for each in (base, new))
    if not set(mine) & set(theirs):
        found["bundles"] = (mine, theirs)
    return found


def _both_inside(base: Report, new: Report) -> tuple[Model, Model] | None:
    """Return the base's bundle as the new report measured it, and the one other bundle there."""
    olds = base.of_role("bundle")
    if len(olds) != 1:
        return None
    again = [model for model in new.of_role("bundle") if model.digest == olds[0].digest]
    others = [model for model in new.of_role("bundle") if model.digest != olds[0].digest]
    return (again[0], others[0]) if again and len(others) == 1 else None


def _too_few(report: Report, both: tuple[Model, Model]) -> tuple[str, ...]:
    """Say why the rounds could never make one of the gated times fail; nothing when they could."""
    count, rounds = len(_shared(report, both)), report.scenario.rounds
    least = least_pairs(count, ONCE_ALPHA)
    if rounds >= least:
        return ()
    why = f"{rounds} rounds are too few to judge {count} times together; {least} would do"
    return (f"both bundles were measured in turns, but {why}",)


def _shared(report: Report, both: tuple[Model, Model]) -> dict[str, tuple[Latency, Latency]]:
    """Return the latencies of both bundles in every backend that ran both."""
    old, new = (
        {one.backend: one for one in report.latencies if one.model == model.name} for model in both
    )
    return {backend: (one, new[backend]) for backend, one in old.items() if backend in new}


def _judged(report: Report, both: tuple[Model, Model], limits: Limits) -> Iterator[Check]:
    """Judge two bundles of one report: rounds as pairs, size and pictures as they are."""
    limit = limits.limit("p50_percent")
    pairs: dict[Key, Paired] = {
        (backend, "p50_percent"): Paired(
            old.timing.round_medians_ms,
            new.timing.round_medians_ms,
            Rule.assumed(limit or 1.0),
            gated=limit is not None,
        )
        for backend, (old, new) in _shared(report, both).items()
    }
    disturbed = "; ".join(report.validity.reasons) if report.validity else ""
    for one in judge(pairs, ONCE_ALPHA).values():
        # Rounds of one process share its engines, and two of one bundle differed there by up to 4 %:
        # more rounds make that no smaller, only fresh processes do.
        unsure = one.verdict == "FAIL" and (one.low or 0.0) <= 1 + (one.limit or 0.0)
        why = f"the rounds do not count: {disturbed}" if disturbed else SAME_ENGINES
        open_ = {"verdict": "INCONCLUSIVE", "note": why}
        yield one.model_copy(update=open_) if disturbed or unsure else one
    yield from sizes(_side(both[:1]), _side(both[1:]), limits)
    photos = _photos((report, both[0].name), (report, both[1].name))
    yield from _likenesses(photos, limits)
    yield from map(limits.held, _growths(photos))


def _photos(old: tuple[Report, str], new: tuple[Report, str]) -> list[tuple[Quality, Quality]]:
    """Return what two models made of each photo that both were run on."""
    before, after = (
        {one.photo: one for one in report.qualities if one.model == model}
        for report, model in (old, new)
    )
    return [(one, after[photo]) for photo, one in before.items() if photo in after]


def _growths(photos: Sequence[tuple[Quality, Quality]]) -> Iterator[Check]:
    for key, measure in DISTANCES.items():
        values = [
            (one, two)
            for one, two in ((getattr(a, measure), getattr(b, measure)) for a, b in photos)
            if one is not None and two is not None
        ]
        if values:
            yield growth(key, values)


def _likenesses(
    photos: Sequence[tuple[Quality, Quality]], limits: Limits | None
) -> Iterator[Check]:
    """Hold the PSNR of both against the same other model, where it was taken.

    What was below the limit before is no loss unless it fell.
    """
    for reference in dict.fromkeys(old.reference for old, _ in photos):
        known = [
            (old.photo, before, after)
            for old, new in photos
            if old.reference == new.reference == reference
            and (before := _level(old)) is not None
            and (after := _level(new)) is not None
        ]
        if not known:
            continue
        names = [name for name, _, _ in known]
        one = worst_level("psnr_db", names, [level for _, _, level in known])
        lowest, least = min(level for _, level, _ in known), min(level for _, _, level in known)
        one = one.model_copy(
            update={
                "metric": f"PSNR against {reference}",
                "base": None if math.isinf(lowest) else lowest,
            }
        )
        if limits is None:
            yield one.model_copy(update={"kind": "shown"})
            continue
        one = limits.held(one)
        kept = one.verdict == "FAIL" and least >= lowest
        yield one.model_copy(update={"verdict": "PASS"}) if kept else one


def _level(quality: Quality) -> float | None:
    """PSNR against the reference in dB, infinite for equal pictures; None where nobody took it."""
    return math.inf if quality.identical else quality.psnr_db


def _trend(base: Report, new: Report) -> Iterator[Check]:
    """Show what both reports hold, unjudged; what changed is of the two values that are shown."""
    for before, after in _both(base, new):
        if before.of == after.of and before.new is not None and after.new is not None:
            better, worse = before.new, after.new
            if not after.larger_is_worse:
                better, worse = worse, better
            yield after.model_copy(
                update={
                    "base": before.new,
                    "worse": worse / better if better > 0 else None,
                    "low": None,
                    "high": None,
                    "note": "measured apart",
                }
            )
    theirs = {model.name: model for model in new.of_role("bundle")}
    for model in base.of_role("bundle"):
        if model.name in theirs:
            for one in _likenesses(_photos((base, model.name), (new, model.name)), None):
                yield one.model_copy(update={"subject": model.name, "key": ""})


def _measured_otherwise(base: Report, new: Report) -> Iterator[Skipped]:
    """Name the figures that both hold and that cannot be compared, and why."""
    for before, after in _both(base, new):
        if before.of != after.of:
            why = f"measured over {before.of} then, and over {after.of} now"
            yield Skipped(what=after.name, why=why)


def _both(base: Report, new: Report) -> Iterator[tuple[Check, Check]]:
    known: Mapping[str, Check] = {one.name: one for one in figures(base)}
    for after in figures(new):
        if after.name in known:
            yield known[after.name], after


def _side(models: Sequence[Model]) -> Side:
    return Side(
        name=" + ".join(model.name for model in models),
        digest=" + ".join(model.digest for model in models),
        precision=" + ".join(dict.fromkeys(model.precision for model in models)),
        size_bytes=sum(model.size_bytes for model in models),
        weights_bytes=sum(model.weights_bytes for model in models),
    )


def _settings(report: Report, limits: Limits) -> Settings:
    scenario = report.scenario
    return Settings(
        height=scenario.height,
        width=scenario.width,
        threads=scenario.threads,
        backends=tuple(dict.fromkeys(one.backend for one in report.latencies if one.model)),
        looks=((scenario.rounds, ONCE_ALPHA),),
        confirm=False,
        limits=limits.model_dump(),
        min_s=scenario.turn_s,
        min_count=1,
        warm_s=0,
        warm_count=scenario.warm_up,
        photos=scenario.photos,
        style=scenario.style,
    )
