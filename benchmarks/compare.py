"""Two reports side by side, which is a trend; and a stored comparison held against other limits."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from stylepress import __version__
from stylepress.benchmarks.check import Check, reasons_of, together
from stylepress.benchmarks.gate import Limits
from stylepress.benchmarks.machine.record import differing
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.report import Model, Report
from stylepress.benchmarks.verdict.comparison import Comparison, Side
from stylepress.benchmarks.verdict.rule import ALPHA, Paired, Rule, confirmed, judge
from stylepress.errors import RecipeError

MACHINE = "machine."
"""What the names of a machine's fields begin with where those of a scenario stand beside them."""


def compare(
    base: Report, new: Report, *, vary: Collection[str] = (), labels: tuple[str, str] = ("", "")
) -> Comparison:
    """Set two reports side by side; nothing is judged. ``labels`` are what they are called.

    Fields of machine or scenario that differ are named, and then nothing is shown; those of the
    machine that are meant to differ are named in ``vary``.

    Raises:
        RecipeError: an unknown field in ``vary``.
    """
    vary = [name.removeprefix(MACHINE) for name in vary]
    _check_fields(vary, base, new)
    apart = _differing(base, new, vary)
    doubts = [f"base: {doubt}" for doubt in base.doubts()]
    doubts += [f"new: {doubt}" for doubt in new.doubts()]
    known = {one.name: one for one in base.figures()}
    both = [(known[after.name], after) for after in new.figures() if after.name in known]
    return Comparison(
        tool=f"stylepress {__version__}",
        created=new.created,
        mode="trend",
        base=_side(base.of_role("bundle"), labels[0]),
        new=_side(new.of_role("bundle"), labels[1]),
        verdict="NOT COMPARABLE" if apart else "TREND",
        reasons=() if apart else tuple(doubts),
        machine=new.machine,
        checks=() if apart else tuple(_trend(both)),
        differing=apart,
        skipped=() if apart else tuple(_measured_otherwise(both)),
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
            checks.append(
                confirmed(found[key], again) if stored.settings.plan.confirm else found[key]
            )
        elif not one.key or one.key.startswith("drift_") or one.key == "golden_levels":
            checks.append(one)
        elif one.kind == "paired":
            gated = limits.limit(one.key) is not None and one.verdict is not None
            open_ = "INCONCLUSIVE" if gated and one.new is None else None
            checks.append(one.model_copy(update={"verdict": open_, "limit": None}))
        else:
            checks.append(limits.held(one))
    settings = stored.settings.model_copy(update={"limits": limits.model_dump()})
    verdict, reasons = together(checks), reasons_of(checks)
    changed = {"checks": tuple(checks), "verdict": verdict, "reasons": reasons}
    return stored.model_copy(update={**changed, "settings": settings})


def _pairs(one: Check, delta: float) -> Paired:
    base, new = zip(*one.values, strict=True)
    return Paired(base, new, Rule(delta, min(one.floor or 0.0, delta / 2)))


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


def _trend(both: Sequence[tuple[Check, Check]]) -> Iterator[Check]:
    """Show what both reports hold, unjudged; what changed is of the two values that are shown."""
    for before, after in both:
        if before.of == after.of and before.new is not None and after.new is not None:
            better, worse = before.new, after.new
            if not after.larger_is_worse:
                better, worse = worse, better
            change = {"base": before.new, "worse": worse / better if better > 0 else None}
            bare = {"low": None, "high": None, "note": "measured apart"}
            yield after.model_copy(update={**change, **bare})


def _measured_otherwise(both: Sequence[tuple[Check, Check]]) -> Iterator[Skipped]:
    """Name the figures that both hold and that cannot be compared, and why."""
    for before, after in both:
        if before.of != after.of:
            why = f"measured over {before.of} then, and over {after.of} now"
            yield Skipped(what=after.name, why=why)


def _side(models: Sequence[Model], label: str) -> Side:
    return Side(
        name=" + ".join(model.name for model in models),
        digest=" + ".join(model.digest for model in models),
        precision=" + ".join(dict.fromkeys(model.precision for model in models)),
        weights_bytes=sum(model.weights_bytes for model in models),
        label=label,
    )
