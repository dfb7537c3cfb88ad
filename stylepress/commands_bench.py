"""The command that measures bundles: bench, with its self-test."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

from stylepress.options import (
    ForeignLoad,
    Quiet,
    TargetName,
    home,
    measured_backends,
    measured_size,
    terminal,
)
from stylepress.replace import writable

LONGEST_S = 120.0


def bench(
    bundles: Annotated[list[Path], typer.Argument(metavar="BUNDLE...", help="Bundles to measure.")],
    teacher: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Checkpoint to measure beside them.")
    ] = None,
    student: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The student in float: its bundle, or checkpoint."),
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Photos that no training saw.")
    ] = None,
    style: Annotated[
        Path | None, typer.Option(metavar="IMG", help="Style picture, for the style distance.")
    ] = None,
    clip: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="VIDEO",
            help="Also follow 24 frames of this video; needs stylepress\\[video,flow]; may be repeated.",
        ),
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
        bool,
        typer.Option(
            "--roof",
            help="Also measure what this machine could do at most; needs stylepress\\[export].",
        ),
    ] = False,
    drift: Annotated[
        bool | None,
        typer.Option(
            "--drift/--no-drift",
            help="What the pictures lost; default: when --student or --teacher is given.",
        ),
    ] = None,
    references: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Other photos, for the drift from the original's world."),
    ] = None,
    extractor: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Inception weights of FID, or an ONNX feature network."),
    ] = None,
    lpips: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Heads of LPIPS 0.1, its network beside them."),
    ] = None,
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
    $ stylepress bench runs/candy/bundle --student runs/candy/student --photos held-out -o report
    $ stylepress bench runs/candy/bundle --student runs/candy/student --clip street.mp4 -o report
    $ stylepress bench runs/candy/bundle --scenario fixed-rate --fps 25 --split --roof
    $ stylepress bench runs/candy/bundle --selftest --out floor
    """
    from stylepress.targets.target import load_target

    profile = load_target(target) if target else None
    frame = measured_size(size, profile)
    backends = measured_backends(profile) if profile else None
    for folder in (out, *(path.parent for path in (json, html) if path is not None)):
        writable(folder)
    if selftest:
        _selftest(
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

    from stylepress.benchmarks.bench import BenchOptions
    from stylepress.benchmarks.bench import bench as measure
    from stylepress.benchmarks.drift.bundles import DriftOptions
    from stylepress.benchmarks.report_files import write_html, write_json, write_report
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
        clips=tuple(clip or ()),
        drift=DriftOptions(drift, references, extractor, lpips, home()),
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


def _selftest(
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
