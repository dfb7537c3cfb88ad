"""Two reports against each other: a trend, unless the newer one measured both bundles in turns."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from stylepress import __version__
from stylepress.benchmarks.machine.record import differing
from stylepress.benchmarks.report import Latency, Model, Quality, Report, read_report
from stylepress.benchmarks.report_figures import DISTANCES, spoken
from stylepress.benchmarks.trend import figure_trends, latency_trends, measured_otherwise
from stylepress.benchmarks.verdict.comparison import Comparison, Judgement, Settings, Side
from stylepress.benchmarks.verdict.holm import least_pairs
from stylepress.benchmarks.verdict.judgements import judgement, reasons_of, sizes
from stylepress.benchmarks.verdict.pictures import PictureLimits, growth, likeness
from stylepress.benchmarks.verdict.rule import (
    DELTA,
    ONCE_ALPHA,
    Finding,
    Paired,
    Rule,
    judge,
    together,
)
from stylepress.benchmarks.verdict.trial import Decision, Key
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
    max_regression_percent: float = 100 * DELTA,
    limits: PictureLimits | None = None,
    vary: Collection[str] = (),
) -> Comparison:
    """Compare two ``report.json`` files.

    Raises:
        ArtifactError: one of them is no report.
        RecipeError: a threshold that is no percentage above zero, or an unknown field in ``vary``.
    """
    return compare(
        read_report(base),
        read_report(new),
        max_regression_percent=max_regression_percent,
        limits=limits,
        vary=vary,
    )


def compare(
    base: Report,
    new: Report,
    *,
    max_regression_percent: float = 100 * DELTA,
    limits: PictureLimits | None = None,
    vary: Collection[str] = (),
) -> Comparison:
    """Set two reports side by side.

    Times that were measured apart are never judged: between two sessions a machine differs by more
    than most changes do. When the machine fields agree and the newer report holds the older bundle
    too (``stylepress bench OLD NEW``), both were measured in turns, and their rounds are judged as
    pairs, their pictures by ``limits``; when the machine disturbed the rounds, they stay open.
    Fields of machine or scenario that differ are named, and then nothing is shown; those of the
    machine that are meant to differ are named in ``vary``, and then nothing is judged.
    """
    rule = Rule.assumed(max_regression_percent / 100)
    vary = [name.removeprefix(MACHINE) for name in vary]
    _check_fields(vary, base, new)
    apart = _differing(base, new, vary)
    both = None if apart or vary else _both_inside(base, new)
    why = () if both is None else _too_few(new, both)
    if both is None or why:
        both = None
        judgements = () if apart else tuple(_trend(base, new))
        sides = _side(base.of_role("bundle")), _side(new.of_role("bundle"))
    else:
        judgements = tuple(_judged(new, both, rule, limits or PictureLimits()))
        sides = _side(both[:1]), _side(both[1:])
    counted = [one.verdict for one in judgements if one.gated and one.verdict is not None]
    return Comparison(
        tool=f"stylepress {__version__}",
        created=new.created,
        mode="trend" if both is None else "rounds",
        base=sides[0],
        new=sides[1],
        verdict="NOT COMPARABLE" if apart else together(counted) if both else "TREND",
        reasons=(*why, *reasons_of(judgements), *(() if both or apart else _doubts(base, new))),
        settings=None if both is None else _settings(new, rule),
        machine=new.machine,
        judgements=judgements,
        differing=apart,
        skipped=() if both or apart else tuple(measured_otherwise(base, new)),
    )


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
            f"Neither machine has a field {', '.join(unknown)} that could vary. "
            f"Name some of {', '.join(known)}, or a group of them."
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
    old, new = ({one.backend: one for one in _latencies(report, model)} for model in both)
    return {backend: (one, new[backend]) for backend, one in old.items() if backend in new}


def _judged(
    report: Report, both: tuple[Model, Model], rule: Rule, limits: PictureLimits
) -> Iterator[Judgement]:
    """Judge two bundles of one report: rounds as pairs, size and pictures as they are."""
    figures: dict[Key, Paired] = {
        (backend, "p50"): Paired(old.timing.round_medians_ms, new.timing.round_medians_ms, rule)
        for backend, (old, new) in _shared(report, both).items()
    }

    disturbed = "; ".join(report.validity.reasons) if report.validity else ""
    for key, found in judge(figures, ONCE_ALPHA).items():
        one = judgement(key, _decided(figures[key], found), gated=True)
        open_ = {"verdict": "INCONCLUSIVE", "note": f"the rounds do not count: {disturbed}"}
        yield one.model_copy(update=open_) if disturbed else one
    yield from sizes((_side(both[:1]), _side(both[1:])), rule.delta)
    photos = _photos((report, both[0].name), (report, both[1].name))
    yield from _likenesses(photos, limits)
    for measure in DISTANCES:
        values = [
            (one, two)
            for one, two in ((getattr(a, measure), getattr(b, measure)) for a, b in photos)
            if one is not None and two is not None
        ]
        if values:
            yield growth(spoken(measure), values, limits=limits)


def _decided(figure: Paired, found: Finding) -> Decision:
    """Fail only what lies beyond the limit with all of its interval.

    Rounds of one process share its engines, and two of one bundle differed there by up to 4 %:
    more rounds make that no smaller, only fresh processes do.
    """
    sure = found.low is not None and found.low > 1 + figure.rule.delta
    if found.verdict == "FAIL" and not sure:
        return Decision(figure, found, None, "INCONCLUSIVE", SAME_ENGINES)
    return Decision(figure, found, None, found.verdict)


def _photos(old: tuple[Report, str], new: tuple[Report, str]) -> list[tuple[Quality, Quality]]:
    """Return what two models made of each photo that both were run on."""
    before, after = (
        {one.photo: one for one in report.qualities if one.model == model}
        for report, model in (old, new)
    )
    return [(one, after[photo]) for photo, one in before.items() if photo in after]


def _likenesses(
    photos: Sequence[tuple[Quality, Quality]], limits: PictureLimits
) -> Iterator[Judgement]:
    """Judge the PSNR of both against the same other model, where it was taken."""
    for reference in dict.fromkeys(old.reference for old, _ in photos):
        known = [
            (old.photo, before, after)
            for old, new in photos
            if old.reference == new.reference == reference
            and (before := _level(old)) is not None
            and (after := _level(new)) is not None
        ]
        if known:
            names = [photo for photo, _, _ in known]
            yield likeness(
                f"PSNR against {reference}",
                names,
                [after for _, _, after in known],
                limits=limits,
                before=[before for _, before, _ in known],
            )


def _level(quality: Quality) -> float | None:
    """PSNR against the reference in dB, infinite for an equal picture; None where nobody took it."""
    return math.inf if quality.identical else quality.psnr_db


def _trend(base: Report, new: Report) -> Iterator[Judgement]:
    """Show what both reports hold, unjudged."""
    yield from latency_trends(base, new)
    theirs = {model.name: model for model in new.of_role("bundle")}
    for model in base.of_role("bundle"):
        other = theirs.get(model.name)
        if other is None:
            continue
        yield from sizes((_side([model]), _side([other])), None, subject=model.name)
        photos = _photos((base, model.name), (new, model.name))
        for one in _likenesses(photos, PictureLimits(min_psnr_db=0)):
            yield one.model_copy(update={"subject": model.name, "kind": "trend"})
    yield from figure_trends(base, new)


def _latencies(report: Report, model: Model) -> list[Latency]:
    return [one for one in report.latencies if one.model == model.name and not one.baseline]


def _side(models: Sequence[Model]) -> Side:
    return Side(
        name=" + ".join(model.name for model in models),
        digest=" + ".join(model.digest for model in models),
        precision=" + ".join(dict.fromkeys(model.precision for model in models)),
        size_bytes=sum(model.size_bytes for model in models),
        weights_bytes=sum(model.weights_bytes for model in models),
    )


def _settings(report: Report, rule: Rule) -> Settings:
    scenario = report.scenario
    return Settings(
        height=scenario.height,
        width=scenario.width,
        threads=scenario.threads,
        backends=tuple(dict.fromkeys(one.backend for one in report.latencies if one.model)),
        pairs=scenario.rounds,
        looks=((scenario.rounds, ONCE_ALPHA),),
        confirm=False,
        delta=rule.delta,
        gated=("p50",),
        floor_source="assumed",
        seed=0,
        min_s=scenario.turn_s,
        min_count=1,
        warm_s=0,
        warm_count=scenario.warm_up,
        rest_s=0,
        photos=scenario.photos,
        style=scenario.style,
    )
