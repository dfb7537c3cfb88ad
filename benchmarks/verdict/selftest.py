"""The self-test: equal arms against each other, which measures the floor of this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stylepress import __version__
from stylepress.benchmarks.machine.record import record_machine
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.timing.systems import NULL, check_threads
from stylepress.benchmarks.verdict.comparison import Run
from stylepress.benchmarks.verdict.floor import LENGTHS, Floor, FloorEntry, entries_of
from stylepress.benchmarks.verdict.forecast import forecast
from stylepress.benchmarks.verdict.holm import least_pairs
from stylepress.benchmarks.verdict.order import Arm
from stylepress.benchmarks.verdict.rule import ALPHA
from stylepress.benchmarks.verdict.session import QUIETER, Ask, Watch
from stylepress.benchmarks.verdict.terms import (
    DuelOptions,
    common_backends,
    open_session,
    photos_of,
)
from stylepress.errors import RecipeError, VerificationError
from stylepress.progress import Progress
from stylepress.runtime.bundle import Bundle, load_bundle


class SpoiledError(VerificationError):
    """The machine spoiled everything that was tried: there is no floor to write."""

    exit_code = 2


def selftest(
    bundles: Sequence[Path],
    *,
    options: DuelOptions,
    progress: Progress,
    watch: Watch | None = None,
    ask: Ask | None = None,
) -> Floor:
    """Measure the floor: each bundle against itself, and the null system against itself.

    A backend in which the machine spoils a pair again and again is left out, with the reason.

    Raises:
        RecipeError: there is no bundle, or fewer than six pairs.
        SpoiledError: nothing could be measured.
    """
    least = least_pairs(1, ALPHA)
    if not bundles:
        raise RecipeError("There is no bundle to measure. Name the folder that `build` wrote.")
    if options.plan.pairs < least:
        raise RecipeError(
            f"{options.plan.pairs} pairs give no floor: they have no interval with 95 %. "
            f"Give `--pairs {least}` or more, better 20."
        )
    check_threads(options.engine, progress)
    trials, absent = _trials(bundles, options)
    options = replace(options, plan=replace(options.plan, extend=False, confirm=False))
    progress.say(forecast(options.plan, sum(len(trial.backends) for trial in trials)))
    entries: list[FloorEntry] = []
    runs: list[Run] = []
    given_up: list[Skipped] = []
    for trial in trials:
        photos = photos_of(trial.bundle, options, progress)
        with open_session(
            trial.arms, photos, options=options, progress=progress, watch=watch, ask=ask
        ) as session:
            made = session.measure("first", trial.backends, options.plan.pairs)
        for name in trial.backends:
            entries += entries_of(made, trial.model(name), name)
        given_up += [
            Skipped(what=f"{trial.model(name)} · {name}", why=why)
            for name, why in session.given_up.items()
        ]
        runs += map(_without_calls_of_null, session.runs)
    if not entries:
        told = "; ".join(f"{one.what}: {one.why}" for one in given_up)
        raise SpoiledError(f"Nothing could be measured: {told}. {QUIETER}")
    return Floor(
        tool=f"stylepress {__version__}",
        created=options.created,
        machine=record_machine(options.environ),
        height=options.size[0],
        width=options.size[1],
        threads=options.engine.all_threads,
        seed=options.plan.seed,
        **{name: getattr(options.plan, name) for name in LENGTHS},
        entries=tuple(entries),
        runs=tuple(runs),
        skipped=(*absent, *given_up),
    )


@dataclass(frozen=True, slots=True)
class _Trial:
    """A bundle, and the backends in which it is held against itself."""

    folder: Path
    bundle: Bundle
    backends: tuple[str, ...]

    @property
    def arms(self) -> Mapping[Arm, Path]:
        """Both arms: the same."""
        return {"base": self.folder, "new": self.folder}

    def model(self, backend: str) -> str:
        """What is measured in a backend: nothing of the bundle where there is no engine."""
        return "harness" if backend == NULL else self.bundle.artifact.name


def _trials(
    bundles: Sequence[Path], options: DuelOptions
) -> tuple[list[_Trial], tuple[Skipped, ...]]:
    """Load the bundles; the null system is measured once. And tell which backends are not there."""
    trials: list[_Trial] = []
    skipped: dict[Skipped, None] = {}
    for folder in bundles:
        bundle = load_bundle(folder)
        names, left_out = common_backends((bundle, bundle), options)
        every = names if trials else tuple(dict.fromkeys((NULL, *names)))
        trials.append(_Trial(folder, bundle, every))
        skipped |= dict.fromkeys(left_out)
    return trials, tuple(skipped)


def _without_calls_of_null(run: Run) -> Run:
    return run.model_copy(update={"samples_ns": ()}) if run.backend == NULL else run
