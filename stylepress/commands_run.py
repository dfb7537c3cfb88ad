"""The command that uses a bundle: run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from stylepress.options import Json, Quiet, terminal, user_cache
from stylepress.terminal import duration

INTERRUPTED, SOME_FAILED = 130, 1
MEGAPIXEL = 1_000_000
BackendName = Annotated[
    str | None,
    typer.Option(
        "--backend", "-b", metavar="NAME", help="Engine; default: the fastest here, by measurement."
    ),
]


def run(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that build wrote.")],
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Picture, folder or video.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Where the result goes.")],
    strength: Annotated[float, typer.Option("--strength", "-s", help="How much style, 0..1.")] = 1,
    backend: BackendName = None,
    lanes: Annotated[
        int | None, typer.Option(metavar="N", help="Frames at once; default: one a core.")
    ] = None,
    crf: Annotated[
        int, typer.Option(min=1, max=51, help="Quality of a video; lower is better and larger.")
    ] = 20,
    preset: Annotated[
        str, typer.Option(help="x264's trade of time for size, ultrafast to veryslow.")
    ] = "superfast",
    stream: Annotated[
        int | None,
        typer.Option(metavar="N", help="Picture stream of a video; default: the main one."),
    ] = None,
    deinterlace: Annotated[
        bool,
        typer.Option("--deinterlace/--no-deinterlace", help="Make interlaced frames whole."),
    ] = True,
    limit_megapixels: Annotated[
        float, typer.Option(metavar="MP", help="Refuse larger pictures before decoding them.")
    ] = 100,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace output that exists already.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Stylize a picture, a folder of pictures, or a video with its sound.

    Ctrl-C keeps what is finished by then: pictures, or a playable part of the video. A picture of
    a folder that fails is named, the others are done, and the exit code is 1.

    [bold]Examples[/bold]

    $ stylepress run runs/candy/bundle cat.jpg cat-candy.jpg
    $ stylepress run runs/candy/bundle clip.mp4 clip-candy.mp4 --strength 0.8
    $ stylepress run runs/candy/bundle holiday/ holiday-candy/
    """
    from stylepress.runtime.bundle import read_bundle
    from stylepress.runtime.stylize import StylizeOptions, stylize

    options = StylizeOptions(
        strength=strength,
        backend=backend,
        lanes=lanes,
        limit_pixels=round(limit_megapixels * MEGAPIXEL),
        overwrite=overwrite,
        stream=stream,
        deinterlace=deinterlace,
        crf=crf,
        preset=preset,
        cache=user_cache(),
    )
    with terminal(quiet=quiet) as screen:
        done = stylize(read_bundle(bundle), source, output, options=options, progress=screen)
    if json:
        screen.show_json(asdict(done) | {"fps": done.fps})
    elif done.target is not None:
        what = ("frame" if done.kind == "video" else "picture") + "s" * (done.written != 1)
        rate = f", {done.fps:.1f} {what}/s" if done.written > 1 else ""
        skipped = f", {done.skipped} skipped" if done.skipped else ""
        screen.show(
            f"{done.target}: {done.written} {what} in {duration(done.seconds)}{rate}{skipped}"
        )
    if done.stopped:
        raise typer.Exit(INTERRUPTED)
    if done.skipped:
        raise typer.Exit(SOME_FAILED)
