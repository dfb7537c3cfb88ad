"""Commands that look and change nothing: doctor, inspect, targets, schema, styles."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from stylepress.errors import OutputError
from stylepress.options import Json, home, terminal, this_machine
from stylepress.terminal import table

if TYPE_CHECKING:
    from stylepress.targets.target import PowerMode

DOCUMENTS: Mapping[str, tuple[str, str]] = {
    "recipe": ("stylepress.recipe", "Recipe"),
    "target": ("stylepress.targets.target", "Target"),
    "serve": ("stylepress.runtime.serve.config", "Configuration"),
    "gate": ("stylepress.benchmarks.gate", "Gate"),
    "report": ("stylepress.benchmarks.report", "Report"),
    "comparison": ("stylepress.benchmarks.verdict.comparison", "Comparison"),
    "floor": ("stylepress.benchmarks.verdict.floor", "Floor"),
}
"""Of each file its model: where it is, and its name."""
WRITTEN = ("report", "comparison", "floor")
"""Those that programs write and read, not users."""
Drawn = Annotated[str, typer.Argument(metavar="NAME", help="Pattern: glass, strokes or woodcut.")]


def doctor(
    deep: Annotated[
        Path | None,
        typer.Option(
            metavar="BUNDLE", help="Also run its golden pairs in every backend, and ask the GPU."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Say what can run on this machine, and what to install for the rest.

    Exit code 1 when no engine can run here, or with `--deep` when one that can fails.

    [bold]Examples[/bold]

    $ stylepress doctor
    $ stylepress doctor --deep candy/bundle
    """
    from stylepress.doctor import examine, examine_deeply

    health = examine(env=os.environ, home=home())
    tried = examine_deeply(deep, health) if deep else None
    screen = terminal()
    if json:
        screen.show_json(health.record() | ({"tried": dict(tried)} if tried is not None else {}))
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
        screen.show(table(["extra", "for", "state"], rows) + "\n")
        weights = [
            [name, one.enables, one.without, one.place or one.mend]
            for name, one in health.weights.items()
        ]
        head = ["weights", "for", "without them", "where they are, or how to get them"]
        screen.show(table(head, weights))
        if tried is not None:
            shown = [[name, fault or "passed"] for name, fault in tried.items()]
            screen.show("\n" + table(["tried", "golden pairs"], shown))
    if tried is not None and any(fault for name, fault in tried.items() if name != "gpu"):
        screen.error("A backend that is installed here fails. What it said stands above.")
        raise typer.Exit(1)
    if not health.able:
        screen.error("No engine can run here. Run `pip install stylepress` again.")
        raise typer.Exit(1)


def inspect(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Artifact folder or file.")],
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of a bundle: compile it there, and say which layers run in INT8 and how long.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Say what a checkpoint, a bundle, an ONNX file or a TensorRT plan is, in one screen.

    Nothing in the file is executed, unless `--engine` asks for it.

    [bold]Examples[/bold]

    $ stylepress inspect candy.pth
    $ stylepress inspect runs/candy/bundle
    $ stylepress inspect runs/candy/bundle --engine openvino
    $ stylepress inspect runs/candy/engine/engine.plan
    """
    from stylepress.inspection import inspect as look
    from stylepress.inspection import on_engine

    if engine is not None:
        values, rows = on_engine(path, engine)
        if json:
            terminal().show_json(values)
            return
        terminal().show(table(["layer", "precision", "us", "of the graph's nodes"], rows))
        terminal().show(str(values["summary"]))
        return
    values = look(path)
    terminal().show_json(values) if json else terminal().show(facts({"file": path, **values}))


def targets_list(json: Json = False) -> None:
    """List the device profiles that ship.

    A name may be followed by a JetPack and a power mode: jetson-orin-nano-8gb@6.2:15W.
    """
    from stylepress.targets.target import load_target, names

    every = [load_target(name) for name in names()]
    if json:
        terminal().show_json([target.model_dump(mode="json") for target in every])
        return
    rows = [[one.name, ", ".join(one.jetpacks), ", ".join(one.engines), one.title] for one in every]
    terminal().show(table(["name", "JetPack", "engines", "what it is"], rows))


def targets_show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name, or a .yaml file.")],
    json: Json = False,
) -> None:
    """Show one device profile, and which of its engines are installed here.

    [bold]Examples[/bold]

    $ stylepress targets show jetson-orin-nano-8gb
    $ stylepress targets show jetson-orin-nano-8gb@5.1:15W
    """
    from stylepress.targets.engines import ENGINES
    from stylepress.targets.jetpack import jetpacks
    from stylepress.targets.target import load_target

    target = load_target(name)
    values = target.model_dump(mode="json", exclude_none=True)
    if json:
        terminal().show_json(values)
        return
    values["engines"] = [
        f"{name}: {'installed' if ENGINES[name].installed else ENGINES[name].install}"
        for name in target.engines
    ]
    values["jetpacks"] = [str(jetpacks()[name]) for name in target.jetpacks]
    values["modes"] = [_peaks(mode) for mode in target.modes]
    values["opset"] = target.opset
    values["mind"] = list(target.caveats())
    shown = {key: value for key, value in values.items() if value not in ([], {})}
    terminal().show(facts(shown))


def _peaks(mode: PowerMode) -> str:
    values = mode.model_dump(exclude_none=True, exclude={"name"})
    return f"{mode.name}: {', '.join(f'{k} {v:g}' for k, v in values.items()) or 'no peaks known'}"


def targets_detect(json: Json = False) -> None:
    """Name the device profile of this machine, with its JetPack and power mode."""
    here = this_machine()
    if json:
        terminal().show_json({"target": here.target.full_name, "notes": list(here.notes)})
        return
    terminal().show("\n".join([here.target.full_name, *here.notes]))


def schema(
    document: Annotated[
        Literal["recipe", "target", "serve", "gate", "report", "comparison", "floor"],
        typer.Argument(help="Which file."),
    ],
) -> None:
    """Print the JSON Schema of a file that users write or programs read.

    [bold]Example[/bold]

    $ stylepress schema recipe > recipe.schema.json
    """
    from stylepress.document import document_schema

    file, name = DOCUMENTS[document]
    model = getattr(import_module(file), name)
    terminal().show_json(document_schema(model, written=document in WRITTEN))


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
            f"{output} has no ending that a picture format has.", "Name it .png, .jpg or .webp."
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
