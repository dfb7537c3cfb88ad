"""The command that measures bundles: bench, with its self-test."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

import typer

from stylepress.options import (
    Extractor,
    ForeignLoad,
    GateFile,
    MeasuredSize,
    Quiet,
    StylePicture,
    TargetName,
    Threads,
    chosen_backends,
    home,
    measured_size,
    refuse_idle,
    terminal,
)
from stylepress.replace import writable

if TYPE_CHECKING:
    from stylepress.benchmarks.report import Report
    from stylepress.benchmarks.timing.outcome import Length, Setting
    from stylepress.terminal import Terminal

LONGEST_S = 120.0
OF_SELFTEST = (
    *("bundles", "selftest", "size", "target", "backend", "threads", "photos", "pairs"),
    *("min_time", "foreign_load", "out", "quiet"),
)
OF_DRIFT = ("gate", "gate_file", "references", "extractor")
OF_FIXED_RATE = ("fps", "queue", "drop", "deadline")
"""Options that a self-test takes, that say how pictures are judged, that are of a camera."""


def bench(
    context: typer.Context,
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
    style: StylePicture = None,
    clip: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="VIDEO",
            help="Also follow 24 frames of this video; needs stylepress\\[video,flow]; may be repeated.",
        ),
    ] = None,
    size: MeasuredSize = None,
    target: TargetName = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            "--backend", "-b", metavar="NAME", help="Default: the target's, else all that run here."
        ),
    ] = None,
    threads: Threads = None,
    rounds: Annotated[
        int, typer.Option(metavar="N", min=1, help="Rounds of turns; an interval needs 6.")
    ] = 10,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Write every form here.")
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
    fps: Annotated[
        float, typer.Option(metavar="HZ", min=0.001, max=1e6, help="Of the fixed-rate camera.")
    ] = 30,
    queue: Annotated[
        int, typer.Option(metavar="N", min=1, help="Frames of it that wait, at most.")
    ] = 1,
    drop: Annotated[
        Literal["oldest", "newest", "none"], typer.Option(help="Frame that a full queue drops.")
    ] = "oldest",
    deadline: Annotated[
        float | None,
        typer.Option(
            metavar="MS", min=0.001, help="From capture to done; default till the next frame."
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(metavar="HZ", min=0.001, max=1e6, help="Requests a second to the server."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws when they arrive.")] = 0,
    lanes: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Frames at once; default 1, offline one a core."),
    ] = None,
    starts: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="Starts in fresh processes, for time and memory."),
    ] = 1,
    drift: Annotated[
        bool | None,
        typer.Option(
            "--drift/--no-drift",
            help="What the pictures lost; default: when --student or --teacher is given.",
        ),
    ] = None,
    gate: Annotated[
        bool,
        typer.Option(
            "--gate",
            help="Exit with 1 when the pictures of a bundle fail a check, with 3 when one is open.",
        ),
    ] = False,
    gate_file: GateFile = None,
    references: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Other photos, for the drift from the original's world."),
    ] = None,
    extractor: Extractor = None,
    foreign_load: ForeignLoad = 5,
    selftest: Annotated[
        bool,
        typer.Option("--selftest", help="Measure instead by how much two equal arms differ here."),
    ] = False,
    pairs: Annotated[
        int, typer.Option(metavar="N", min=1, help="Pairs of the self-test; at least 6.")
    ] = 20,
    min_time: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            min=0,
            help="Least seconds of a scenario (default 5), or of a self-test's run (default 1).",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Measure bundles on this machine: speed, size and pictures, side by side.

    [bold]Examples[/bold]

    $ stylepress bench runs/candy/bundle
    $ stylepress bench runs/candy/bundle --teacher candy.pth --photos held-out --out report
    $ stylepress bench runs/candy/bundle --student runs/candy/student --photos held-out -o report
    $ stylepress bench runs/candy/bundle --student runs/candy/student --clip street.mp4 -o report
    $ stylepress bench runs/candy/bundle --student runs/candy/student --photos held-out --gate
    $ stylepress bench runs/candy/bundle --scenario fixed-rate --fps 25
    $ stylepress bench runs/candy/bundle --selftest --out floor
    """
    _check_given(context)
    from stylepress.benchmarks.bench import BenchOptions
    from stylepress.benchmarks.bench import bench as measure
    from stylepress.benchmarks.gate import load_gate
    from stylepress.benchmarks.quality.trials import DriftOptions
    from stylepress.benchmarks.timing.latency import Plan
    from stylepress.targets.target import load_target

    profile = load_target(target) if target else None
    common: _Common = {
        "size": measured_size(size, profile),
        "threads": threads,
        "backends": chosen_backends(backend, profile),
        "foreign_load": foreign_load / 100,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "environ": os.environ,
    }
    if selftest:
        writable(out or Path())
        _selftest(
            bundles,
            common,
            photos=photos,
            pairs=pairs,
            min_time=1 if min_time is None else min_time,
            out=out,
            quiet=quiet,
        )
        return
    options = BenchOptions(
        **common,
        plan=Plan(rounds=rounds),
        starts=starts,
        settings=_settings(context),
        length=_length(min_time),
        clips=tuple(clip or ()),
        drift=DriftOptions(
            True if gate else drift, references, extractor, home(), limits=load_gate(gate_file)
        ),
    )
    for folder in (out, *(path.parent for path in (json, html) if path is not None)):
        writable(folder)
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
    _write(report, screen, out=out, json=json, html=html)
    _judge(report, screen, bundles=len(bundles) if gate else None)


