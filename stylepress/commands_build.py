"""Commands that make a model: build, and one stage of it each: train, compress, export."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from stylepress.options import Fresh, Json, Quiet, TargetName, build_cache, home, terminal

Stage = Literal["train", "compress", "export"]
Preset = Literal["nano", "small", "base", "texture"]

Recipe = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe, .yaml.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", help="Where to write; default runs/NAME."),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on where an interrupted training stopped; same result."),
]


def build(
    source: Annotated[
        Path,
        typer.Argument(metavar="SOURCE", help="A recipe .yaml, a .pth or .safetensors checkpoint."),
    ],
    photos: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of photos; needed for a checkpoint."),
    ] = None,
    style: Annotated[
        Path | None, typer.Option(metavar="IMG", help="Style picture, instead of the recipe's.")
    ] = None,
    out: Out = None,
    target: TargetName = None,
    preset: Annotated[
        Preset | None, typer.Option(help="Size of the student, instead of the recipe's.")
    ] = None,
    resume: Resume = False,
    no_cache: Fresh = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a small, fast bundle out of a recipe or of your own checkpoint.

    Teacher, student, INT8, ONNX, verification: the whole path in one command.
    A step that was built before from the same inputs is not built again.

    [bold]Examples[/bold]

    $ stylepress build candy.pth --photos photos/ --out runs/candy
    $ stylepress build recipes/glass.yaml --target x86-cpu
    """
    from stylepress.build import BuildOptions
    from stylepress.build import build as make

    options = BuildOptions(
        out=out,
        photos=photos,
        style=style,
        target=target,
        preset=preset,
        resume=resume,
        cache=build_cache(fresh=no_cache),
        environ=os.environ,
        home=home(),
    )
    with terminal(quiet=quiet) as screen:
        result = make(source, options=options, progress=screen)
    screen.show_json(result.record()) if json else screen.show(result.summary())


def train(
    recipe: Recipe,
    out: Out = None,
    resume: Resume = False,
    no_cache: Fresh = False,
    quiet: Quiet = False,
) -> None:
    """Train the teacher of a recipe, and stop there.

    Curves and sample pictures are kept for TensorBoard.

    [bold]Examples[/bold]

    $ stylepress train recipes/glass.yaml --out runs/glass
    $ torchrun --nproc-per-node 2 -m stylepress train recipes/glass.yaml
    """
    _stage(recipe, "train", out=out, resume=resume, no_cache=no_cache, quiet=quiet)


def compress(
    recipe: Recipe,
    out: Out = None,
    resume: Resume = False,
    no_cache: Fresh = False,
    quiet: Quiet = False,
) -> None:
    """Distil the student of a recipe, and stop there.

    What comes before is built too, unless it was built already.

    [bold]Example[/bold]

    $ stylepress compress recipes/glass.yaml --out runs/glass
    """
    _stage(recipe, "compress", out=out, resume=resume, no_cache=no_cache, quiet=quiet)


def export(
    recipe: Recipe,
    out: Out = None,
    resume: Resume = False,
    no_cache: Fresh = False,
    quiet: Quiet = False,
) -> None:
    """Write the verified bundle of a recipe.

    What comes before is built too, unless it was built already.

    [bold]Example[/bold]

    $ stylepress export recipes/glass.yaml --out runs/glass
    """
    _stage(recipe, "export", out=out, resume=resume, no_cache=no_cache, quiet=quiet)


def _stage(
    recipe: Path, until: Stage, *, out: Path | None, resume: bool, no_cache: bool, quiet: bool
) -> None:
    from stylepress.build import BuildOptions, build

    options = BuildOptions(out=out, until=until, resume=resume, cache=build_cache(fresh=no_cache))
    with terminal(quiet=quiet) as screen:
        result = build(recipe, options=options, progress=screen)
    screen.show(result.summary())
