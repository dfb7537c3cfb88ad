"""The floor: by how much two equal arms surely differ on this machine, measured with equal arms."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import stdev
from typing import ClassVar, Literal

from stylepress import __version__
from stylepress.benchmarks.check import Check
from stylepress.benchmarks.machine.record import Machine, differing, record_machine
from stylepress.benchmarks.part import Document, Skipped
from stylepress.benchmarks.timing.systems import NULL, common_backends
from stylepress.benchmarks.verdict.rule import ALPHA, Paired, Rule, least_pairs, measured
from stylepress.benchmarks.verdict.session import (
    MEASURES,
    QUIETER,
    Arms,
    Run,
    Session,
    frames_file,
    pairs_of,
)
from stylepress.errors import RecipeError, VerificationError
from stylepress.runtime.bundle import read_bundle

LENGTHS = ("min_s", "min_count", "warm_s")
USUAL_PAIRS = 10


class SpoiledError(VerificationError):
    """The machine spoiled everything that was tried: there is no floor to write."""

    exit_code = 2


class Floor(Document, title="stylepress floor"):
    """What ``stylepress bench --selftest`` found out; valid for one machine, size and threads.

    It is that of runs of ``min_s`` seconds and ``min_count`` calls at least, warmed up for
    ``warm_s``: shorter ones differ by more, so it does not hold for them. ``entries`` are figures of
    equal arms in a backend, ``of`` a bundle; ``floor`` is what the arms surely differ by, a share: how
    far 1 lies outside the 95 % interval of ``worse``. What chance does is not counted here.
    """

    command: ClassVar[str] = "stylepress bench BUNDLE --selftest"

    schema_version: Literal[5] = 5
    document: Literal["floor"] = "floor"
    tool: str
    created: str
    machine: Machine
    height: int
    width: int
    threads: int
    seed: int
    min_s: float = 0.0
    min_count: int = 0
    warm_s: float = 0.0
    entries: tuple[Check, ...]
    skipped: tuple[Skipped, ...] = ()

    def of(self, backend: str, metric: str) -> float | None:
        """Return the floor of a figure in a backend; None when it was not measured."""
        known = [
            one.floor or 0.0 for one in self.entries if (one.subject, one.key) == (backend, metric)
        ]
        return max(known, default=None)

    def summary(self) -> str:
        lines = [
            "| equal arms | figure | pairs | ratio [95 %] | floor | spread of a pair |",
            "|---|---|--:|---|--:|--:|",
        ]
        lines += [
            f"| {one.of} · {one.subject} | {one.metric} | {one.pairs} | {one.worse:.4f} "
            f"[{one.low:.4f}, {one.high:.4f}] | {100 * (one.floor or 0):.2f} % | {100 * spread(one):.2f} % |"
            for one in self.entries
        ]
        times = [one for one in self.entries if one.key == "p50_percent" and one.subject != NULL]
        if times:
            few = (
                f"With {USUAL_PAIRS} pairs a limit below {100 * max(map(least_delta, times)):.2g} %"
            )
            lines += ["", f"{few} cannot be judged here for latency."]
        if self.skipped:
            lines += ["", *(f"- Not measured: {one.what}: {one.why}" for one in self.skipped)]
        return "\n".join(lines) + "\n"


def spread(one: Check) -> float:
    """Return the deviation of the logarithm of a pair's ratio, however many pairs there are."""
    return stdev(math.log(new / base) for base, new in one.values)


def least_delta(one: Check, pairs: int = USUAL_PAIRS) -> float:
    """Return the smallest limit that so many pairs can judge here, a share."""
    return max(2 * (one.floor or 0.0), 2 * spread(one) / math.sqrt(pairs))


def entries_of(runs: Sequence[Run], model: str, backend: str) -> Iterator[Check]:
    """Derive the floors of one backend from runs of equal arms; none from fewer than 6 pairs."""
    for key in MEASURES:
        values = pairs_of(runs, key)
        if values is not None:
            one = measured((backend, key), Paired(*values, Rule()), ALPHA)
            if one.low is not None and one.high is not None:
                floor = max(0.0, one.low - 1, 1 - one.high)
                yield one.model_copy(update={"floor": floor, "of": model})


def selftest(bundles: Sequence[Path], session: Session) -> Floor:
    """Measure the floor: each bundle against a copy of itself, and the null system too.

    The copy is another folder, of which each backend builds an engine of its own. A backend in
    which others spoil pairs for too long is left out, with the reason.

    Raises:
        RecipeError: fewer than six pairs.
        SpoiledError: nothing could be measured.
    """
    options, plan, least = session.options, session.options.plan, least_pairs(1, ALPHA)
    if plan.pairs < least:
        raise RecipeError(
            f"{plan.pairs} pairs give no floor: they have no interval with 95 %.",
            f"Give `--pairs {least}` or more, better 20.",
        )
    entries, skipped = list[Check](), dict[Skipped, None]()
    for number, folder in enumerate(bundles):
        bundle = read_bundle(folder)
        names, absent = common_backends([bundle], options.backends, options.engine)
        skipped |= dict.fromkeys(absent)
        with tempfile.TemporaryDirectory(prefix="stylepress-equal-") as work:
            copy = Path(work) / bundle.artifact.folder.resolve().name
            shutil.copytree(bundle.artifact.folder, copy)
            frames = frames_file(options.photos_of(bundle, session.progress), Path(work))
            # The null system is measured once, and nothing of the bundle with it.
            for name in names if number else dict.fromkeys((NULL, *names)):
                arms = Arms(bundle.artifact.folder, copy, name, frames)
                model = "harness" if name == NULL else bundle.artifact.name
                entries += entries_of(session.measure("first", arms, plan.pairs), model, name)
                if name in session.given_up:
                    skipped[Skipped(what=f"{model} · {name}", why=session.given_up[name])] = None
    if not entries:
        told = "; ".join(f"{one.what}: {one.why}" for one in skipped)
        raise SpoiledError(f"Nothing could be measured: {told}. {QUIETER}")
    return Floor(
        tool=f"stylepress {__version__}",
        created=options.created,
        machine=record_machine(options.environ),
        height=options.size[0],
        width=options.size[1],
        threads=options.engine.all_threads,
        seed=plan.seed,
        **{name: getattr(plan, name) for name in LENGTHS},
        entries=tuple(entries),
        skipped=tuple(skipped),
    )


def check_floor(floor: Floor, machine: Machine, settings: Mapping[str, float]) -> None:
    """Refuse a floor that was measured elsewhere, otherwise, or by longer runs.

    Raises:
        RecipeError: one of them does not allow it; the fields are named.
    """
    names = dict(differing(floor.machine, machine))
    for name, now in settings.items():
        then = getattr(floor, name)
        if now < then if name in LENGTHS else now != then:
            names[name] = then, now
    if names:
        first = [*names.items()][:6]
        shown = ", ".join(f"{name} ({then} then, {now} now)" for name, (then, now) in first)
        raise RecipeError(
            f"The floor was measured under other conditions: {shown}.",
            "Measure it here with `stylepress bench BUNDLE --selftest`.",
        )
