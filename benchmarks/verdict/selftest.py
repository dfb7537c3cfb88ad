"""The self-test: equal arms against each other, which measures the floor of this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from stylepress import __version__
from stylepress.benchmarks.machine.record import record_machine
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.timing.systems import NULL
from stylepress.benchmarks.verdict.comparison import Run
from stylepress.benchmarks.verdict.floor import Floor, FloorEntry, entries_of
from stylepress.benchmarks.verdict.holm import least_pairs
from stylepress.benchmarks.verdict.rule import ALPHA
from stylepress.benchmarks.verdict.session import Arms, Ask, Session, Watch
from stylepress.benchmarks.verdict.terms import (
    DuelOptions,
    common_backends,
    frames_file,
    photos_of,
)
from stylepress.errors import RecipeError
from stylepress.progress import Progress
from stylepress.runtime.bundle import load_bundle


def selftest(
    bundles: Sequence[Path],
    *,
    options: DuelOptions,
    progress: Progress,
    watch: Watch | None = None,
    ask: Ask | None = None,
) -> Floor:
    """Measure the floor: each bundle against itself, and the null system against itself.

    Raises:
        RecipeError: there is no bundle, or fewer than six pairs.
    """
    if not bundles or options.plan.pairs < least_pairs(1, ALPHA):
        raise RecipeError(
            f"{len(bundles)} bundles and {options.plan.pairs} pairs give no floor. "
            f"Name a bundle, and at least {least_pairs(1, ALPHA)} pairs, better 20."
        )
    entries: list[FloorEntry] = []
    runs: list[Run] = []
    skipped: list[Skipped] = []
    for number, folder in enumerate(bundles):
        bundle = load_bundle(folder)
        names, left_out = common_backends((bundle, bundle), options)
        skipped += left_out
        photos = photos_of(bundle, options, progress)
        with tempfile.TemporaryDirectory(prefix="stylepress-selftest-") as work:
            arms = Arms(
                {"base": folder, "new": folder},
                frames_file(photos, Path(work)),
                options.threads,
            )
            session = Session(
                arms,
                options.plan,
                environ=options.environ,
                progress=progress,
                watch=watch,
                ask=ask,
            )
            every = names if number else tuple(dict.fromkeys((NULL, *names)))
            made = session.measure("first", every, options.plan.pairs)
        for name in every:
            model = "harness" if name == NULL else bundle.artifact.name
            entries += entries_of(made, model, name)
        runs += map(_without_calls_of_null, session.runs)
    return Floor(
        tool=f"stylepress {__version__}",
        created=options.created,
        machine=record_machine(options.environ),
        height=options.size[0],
        width=options.size[1],
        threads=options.engine.all_threads,
        seed=options.plan.seed,
        entries=tuple(entries),
        runs=tuple(runs),
        skipped=tuple(skipped),
    )


def _without_calls_of_null(run: Run) -> Run:
    return run.model_copy(update={"samples_ns": ()}) if run.backend == NULL else run
