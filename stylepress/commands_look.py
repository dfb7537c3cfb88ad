"""Commands that look and change nothing: doctor, inspect, compare, targets, schema, styles."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from stylepress.commands_run import ForeignLoad, frame_size
from stylepress.errors import OutputError, RecipeError
from stylepress.options import Json, Quiet, terminal
from stylepress.terminal import table

INCONCLUSIVE = 3
Drawn = Annotated[str, typer.Argument(metavar="NAME", help="Pattern: glass, strokes or woodcut.")]


def doctor(json: Json = False) -> None:
    """Say what can run on this machine, and what to install for the rest.

    Exit code 1 when no engine can run here.

    [bold]Example[/bold]

    $ stylepress doctor
    """
    from stylepress.doctor import examine

    health = examine()
    screen = terminal()
    if json:
        screen.show_json(health.record())
    else:
        screen.show(facts(health.machine) + "\n")
        screen.show(table(["package", "version"], list(health.base.items())) + "\n")
        screen.show(
            table(
                ["backend", "runs here"],
                [[name, reason or "yes"] for name, reason in health.backends.items()],
            )
            + "\n"
        )
        rows = [[part.name, part.purpose, part.mend or "installed"] for part in health.parts]
        screen.show(table(["extra", "for", "state"], rows))
    if not health.able:
        screen.error("No engine can run here. Run `pip install stylepress` again.")
        raise typer.Exit(1)


def inspect(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Artifact folder or file.")],
    json: Json = False,
) -> None:
    """Say what a checkpoint, a bundle or an ONNX file is, in one screen.

    Nothing in the file is executed.

    [bold]Examples[/bold]

    $ stylepress inspect candy.pth
    $ stylepress inspect runs/candy/bundle
    """
    from stylepress.inspection import inspect as look

    found = look(path)
    terminal().show_json(found) if json else terminal().show(facts({"file": path, **found}))


def compare(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="Older bundle or report.json.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Newer bundle or report.json.")],
    size: Annotated[str, typer.Option(metavar="WxH", help="Frame size.")] = "512x512",
    backend: Annotated[
        list[str] | None,
        typer.Option("--backend", "-b", metavar="NAME", help="Default: all that run both."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="Default: as many as there are cores.")
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Photos; default: BASE's golden pictures.")
    ] = None,
    style: Annotated[
        Path | None, typer.Option(metavar="IMG", help="Style picture, for the style distance.")
    ] = None,
    pairs: Annotated[
        int, typer.Option(metavar="N", help="Of runs; 6 on locked clocks, 20 on hosted runners.")
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
        float, typer.Option(metavar="DB", help="Least PSNR between their pictures; 0: any.")
    ] = 20,
    max_quality_loss: Annotated[
        float, typer.Option(metavar="PERCENT", help="Growth of style or content distance, grid.")
    ] = 10,
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
    Two reports that were measured apart show a trend: it judges nothing.

    [bold]Examples[/bold]

    $ stylepress compare old/bundle new/bundle --out comparison
    $ stylepress compare base.json new.json
    """
    if base.is_dir() != new.is_dir():
        raise RecipeError(
            f"Of {base} and {new} one is a folder and one is not. "
            f"Give two bundles, or two report.json files."
        )
    from stylepress.benchmarks.compare import compare_files
    from stylepress.benchmarks.machine.watch import Limits, Watch
    from stylepress.benchmarks.verdict.duel import duel
    from stylepress.benchmarks.verdict.floor import read_floor
    from stylepress.benchmarks.verdict.forms.exports import append_history
    from stylepress.benchmarks.verdict.forms.folder import write_comparison
    from stylepress.benchmarks.verdict.pictures import PictureLimits
    from stylepress.benchmarks.verdict.session import PairPlan
    from stylepress.benchmarks.verdict.terms import DuelOptions

    with terminal(quiet=quiet) as screen:
        if not base.is_dir():
            found = compare_files(base, new, max_regression_percent=delta, vary=vary or ())
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
            options = DuelOptions(
                size=frame_size(size),
                threads=threads,
                backends=tuple(backend) if backend else None,
                plan=plan,
                delta=delta / 100,
                floor=None if floor is None else read_floor(floor),
                gated=tuple(name.strip() for name in gate.split(",")),
                photos=photos,
                style=style,
                limits=PictureLimits(min_psnr, max_quality_loss / 100),
                created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
                environ=os.environ,
            )
            with Watch(limits=Limits(foreign_load=foreign_load / 100)) as watch:
                found = duel(base, new, options=options, progress=screen, watch=watch)
        written = list(write_comparison(found, out)) if out is not None else []
        if history is not None:
            append_history(found, history)
            written.append(history)
    screen.show_json(found.record()) if json else screen.show(found.summary().rstrip())
    for path in written:
        screen.say(f"Wrote {path}")
    open_code = {"exit3": INCONCLUSIVE, "pass": 0, "fail": 1}[inconclusive]
    raise typer.Exit(open_code if found.verdict == "INCONCLUSIVE" else found.exit_code)


