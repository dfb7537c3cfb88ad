"""Commands that make a model: build, and one stage of it each: train, compress, export."""

from __future__ import annotations

import gc
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from stylepress.options import (
    Fresh,
    Json,
    Quiet,
    TargetName,
    build_cache,
    home,
    terminal,
    this_machine,
)
from stylepress.step_fields import Preset

if TYPE_CHECKING:
    from stylepress.build import BuildOptions

GARBAGE_EVERY = 50_000
"""New objects after which Python looks for garbage."""

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe, .yaml.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", help="Where to write; default runs/NAME."),
]
Photos = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of photos, to learn from and to calibrate with."),
]
BundlePrecision = Annotated[
    Literal["int8", "fp16", "fp32"] | None,
    typer.Option(help="Of the bundle; default the recipe's, or int8 where photos are named."),
]
ImageValues = Annotated[
    str | None,
    typer.Option(
        "--range", metavar="LOW,HIGH", help="The network's values of black and white, e.g. -1,1."
    ),
]
Bgr = Annotated[bool, typer.Option("--bgr", help="The network works on BGR pictures.")]
Statistics = Annotated[
    Literal["picture", "training"] | None,
    typer.Option(
        help="What the BatchNorm of a pix2pix network goes by; default each picture's own."
    ),
]
Sampling = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, max=100, help="Steps of DDIM of a diffusion model."),
]
Device = Annotated[
    str, typer.Option("--device", metavar="NAME", help="Where to train: auto, cpu or cuda[:n].")
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on where an interrupted training stopped; same result."),
]


def build(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="A recipe .yaml, a .pth, .safetensors, .onnx, a diffusers folder.",
        ),
    ],
    photos: Photos = None,
    style: Annotated[
        Path | None, typer.Option(metavar="IMG", help="Style picture, instead of the recipe's.")
    ] = None,
    out: Out = None,
    target: TargetName = None,
    preset: Annotated[
        Preset | None, typer.Option(help="Size of the student, instead of the recipe's.")
    ] = None,
    as_is: Annotated[
        bool, typer.Option("--as-is", help="No student: make a bundle of the network itself.")
    ] = False,
    precision: BundlePrecision = None,
    image: ImageValues = None,
    bgr: Bgr = False,
    statistics: Statistics = None,
    sampling: Sampling = None,
    device: Device = "auto",
    resume: Resume = False,
    no_cache: Fresh = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a small, fast bundle out of a recipe or of your own checkpoint.

    Teacher, student, INT8, ONNX, verification: the whole path in one command.
    A step that was built before from the same inputs is not built again.

    [bold]Examples[/bold]

    $ stylepress build candy.pth --as-is
    $ stylepress build candy.pth --photos photos/ --out runs/candy
    $ stylepress build recipes/glass.yaml --target x86-cpu
    $ stylepress build candy.pth --photos photos/ --target jetson-orin-nano-8gb@6.2
    """
    options = replace(
        usual_options(no_cache=no_cache),
        out=out,
        photos=photos,
        style=style,
        target=target,
        preset=preset,
        as_is=as_is,
        precision=precision,
        image=image_range(image),
        bgr=bgr,
        statistics=statistics,
        sampling=sampling,
        device=device,
        resume=resume,
    )
    _built(source, options, json=json, quiet=quiet)


def train(
    recipe: RecipeFile,
    out: Out = None,
    device: Device = "auto",
    resume: Resume = False,
    no_cache: Fresh = False,
    quiet: Quiet = False,
) -> None:
    """Train the teacher of a recipe, and stop there.

    Curves are kept for TensorBoard, preview pictures as PNG files; Ctrl-C keeps the state.

    [bold]Examples[/bold]

    $ stylepress train recipes/glass.yaml --out runs/glass
    $ torchrun --nproc-per-node 2 -m stylepress train recipes/glass.yaml
    """
    options = replace(
        usual_options(no_cache=no_cache), until="train", out=out, device=device, resume=resume
    )
    _built(recipe, options, json=False, quiet=quiet)


def compress(
    recipe: RecipeFile,
    out: Out = None,
    device: Device = "auto",
    resume: Resume = False,
    no_cache: Fresh = False,
    quiet: Quiet = False,
) -> None:
    """Distil the student of a recipe, and stop there.

    What comes before is built too, unless it was built already.

    [bold]Example[/bold]

    $ stylepress compress recipes/glass.yaml --out runs/glass
    """
    options = replace(
        usual_options(no_cache=no_cache), until="compress", out=out, device=device, resume=resume
    )
    _built(recipe, options, json=False, quiet=quiet)


def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="A .pth or .safetensors checkpoint, or a recipe .yaml."
        ),
    ],
    photos: Photos = None,
    out: Out = None,
    target: TargetName = None,
    precision: BundlePrecision = None,
    image: ImageValues = None,
    bgr: Bgr = False,
    statistics: Statistics = None,
    sampling: Sampling = None,
    resume: Resume = False,
    no_cache: Fresh = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the verified bundle of a checkpoint as it is, or of a recipe.

    Of a checkpoint nothing is trained: float needs no photos, INT8 a dozen to calibrate on.
    For a recipe, what comes before is built too, unless it was built already.

    [bold]Examples[/bold]

    $ stylepress export candy.pth
    $ stylepress export candy.pth --precision int8 --photos photos/
    $ stylepress export recipes/glass.yaml --out runs/glass
    """
    from stylepress.build import RECIPES

    options = replace(
        usual_options(no_cache=no_cache),
        out=out,
        photos=photos,
        target=target,
        as_is=source.suffix.lower() not in RECIPES,
        precision=precision,
        image=image_range(image),
        bgr=bgr,
        statistics=statistics,
        sampling=sampling,
        resume=resume,
    )
    _built(source, options, json=json, quiet=quiet)


