"""Commands that use bundles: run, bench."""

from __future__ import annotations

import os
import re
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stylepress.errors import BackendError
from stylepress.options import Json, Quiet, TargetName, terminal, user_cache
from stylepress.terminal import duration

if TYPE_CHECKING:
    from stylepress.targets.target import Target

INTERRUPTED = 130
USUAL_SIZE = (512, 512)
MEGAPIXEL = 1_000_000
LONGEST_S = 120.0
ForeignLoad = Annotated[
    float,
    typer.Option(
        "--foreign-load",
        metavar="PERCENT",
        min=0,
        max=100,
        help="Others may use so much of the processor before a run does not count.",
    ),
]
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

    Ctrl-C keeps what is finished by then: pictures, or a playable part of the video.

    [bold]Examples[/bold]

    $ stylepress run runs/candy/bundle cat.jpg cat-candy.jpg
    $ stylepress run runs/candy/bundle clip.mp4 clip-candy.mp4 --strength 0.8
    $ stylepress run runs/candy/bundle holiday/ holiday-candy/
    """
    from stylepress.runtime.bundle import load_bundle
    from stylepress.runtime.stylize import StylizeOptions, stylize

    options = StylizeOptions(
        strength=strength,
        backend=backend,
        lanes=lanes,
        limit_pixels=round(limit_megapixels * MEGAPIXEL),
        overwrite=overwrite,
        crf=crf,
        preset=preset,
        cache=user_cache(),
    )
    with terminal(quiet=quiet) as screen:
        done = stylize(load_bundle(bundle), source, output, options=options, progress=screen)
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


def bench(
    bundles: Annotated[list[Path], typer.Argument(metavar="BUNDLE...", help="Bundles to measure.")],
    teacher: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Checkpoint to measure beside them.")
    ] = None,
    student: Annotated[
        Path | None, typer.Option(metavar="BUNDLE", help="The float bundle of the student.")
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Photos that no training saw.")
    ] = None,
    style: Annotated[
        Path | None, typer.Option(metavar="IMG", help="Style picture, for the style distance.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Frame size; default the target's, 512x512.")
    ] = None,
    target: TargetName = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="Default: as many as there are cores.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Write all three forms here.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the report for programs.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write one page with pictures.")
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Also play single-stream, fixed-rate, server or offline; may be repeated.",
        ),
    ] = None,
    fps: Annotated[float, typer.Option(metavar="HZ", help="Of the fixed-rate camera.")] = 30,
    rate: Annotated[
        float | None, typer.Option(metavar="HZ", help="Requests a second to the server.")
    ] = None,
    lanes: Annotated[
        int | None,
        typer.Option(metavar="N", help="Frames at once; default 1, offline one a core."),
    ] = None,
    starts: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="Starts in fresh processes, for time and memory."),
    ] = 1,
    split: Annotated[
        bool, typer.Option("--split", help="Also take a short film through, stage by stage.")
    ] = False,
    roof: Annotated[
        bool, typer.Option("--roof", help="Also measure what this machine could do at most.")
    ] = False,
    foreign_load: ForeignLoad = 5,
    selftest: Annotated[
        bool,
        typer.Option("--selftest", help="Measure instead by how much two equal arms differ here."),
    ] = False,
    pairs: Annotated[int, typer.Option(metavar="N", help="Pairs of the self-test.")] = 20,
    min_time: Annotated[
        float,
        typer.Option(metavar="S", min=0, help="Least seconds of a scenario, or self-test's run."),
    ] = 5,
    quiet: Quiet = False,
) -> None:
    """Measure bundles on this machine: speed, size and pictures, side by side.

    [bold]Examples[/bold]

    $ stylepress bench runs/candy/bundle
    $ stylepress bench runs/candy/bundle --teacher candy.pth --photos held-out --out report
    $ stylepress bench runs/candy/bundle --scenario fixed-rate --fps 25 --split --roof
    $ stylepress bench runs/candy/bundle --selftest --out floor
    """
    from stylepress.targets.target import load_target

    profile = load_target(target) if target else None
    frame = frame_size(size) if size else profile.size if profile else USUAL_SIZE
    backends = _backends(profile) if profile else None
    if selftest:
        from stylepress.commands_look import selftest as measure_floor

        measure_floor(
            bundles,
            size=frame,
            threads=threads,
            backends=backends,
            photos=photos,
            pairs=pairs,
            min_time=min_time,
            foreign_load=foreign_load,
            out=out,
            quiet=quiet,
        )
        return

    from stylepress.benchmarks.bench import BenchOptions, write_html, write_json, write_report
    from stylepress.benchmarks.bench import bench as measure
    from stylepress.benchmarks.scenarios.outcome import Length
    from stylepress.benchmarks.scenarios.scene import setting_named
    from stylepress.benchmarks.summary import summary
    from stylepress.runtime.backends import usable_cores

    settings = [
        setting_named(name, fps=fps, rate=rate, lanes=lanes, cores=threads or usable_cores())
        for name in scenario or []
    ]
    options = BenchOptions(
        size=frame,
        threads=threads,
        backends=backends,
        starts=starts,
        settings=tuple(settings),
        length=Length(min_s=min_time, most_s=max(LONGEST_S, 2 * min_time)),
        split=split,
        roof=roof,
        foreign_load=foreign_load / 100,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        environ=os.environ,
    )
    with terminal(quiet=quiet) as screen:
        report = measure(
            bundles,
            teacher=teacher,
            student=student,
            photos=photos,
            style=style,
            options=options,
            progress=screen,
        )
    if json is not None:
        write_json(report, json)
    if html is not None:
        write_html(report, html)
    written = [path for path in (json, html) if path is not None]
    written += write_report(report, out) if out is not None else ()
    screen.show(summary(report).rstrip())
    for path in written:
        screen.say(f"Wrote {path}")


def _backends(target: Target) -> tuple[str, ...]:
    """Return the target's engines that this machine can measure."""
    from stylepress.runtime.backends import BACKENDS
    from stylepress.targets.target import usable_engines

    backends = tuple(engine for engine in usable_engines(target) if engine in BACKENDS)
    if not backends:
        raise BackendError(
            f"Target {target.name!r} is only compiled for, not run. Measure another --target."
        )
    return backends


def frame_size(text: str) -> tuple[int, int]:
    """Read a frame size as users write it, width first; return (height, width).

    >>> frame_size("1280x720")
    (720, 1280)
    """
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no frame size. Write it as 1280x720.")
    return int(match[2]), int(match[1])
