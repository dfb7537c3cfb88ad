"""The command that searches: fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from stylepress.commands_build import RecipeFile, usual_options
from stylepress.options import Fresh, Json, Quiet, TargetName, terminal


def fit(
    recipe: RecipeFile,
    latency_ms: Annotated[
        float, typer.Option(metavar="MS", min=0.01, help="Most time of one frame.")
    ],
    drift: Annotated[
        float,
        typer.Option(metavar="D", min=0.001, help="Most distance to the teacher, 0 being a copy."),
    ],
    target: TargetName = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Where to write; default runs/NAME-fit."),
    ] = None,
    trials: Annotated[int, typer.Option(min=1, max=100_000, help="Students to train.")] = 24,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Stop trying after so many minutes.")
    ] = None,
    short_steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of a trial; default a tenth of the recipe's.")
    ] = None,
    best: Annotated[int, typer.Option(min=0, max=100, help="How many to train in full.")] = 3,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Database of the search, or a journal file; default in --out."
        ),
    ] = None,
    no_cache: Fresh = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search for the best student that is fast enough, and build it.

    Many students are trained for a short while, their time predicted from parts measured here; the
    best few are trained in full, built and measured. Interrupted, it goes on where it stopped.
    Exit code 1 when nothing is inside the budget: then it says how near it came.

    [bold]Examples[/bold]

    $ stylepress fit recipes/glass.yaml --latency-ms 3 --drift 0.45
    $ stylepress fit recipes/glass.yaml --latency-ms 3 --drift 0.45 --minutes 20
    $ stylepress fit glass.yaml --latency-ms 3 --drift 0.4 --storage postgresql://host/search
    """
    from stylepress.export.fit.page import page, record
    from stylepress.export.fit.result import Budget, Effort, lines
    from stylepress.export.fit.search import fit as search
    from stylepress.recipe import changed, load_recipe
    from stylepress.replace import replacing_file

    loaded = load_recipe(recipe)
    if target is not None:
        loaded = changed(loaded, target=target)
    place = out or Path("runs") / f"{loaded.name}-fit"
    options = replace(usual_options(no_cache=no_cache), out=place)
    with terminal(quiet=quiet) as screen:
        result = search(
            loaded,
            Budget(latency_ms, drift),
            Effort(trials, minutes, short_steps, best),
            options=options,
            storage=storage,
            progress=screen,
        )
    report = place / "fit.html"
    with replacing_file(report) as beside:
        beside.write_text(page(result, f"{loaded.name}: time against drift"), encoding="utf-8")
    if json:
        screen.show_json(record(result))
    else:
        screen.show("\n".join([*lines(result), f"All that was tried: {report}"]))
    if result.best is None:
        raise typer.Exit(1)