def selftest(
    bundles: Sequence[Path],
    *,
    size: tuple[int, int],
    threads: int | None,
    backends: tuple[str, ...] | None,
    photos: Path | None,
    pairs: int,
    min_time: float,
    foreign_load: float,
    out: Path | None,
    quiet: bool,
) -> None:
    """Measure by how much two equal arms differ here: `stylepress bench BUNDLE --selftest`.

    Writes ``floor.json`` into ``out``, the working folder when None; `compare --floor` takes it.
    """
    from stylepress.benchmarks.machine.watch import Limits, Watch
    from stylepress.benchmarks.verdict.floor import floor_text
    from stylepress.benchmarks.verdict.selftest import selftest as measure
    from stylepress.benchmarks.verdict.session import PairPlan
    from stylepress.benchmarks.verdict.terms import DuelOptions
    from stylepress.replace import replacing_file

    plan = PairPlan(
        pairs=pairs, min_s=min_time, warm_s=min(3.0, min_time), rest_s=min(1.0, min_time)
    )
    options = DuelOptions(
        size=size,
        threads=threads,
        backends=backends,
        plan=plan,
        photos=photos,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        environ=os.environ,
    )
    limits = Limits(foreign_load=foreign_load / 100)
    with terminal(quiet=quiet) as screen, Watch(limits=limits) as watch:
        floor = measure(bundles, options=options, progress=screen, watch=watch)
    path = (out or Path()) / "floor.json"
    with replacing_file(path) as beside:
        beside.write_text(floor_text(floor), encoding="utf-8")
    screen.show(floor.summary().rstrip())
    screen.say(f"Wrote {path}")


def targets_list(json: Json = False) -> None:
    """List the device profiles that ship."""
    from stylepress.targets.target import load_target, names

    every = [load_target(name) for name in names()]
    if json:
        terminal().show_json([target.model_dump(mode="json") for target in every])
        return
    rows = [[one.name, ", ".join(one.engines), one.title] for one in every]
    terminal().show(table(["name", "engines", "what it is"], rows))


def targets_show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name, or a .yaml file.")],
    json: Json = False,
) -> None:
    """Show one device profile, and which of its engines are installed here."""
    from stylepress.targets.target import how_to_install, installed, load_target

    target = load_target(name)
    values = target.model_dump(mode="json", exclude_none=True)
    if json:
        terminal().show_json(values)
        return
    values["engines"] = [
        f"{engine}: installed" if installed(engine) else f"{engine}: {how_to_install(engine)}"
        for engine in target.engines
    ]
    terminal().show(facts(values))


def targets_detect(json: Json = False) -> None:
    """Name the device profile of this machine."""
    from stylepress.targets.target import detect

    name = detect(platform.machine())
    terminal().show_json({"target": name}) if json else terminal().show(name)


def schema(
    document: Annotated[
        Literal["recipe", "target", "report", "comparison", "floor"],
        typer.Argument(help="Which file."),
    ],
) -> None:
    """Print the JSON Schema of a file that users write or programs read.

    [bold]Example[/bold]

    $ stylepress schema recipe > recipe.schema.json
    """
    if document == "report":
        from stylepress.benchmarks.report import report_schema

        terminal().show_json(report_schema())
        return
    if document in ("comparison", "floor"):
        from stylepress.benchmarks.verdict.comparison import comparison_schema
        from stylepress.benchmarks.verdict.floor import floor_schema

        terminal().show_json(comparison_schema() if document == "comparison" else floor_schema())
        return
    from stylepress.document import Section, document_schema
    from stylepress.recipe import Recipe
    from stylepress.targets.target import Target

    models: dict[str, type[Section]] = {"recipe": Recipe, "target": Target}
    terminal().show_json(document_schema(models[document]))


def styles_draw(
    name: Drawn,
    output: Annotated[Path, typer.Argument(metavar="PICTURE", help="Where to write, e.g. a.png.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws another picture.")] = 0,
    size: Annotated[int, typer.Option(metavar="PX", help="Side, pixels: 32 to 4096.")] = 768,
) -> None:
    """Draw a style picture by arithmetic, free of anybody's rights.

    [bold]Example[/bold]

    $ stylepress styles draw glass glass.png --seed 3
    """
    from PIL import Image

    from stylepress.replace import replacing_file
    from stylepress.train.patterns import draw

    picture = Image.fromarray(draw(name, seed=seed, size=size))
    if output.suffix.lower() not in Image.registered_extensions():
        raise OutputError(
            f"{output} has no ending that a picture format has. Name it .png, .jpg or .webp."
        )
    with replacing_file(output) as beside:
        picture.save(beside)
    terminal().say(f"Wrote {output}, {size}x{size} pixels.")


def styles_list() -> None:
    """List the patterns that can be drawn."""
    from stylepress.train.patterns import PATTERNS

    first = {name: (draw.__doc__ or "").splitlines()[0] for name, draw in PATTERNS.items()}
    terminal().show(table(["name", "what it is"], list(first.items())))


def facts(values: Mapping[str, Any]) -> str:
    """Lay facts out one a line; the items of a list or mapping stand below each other.

    >>> print(facts({"what": "weights", "inputs": ["a", "b"], "numbers": {"ms": 2.5}}))
    what     weights
    inputs   a
             b
    numbers  ms: 2.5
    """
    width = max(map(len, values), default=0)
    lines = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            value = [f"{key}: {_short(item)}" for key, item in value.items()]
        items = value if isinstance(value, list | tuple) else [_short(value)]
        for index, item in enumerate(items or ["none"]):
            lines.append(f"{name if index == 0 else '':{width}}  {item}")
    return "\n".join(lines)


def _short(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
