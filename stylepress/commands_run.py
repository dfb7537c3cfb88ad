"""The commands that use a bundle: install and run."""

from __future__ import annotations

from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Annotated, Literal

import typer

from stylepress.cache import Cache, user_cache
from stylepress.errors import RecipeError
from stylepress.options import (
    USUAL_SIZE,
    Json,
    MeasuredSize,
    Quiet,
    frame_size,
    terminal,
)
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
    style: Annotated[
        str | None,
        typer.Option(
            metavar="STYLE",
            help="Picture whose style is taken, or styles of a library, as in glass=0.7,starry=0.3.",
        ),
    ] = None,
    port: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Feed another input of the bundle: a picture for a mask or a control picture, as in "
            "mask=mask.png, or a number. Scaled to each frame; may be given several times.",
        ),
    ] = None,
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
    $ stylepress run runs/any-style/bundle cat.jpg cat-monet.jpg --style monet.jpg
    $ stylepress run runs/two-styles/bundle cat.jpg cat-two.jpg --port mask=mask.png
    """
    from stylepress.runtime.bundle import read_bundle
    from stylepress.runtime.stylize import StylizeOptions, stylize

    options = StylizeOptions(
        strength=strength,
        style=style,
        ports=tuple(port or ()),
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


def install(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that build wrote.")],
    size: MeasuredSize = None,
    backend: BackendName = None,
    plan: Annotated[
        Literal["tensorrt", "tensorrt_rtx"] | None,
        typer.Option(help="Also build a plan for this GPU, with this compiler."),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Power mode that kernels are timed in; default: as nvpmodel says."
        ),
    ] = None,
    dla: Annotated[
        int | None, typer.Option(metavar="CORE", min=0, help="NVDLA core that the plan is for.")
    ] = None,
    weights: Annotated[
        Literal["fixed", "replaceable", "left-out"] | None,
        typer.Option(
            help="Weights of the plan: fixed in it (default), replaceable later, or left out and "
            "filled from the bundle when the plan is loaded."
        ),
    ] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what came of it as JSON.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a bundle ready on the device that will run it: compile, check, measure, record.

    Every engine that can run here must reproduce the golden pairs; the fastest is remembered, and
    `run` takes it. `--plan` builds one more with options of its own, for other programs.

    [bold]Examples[/bold]

    $ stylepress install candy/bundle --size 1280x720
    $ stylepress install candy/bundle --plan tensorrt --dla 0
    """
    from stylepress.commands_look import facts
    from stylepress.replace import replacing_file
    from stylepress.runtime.backends import EngineOptions
    from stylepress.runtime.bundle import read_bundle
    from stylepress.runtime.install import install as made_ready
    from stylepress.runtime.nvidia.device import PlanOptions, plan_here, power_mode

    if plan is None and (mode or weights or dla is not None):
        raise RecipeError(
            "`--mode`, `--dla` and `--weights` are of a plan.", "Add `--plan tensorrt`."
        )
    opened, cache = read_bundle(bundle), Cache(user_cache())
    height_width = frame_size(size) if size else USUAL_SIZE
    with terminal(quiet=quiet) as screen:
        ready = made_ready(
            opened,
            size=height_width,
            options=EngineOptions(size=height_width),
            cache=cache,
            backends=[backend] if backend else None,
            progress=screen,
        )
        values = ready.record()
        if plan is not None:
            wanted = PlanOptions(
                plan,
                height_width,
                dla_core=dla,
                mode=mode or power_mode(),
                weights="left out" if weights == "left-out" else weights or "fixed",
            )
            built = plan_here(opened, wanted, cache=cache, progress=screen)
            values["plan"] = {"folder": str(built.folder), **built.manifest.record()}
    if record is not None:
        with replacing_file(record) as beside:
            beside.write_text(dumps(values, indent=1) + "\n", encoding="utf-8")
    if json:
        screen.show_json(values)
        return
    lines = {
        "fastest": f"{ready.choice.backend}, {ready.choice.median_ms[ready.choice.backend]:.2f} ms",
        "golden pairs": f"{ready.golden_pairs} reproduced",
        "left out": [f"{name}: {why}" for name, why in ready.choice.refused.items()],
    }
    screen.show(facts(lines | ({"plan": values["plan"]["folder"]} if plan else {})))
