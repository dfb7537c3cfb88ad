"""Commands about sets of pictures to train on: data inspect, data filter."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stylepress.errors import RecipeError
from stylepress.options import Json, Quiet, home, terminal

if TYPE_CHECKING:
    from stylepress.train.data.likeness import Likeness

Shows = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="What pictures should show, by a CLIP that you have."),
]
ClipFolder = Annotated[
    Path | None,
    typer.Option(
        "--clip", metavar="DIR", help="Its folder, as transformers writes it; default one found."
    ),
]
SetFolder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Pictures, or tar shards.")]


def data_inspect(
    folder: SetFolder,
    shows: Shows = None,
    clip: ClipFolder = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say how a folder of pictures is laid out, what is in it, and what may spoil a training.

    Every picture is opened: bad files, sizes, sharpness and near-duplicates are told.

    [bold]Example[/bold]

    $ stylepress data inspect photos/
    """
    from stylepress.commands_look import facts
    from stylepress.train.data.layouts import layout_of
    from stylepress.train.data.survey import survey

    with terminal(quiet=quiet) as screen:
        values = survey(layout_of(folder), screen, _likeness(shows, clip)).record()
    screen.show_json(values) if json else screen.show(facts(values))


def data_filter(
    folder: SetFolder,
    output: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder for those kept.")],
    least_px: Annotated[
        int, typer.Option(metavar="PX", min=1, help="Shorter side that a picture must have.")
    ] = 256,
    least_sharpness: Annotated[
        float, typer.Option(min=0, help="See `data inspect`; blurred photos have less.")
    ] = 2.5,
    least_entropy: Annotated[
        float, typer.Option(metavar="BITS", min=0, max=8, help="Flat pictures have less.")
    ] = 2.0,
    most_aspect: Annotated[
        float, typer.Option(min=1, help="Longer side over the shorter one, at most.")
    ] = 3.0,
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="Keep near-duplicates too.")
    ] = False,
    shows: Shows = None,
    least_likeness: Annotated[
        float, typer.Option(min=-1, max=1, help="With --shows: cosine that a picture must have.")
    ] = 0.25,
    clip: ClipFolder = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Copy the pictures that are worth training on into a new folder; shards are unpacked.

    OUT/chosen.json lists what was kept, with SHA-256, and why the others were not.

    [bold]Example[/bold]

    $ stylepress data filter photos/ good-photos/ --least-px 400
    """
    from stylepress.train.data.choice import Bars, filtered
    from stylepress.train.data.layouts import layout_of
    from stylepress.train.data.survey import survey

    bars = Bars(least_px, least_sharpness, least_entropy, most_aspect, duplicates, least_likeness)
    with terminal(quiet=quiet) as screen:
        seen = survey(layout_of(folder), screen, _likeness(shows, clip))
        done = filtered(seen, bars, output)
    if json:
        screen.show_json({"folder": str(output), "kept": done.kept, "left_out": done.left_out})
        return
    reasons = "".join(f", {count} {reason}" for reason, count in done.left_out.items())
    screen.show(f"{output}: {done.kept} kept{reasons}")


def _likeness(shows: str | None, clip: Path | None) -> Likeness | None:
    """Open CLIP where something is looked for; nothing of it is imported elsewhere."""
    if shows is None:
        return None
    from stylepress.train.data.likeness import find_clip, open_likeness

    folder = clip or find_clip(env=os.environ, home=home())
    if folder is None:
        raise RecipeError(
            "--shows needs a CLIP, and none is on this machine.",
            "Name its folder with `--clip DIR` (config.json, model.safetensors, tokenizer).",
        )
    return open_likeness(folder, shows)
