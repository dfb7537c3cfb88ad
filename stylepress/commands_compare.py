"""The command that holds two measurements against each other: compare."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Literal

import typer

from stylepress.errors import RecipeError
from stylepress.options import (
    Extractor,
    ForeignLoad,
    Json,
    Lpips,
    MeasuredSize,
    Quiet,
    StylePicture,
    TargetName,
    Threads,
    chosen_backends,
    home,
    measured_size,
    refuse_idle,
    terminal,
)
from stylepress.replace import writable

INCONCLUSIVE = 3
ONLY_REPORTS = ("vary",)
ONLY_BUNDLES = (
    *("size", "target", "backend", "threads", "photos", "style", "pairs", "min_time", "min_count"),
    *("warm_up", "rest", "floor", "gate", "drift", "foreign_load", "seed", "extend", "confirm"),
    *("references", "extractor", "lpips"),
)
"""Options that say nothing of the other kind of input."""
ONLY_DRIFT = ("references", "extractor", "lpips")
PHOTOS, DRIFT_PHOTOS = 6, 12
"""Most photos that are drawn; a distance over sets needs more: 445 squares, at 512x512 7 photos."""


def compare(
    context: typer.Context,
    base: Annotated[Path, typer.Argument(metavar="BASE", help="Older bundle or report.json.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Newer bundle or report.json.")],
    size: MeasuredSize = None,
    target: TargetName = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            "--backend", "-b", metavar="NAME", help="Default: the target's, else all that run both."
        ),
    ] = None,
    threads: Threads = None,
    photos: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Photos; default: BASE's golden pictures.")
    ] = None,
    style: StylePicture = None,
    pairs: Annotated[
        int,
        typer.Option(metavar="N", help="Pairs of runs; 6 on locked clocks, 20 on hosted runners."),
    ] = 10,
    min_time: Annotated[float, typer.Option(metavar="S", help="Least seconds a run.")] = 5,
    min_count: Annotated[int, typer.Option(metavar="N", help="Least timed calls a run.")] = 100,
    warm_up: Annotated[float, typer.Option(metavar="S", help="Least seconds before them.")] = 3,
    rest: Annotated[float, typer.Option(metavar="S", help="Seconds between two runs.")] = 1,
    delta: Annotated[
        float,
        typer.Option(
            "--delta", "--max-regression", metavar="PERCENT", help="Worse by more is too much."
        ),
    ] = 5,
    floor: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="floor.json of `bench --selftest`; default: 1 %."),
    ] = None,
    gate: Annotated[
        str,
        typer.Option(
            metavar="LIST", help="Judge these: p50, p90, throughput, memory, load, first-call."
        ),
    ] = "p50,memory",
    min_psnr: Annotated[
        float,
        typer.Option(metavar="DB", help="Least PSNR of NEW's pictures against BASE's; 0: any."),
    ] = 20,
    max_quality_loss: Annotated[
        float, typer.Option(metavar="PERCENT", help="Growth of style or content distance, grid.")
    ] = 10,
    drift: Annotated[
        bool,
        typer.Option(
            "--drift",
            help="Also hold NEW to what compression may lose: distances over squares, PSNR, SSIM.",
        ),
    ] = False,
    references: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Other photos, for the drift from BASE's world."),
    ] = None,
    extractor: Extractor = None,
    lpips: Lpips = None,
    foreign_load: ForeignLoad = 5,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD", help="Of two reports, meant to differ: e.g. packages.openvino."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws who goes first in each pair.")] = 0,
    extend: Annotated[
        bool, typer.Option("--extend/--no-extend", help="As many pairs again while it is open.")
    ] = True,
    confirm: Annotated[
        bool, typer.Option("--confirm/--no-confirm", help="Measure a failure a second time.")
    ] = True,
    inconclusive: Annotated[
        Literal["exit3", "pass", "fail"], typer.Option(help="What an open verdict exits with.")
    ] = "exit3",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Write page, JUnit, JSON, CSV, ... here."),
    ] = None,
    history: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Append a line for change-point tools.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare two bundles by interleaved runs in fresh processes, and fail on a real regression.

    A run during which the machine throttled, swapped or worked for others does not count.
    Exit code 0: pass; 1: worse, found twice; 2: cannot be compared; 3: too noisy to tell.
    Pictures are judged in every backend, sizes as they are: both need no second time.
    Two reports that were measured apart show a trend: it judges nothing.

    [bold]Examples[/bold]

    $ stylepress compare old/bundle new/bundle --out comparison
    $ stylepress compare base.json new.json
    """
    for path in (base, new):
        if not path.exists():
            raise RecipeError(f"There is no {path}. Name a bundle's folder, or a report.json.")
    if base.is_dir() != new.is_dir():
        raise RecipeError(
            f"Of {base} and {new} one is a folder and one is not. "
            f"Give two bundles, or two report.json files."
        )
    if base.is_dir():
        refuse_idle(context, ONLY_REPORTS, "for two bundles")
        if not drift:
            refuse_idle(context, ONLY_DRIFT, "without `--drift`")
    else:
        refuse_idle(context, ONLY_BUNDLES, "for two reports, which are measured already")
    writable(out)
    from stylepress.benchmarks.compare import compare_files
    from stylepress.benchmarks.drift.judge import drift_judge
    from stylepress.benchmarks.machine.watch import Limits, Watch
    from stylepress.benchmarks.verdict.duel import duel
    from stylepress.benchmarks.verdict.floor import read_floor
    from stylepress.benchmarks.verdict.forms.exports import append_history
    from stylepress.benchmarks.verdict.forms.folder import write_comparison
    from stylepress.benchmarks.verdict.pictures import PictureLimits
    from stylepress.benchmarks.verdict.session import PairPlan
    from stylepress.benchmarks.verdict.terms import DuelOptions
    from stylepress.targets.target import load_target

    profile = load_target(target) if target else None
    limits = PictureLimits(min_psnr, max_quality_loss / 100)
    with terminal(quiet=quiet) as screen:
        if not base.is_dir():
            found = compare_files(
                base, new, max_regression_percent=delta, limits=limits, vary=vary or ()
            )
        else:
            plan = PairPlan(
                pairs=pairs,
                extend=extend,
                confirm=confirm,
                min_s=min_time,
                min_count=min_count,
                warm_s=warm_up,
                rest_s=rest,
                seed=seed,
            )
            judges = (
                (drift_judge(extractor, lpips, env=os.environ, home=home(), progress=screen),)
                if drift
                else ()
            )
            options = DuelOptions(
                size=measured_size(size, profile),
                threads=threads,
                backends=chosen_backends(backend, profile),
                plan=plan,
                delta=delta / 100,
                floor=None if floor is None else read_floor(floor),
                gated=tuple(name.strip() for name in gate.split(",")),
                photos=photos,
                most_photos=DRIFT_PHOTOS if drift else PHOTOS,
                style=style,
                limits=limits,
                judges=judges,
                references=references,
                foreign_load=foreign_load / 100,
                created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
                environ=os.environ,
            )
            with Watch(limits=Limits(foreign_load=options.foreign_load)) as watch:
                found = duel(base, new, options=options, progress=screen, watch=watch)
    # Shown first: a full disk shall not cost what was measured.
    screen.show_json(found.record()) if json else screen.show(found.summary().rstrip())
    written = list(write_comparison(found, out)) if out is not None else []
    if history is not None and append_history(found, history):
        written.append(history)
    for path in written:
        screen.say(f"Wrote {path}")
    open_code = {"exit3": INCONCLUSIVE, "pass": 0, "fail": 1}[inconclusive]
    raise typer.Exit(open_code if found.verdict == "INCONCLUSIVE" else found.exit_code)