class _Common(TypedDict):
    """What a measurement and a self-test are both made with; see `BenchOptions`."""

    size: tuple[int, int]
    threads: int | None
    backends: tuple[str, ...] | None
    foreign_load: float
    created: str
    environ: Mapping[str, str]


def _check_given(context: typer.Context) -> None:
    """Refuse options that would do nothing beside the others."""
    values = context.params
    if values["selftest"]:
        others = [one.name for one in context.command.params if one.name not in OF_SELFTEST]
        refuse_idle(context, others, "with `--selftest`")
        return
    played = set(values["scenario"] or ())
    for does, names, why in (
        (False, ("pairs",), "without `--selftest`"),
        (played, ("min_time",), "without `--scenario` or `--selftest`"),
        ("fixed-rate" in played, OF_FIXED_RATE, "without `--scenario fixed-rate`"),
        ("server" in played, ("rate", "seed"), "without `--scenario server`"),
        (
            played - {"single-stream"},
            ("lanes",),
            "without `--scenario fixed-rate`, `server` or `offline`",
        ),
        (values["drift"] is not False, OF_DRIFT, "with `--no-drift`"),
    ):
        if not does:
            refuse_idle(context, names, why)


def _length(min_time: float | None) -> Length:
    from stylepress.benchmarks.timing.outcome import Length

    min_s = 5.0 if min_time is None else min_time
    return Length(min_s=min_s, most_s=max(LONGEST_S, 2 * min_s))


def _settings(context: typer.Context) -> tuple[Setting, ...]:
    """Return the scenarios to play."""
    from stylepress.benchmarks.timing.scenarios import setting_of
    from stylepress.runtime.machine import usable_cores

    values = context.params
    cores = values["threads"] or usable_cores()
    return tuple(setting_of(name, values, cores=cores) for name in values["scenario"] or ())


def _write(
    report: Report, screen: Terminal, *, out: Path | None, json: Path | None, html: Path | None
) -> None:
    """Show a report, then write the forms of it that were asked for."""
    from stylepress.benchmarks.part import json_text, write_text
    from stylepress.benchmarks.show.files import markdown, page, write_forms

    # Shown first: a full disk shall not cost what was measured.
    screen.show(markdown(report).rstrip())
    written = [] if json is None else [write_text(json, json_text(report))]
    written += [] if html is None else [write_text(html, page(report))]
    written += write_forms(report, out) if out is not None else ()
    for path in written:
        screen.say(f"Wrote {path}")


def _judge(report: Report, screen: Terminal, *, bundles: int | None) -> None:
    """Tell whose pictures lost too much; leave with a gate's exit code where ``bundles`` are given.

    1 where one of them fails a check, 3 where one is open or was not judged.
    """
    for drift in report.drifts:
        bad = [one.reason for one in drift.checks if one.verdict in ("FAIL", "INCONCLUSIVE")]
        who = f"{drift.compressed} against {drift.original}"
        if drift.verdict == "FAIL":
            asked = "Was the bundle made from it?"
            screen.warn(f"{who} lost too much: {'; '.join(bad)}. {asked}")
        elif drift.verdict == "INCONCLUSIVE":
            reasons = "; ".join(bad) or "nothing could be judged"
            screen.warn(f"Whether {who} lost too much is open: {reasons}. More photos may tell.")
        elif drift.verdict is None and bundles is not None:
            screen.warn(
                f"{who} was not judged, which is another network. "
                f"Give the student in float with `--student`."
            )
    if bundles is None:
        return
    if len(report.drifts) < bundles:
        screen.warn(f"Of {bundles} bundles {len(report.drifts)} were judged; see Not measured.")
    verdicts = [drift.verdict for drift in report.drifts]
    code = 1 if "FAIL" in verdicts else 0 if verdicts == ["PASS"] * bundles else 3
    raise typer.Exit(code)


def _selftest(
    bundles: Sequence[Path],
    common: _Common,
    *,
    photos: Path | None,
    pairs: int,
    min_time: float,
    out: Path | None,
    quiet: bool,
) -> None:
    """Measure by how much two equal arms differ here: `stylepress bench BUNDLE --selftest`.

    Writes ``floor.json`` into ``out``, the working folder when None; `compare --floor` takes it.
    """
    from stylepress.benchmarks.machine.watch import Watch
    from stylepress.benchmarks.part import json_text, write_text
    from stylepress.benchmarks.verdict.comparison import DuelOptions
    from stylepress.benchmarks.verdict.floor import selftest as measure
    from stylepress.benchmarks.verdict.session import PairPlan, Session

    # As long as the runs of a comparison, unless somebody asks for others.
    plan = PairPlan(pairs=pairs, min_s=min_time, warm_s=min_time / 3, rest_s=min(0.1, min_time))
    options = DuelOptions(**common, plan=plan, photos=photos)
    with (
        terminal(quiet=quiet) as screen,
        Watch(foreign_load=options.foreign_load) as watch,
    ):
        floor = measure(bundles, Session(options, screen, watch))
    path = write_text((out or Path()) / "floor.json", json_text(floor))
    screen.show(floor.summary().rstrip())
    screen.say(f"Wrote {path}")