def convert(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A bundle, or a checkpoint's folder.")
    ],
    to: Annotated[
        Literal["openvino", "torchscript", "torch-export", "triton"],
        typer.Option(
            "--to", help="OpenVINO IR and Triton of a bundle, the others of a checkpoint."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="A new folder.")],
    target: TargetName = None,
) -> None:
    """Write a model in the format of another program, checked against its own pictures.

    A model repository for Triton serves on the GPU or processor of the target.

    [bold]Examples[/bold]

    $ stylepress convert runs/candy/bundle --to openvino --out candy-ir
    $ stylepress convert runs/candy/bundle --to triton --target a100-80gb --out models
    $ stylepress convert runs/candy/student --to torch-export --out candy-torch
    """
    from stylepress.artifact import Artifact
    from stylepress.export.formats.convert import convert as write
    from stylepress.targets.target import load_target

    said = write(Artifact.load(source), to, out, target=load_target(target or "cpu"))
    terminal().say(f"Wrote {out}. {said}")


def usual_options(*, no_cache: bool) -> BuildOptions:
    """Return what every build gets from this process and machine."""
    from stylepress.build import BuildOptions

    return BuildOptions(
        cache=build_cache(fresh=no_cache),
        environ=os.environ,
        home=home(),
        here=this_machine().target,
    )


def _built(source: Path, options: BuildOptions, *, json: bool, quiet: bool) -> None:
    # Tracing makes a million objects that stay: looking for garbage among them took a tenth of it.
    gc.set_threshold(GARBAGE_EVERY)
    from stylepress.build import build as make

    with terminal(quiet=quiet) as screen:
        result = make(source, options=options, progress=screen)
    screen.show_json(result.record()) if json else screen.show(result.summary())


def image_range(text: str | None) -> tuple[float, float] | None:
    """Read the values of black and white as users write them.

    >>> image_range("-1,1")
    (-1.0, 1.0)
    """
    if text is None:
        return None
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no range of values. Write black and white, as in -1,1."
        ) from None
    return low, high
