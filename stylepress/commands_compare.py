"""The command that holds two measurements against each other: compare."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from stylepress.errors import RecipeError
from stylepress.options import (
    Extractor,
    ForeignLoad,
    GateFile,
    Json,
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
    from stylepress.benchmarks.gate import Limits
    from stylepress.benchmarks.verdict.comparison import Comparison, DuelOptions
    from stylepress.progress import Progress

INCONCLUSIVE = 3
ONLY_REPORTS = ("vary",)
ONLY_BUNDLES = (
    *("size", "target", "backend", "threads", "photos", "style", "pairs", "min_time", "min_count"),
    *("floor", "drift", "foreign_load", "extend", "confirm", "complete"),
    *("references", "extractor"),
)
"""Options that say nothing of the other kind of input."""
ONLY_DRIFT = ("references", "extractor")
PHOTOS, DRIFT_PHOTOS = 6, 12
"""Most photos that are drawn; a distance over sets needs more: 445 squares, at 512x512 7 photos."""
NO_BASE = "there is no {}: nothing was compared. The next run has one once this one's is kept."

Kind = Literal["bundles", "report", "comparison"]


def compare(
    context: typer.Context,
    base: Annotated[
        Path,
        typer.Argument(
            metavar="BASE",
            help="Older bundle, folder of bundles or report; or a stored comparison alone.",
        ),
    ],
    new: Annotated[
        Path | None, typer.Argument(metavar="NEW", help="Newer one of the same kind.")
    ] = None,
    gate_file: GateFile = None,
    delta: Annotated[
        float | None,
        typer.Option(
            "--delta",
            "--max-regression",
            metavar="PERCENT",
            help="Times, memory and weights that are worse by more fail; default 5.",
        ),
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Photos; default: BASE's golden pictures.")
    ] = None,
    style: StylePicture = None,
    size: MeasuredSize = None,
    target: TargetName = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            "--backend", "-b", metavar="NAME", help="Default: the target's, else all that run both."
        ),
    ] = None,
    threads: Threads = None,
    pairs: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Pairs of runs; 6 on locked clocks, 20 on hosted runners."
        ),
    ] = 10,
    min_time: Annotated[
        float,
        typer.Option(
            metavar="S", min=0, help="Least seconds a run, after a third as long a warm-up."
        ),
    ] = 1,
    min_count: Annotated[
        int, typer.Option(metavar="N", min=1, help="Least timed calls a run.")
    ] = 10,
    extend: Annotated[
        bool, typer.Option("--extend/--no-extend", help="As many pairs again while it is open.")
    ] = True,
    confirm: Annotated[
        bool,
        typer.Option("--confirm/--no-confirm", help="Measure a failure again that is not obvious."),
    ] = True,
    complete: Annotated[
        bool, typer.Option("--complete", help="Measure on when the comparison has failed already.")
    ] = False,
    floor: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="floor.json of `bench --selftest`; default: 1 %."),
    ] = None,
    foreign_load: ForeignLoad = 5,
    drift: Annotated[
        bool,
        typer.Option(
            "--drift",
            help="Also hold NEW to what compression may lose: distances over squares, PSNR, SSIM.",
        ),
    ] = False,
    references: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Other photos, for the drift from BASE's world."),
    ] = None,
    extractor: Extractor = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD", help="Of two reports, meant to differ: e.g. packages.openvino."
        ),
    ] = None,
    labels: Annotated[
        str, typer.Option(metavar="BASE,NEW", help="What both are called, e.g. main,my-branch.")
    ] = "",
    missing_base: Annotated[
        Literal["fail", "skip"],
        typer.Option(help="Where there is no BASE: exit with 2, or with 0."),
    ] = "fail",
    inconclusive: Annotated[
        Literal["exit3", "pass", "fail"],
        typer.Option(help="What an open verdict exits with; what nobody measured never passes."),
    ] = "exit3",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Write page, JUnit, JSON, CSV, ... here."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare two bundles by pictures and interleaved runs, and fail on a real regression.

    NEW's golden pairs come first, then pictures, then times in fresh processes: what failed already
    is not measured further. A run during which the machine throttled, swapped or worked for others
    is made again later. Limits come from a gate file, one line a figure.
    Exit code 0: pass; 1: worse; 2: cannot be compared; 3: too noisy to tell.
    Two reports that were measured apart show a trend: it judges nothing.

    [bold]Examples[/bold]

    $ stylepress compare old/bundle new/bundle --out comparison
    $ stylepress compare old-recipes new-recipes --gate-file gate.yaml
    $ stylepress compare reports/monday reports/friday
    $ stylepress compare comparison --gate-file stricter.yaml
    """
    kind = _kind_of(base, new)
    values = context.params
    if kind == "bundles":
        refuse_idle(context, ONLY_REPORTS, "for two bundles")
        if not drift:
            refuse_idle(context, ONLY_DRIFT, "without `--drift`")
    else:
        what = "two reports" if kind == "report" else "a stored comparison"
        refuse_idle(context, ONLY_BUNDLES, f"for {what}, which is measured already")
        if kind == "report":
            refuse_idle(context, ("gate_file", "delta"), "for two reports, which judge nothing")
    writable(out)
    from stylepress.benchmarks.gate import load_gate

    limits = load_gate(gate_file, delta_percent=delta)
    with terminal(quiet=quiet) as screen:
        if kind == "comparison":
            from stylepress.benchmarks.compare import judged_again
            from stylepress.benchmarks.part import read_json
            from stylepress.benchmarks.verdict.comparison import Comparison

            stored = read_json(_file(base, "comparison.json"), Comparison)
            comparison = judged_again(stored, limits)
        elif kind == "report":
            from stylepress.benchmarks.compare import compare as trend
            from stylepress.benchmarks.part import read_json
            from stylepress.benchmarks.report import Report

            files = _file(base, "report.json"), _file(_named(new), "report.json")
            reports = (read_json(file, Report) for file in files)
            comparison = trend(*reports, vary=vary or (), labels=_names(labels))
        else:
            comparison = _bundles(base, _named(new), _options(values, limits, screen), screen)
    from stylepress.benchmarks.show.files import markdown, write_forms

    # Shown first: a full disk shall not cost what was measured.
    if json:
        screen.show_json(comparison.model_dump(mode="json"))
    else:
        screen.show(markdown(comparison).rstrip())
    for path in write_forms(comparison, out) if out is not None else ():
        screen.say(f"Wrote {path}")
    if comparison.verdict == "NO BASELINE" and missing_base == "skip":
        raise typer.Exit(0)
    raise typer.Exit(comparison.code({"exit3": INCONCLUSIVE, "pass": 0, "fail": 1}[inconclusive]))


def _kind_of(base: Path, new: Path | None) -> Kind:
    """Say what was named; both must be of one kind.

    Raises:
        RecipeError: NEW does not exist or was not named, or both are not of one kind.
    """
    one = _kind(base)
    if new is None:
        if one == "comparison":
            return "comparison"
        raise RecipeError(
            f"{base} is compared with nothing.",
            "Name two bundles or two reports, or a stored comparison alone.",
        )
    if not new.exists():
        raise RecipeError(f"There is no {new}.", "Name a bundle's folder, or a report.json.")
    two = _kind(new)
    if base.exists() and (one != two or one == "comparison"):
        raise RecipeError(
            f"{base} is of kind {one}, {new} of kind {two}.",
            "Give two bundles, two folders of bundles, or two reports.",
        )
    if not base.exists() and two != "bundles":
        raise RecipeError(f"There is no {base}.", "Name a bundle's folder, or a report.json.")
    return two


def _kind(path: Path) -> Kind:
    """Say what a file or folder holds, by its name: a folder may be what `--out` wrote."""
    name = path.name
    if path.is_dir() and not (path / "manifest.json").is_file():
        held = [one for one in ("report.json", "comparison.json") if (path / one).is_file()]
        if not held:
            return "bundles"
        name = held[0]
    elif path.is_dir() or not path.exists():
        return "bundles"
    if name == "comparison.json":
        return "comparison"
    start = path.read_bytes()[:4096] if path.is_file() else b""
    return "comparison" if b'"document": "comparison"' in start else "report"


def _file(path: Path, name: str) -> Path:
    return path / name if path.is_dir() else path


def _named(new: Path | None) -> Path:
    assert new is not None, "a kind that takes two was found with one"
    return new


def _bundles(base: Path, new: Path, options: DuelOptions, screen: Progress) -> Comparison:
    from stylepress.benchmarks.machine.watch import Watch
    from stylepress.benchmarks.verdict.duel import duel, lone
    from stylepress.benchmarks.verdict.session import Session

    if not base.exists():
        return lone(new, why=NO_BASE.format(base), options=options)
    watch = Watch(foreign_load=options.foreign_load)
    return duel(base, new, Session(options, screen, watch))


def _names(labels: str) -> tuple[str, str]:
    """Read what base and new are called: two names with a comma between them, or none."""
    if not labels:
        return "", ""
    base, comma, new = (part.strip() for part in labels.partition(","))
    if not (base and comma and new):
        raise RecipeError(
            f"`--labels {labels}` does not name both.", "Write it as `--labels main,my-branch`."
        )
    return base, new


def _options(values: dict[str, Any], limits: Limits, screen: Progress) -> DuelOptions:
    from stylepress.benchmarks.part import read_json
    from stylepress.benchmarks.quality.features.extractor import open_extractor
    from stylepress.benchmarks.quality.judges import DriftJudge
    from stylepress.benchmarks.verdict.comparison import DuelOptions
    from stylepress.benchmarks.verdict.floor import Floor
    from stylepress.benchmarks.verdict.session import PairPlan
    from stylepress.targets.target import load_target

    profile = load_target(values["target"]) if values["target"] else None
    min_s, drift = values["min_time"], values["drift"]
    judge = None
    if drift:
        extractor = open_extractor(values["extractor"], env=os.environ, home=home())
        judge = DriftJudge(extractor, limits, screen)
    return DuelOptions(
        size=measured_size(values["size"], profile),
        threads=values["threads"],
        backends=chosen_backends(values["backend"], profile),
        plan=PairPlan(
            pairs=values["pairs"],
            extend=values["extend"],
            confirm=values["confirm"],
            complete=values["complete"],
            min_s=min_s,
            min_count=values["min_count"],
            warm_s=min_s / 3,
            rest_s=min(0.1, min_s),
        ),
        limits=limits,
        floor=None if values["floor"] is None else read_json(values["floor"], Floor),
        photos=values["photos"],
        most_photos=DRIFT_PHOTOS if drift else PHOTOS,
        style=values["style"],
        judges=() if judge is None else (judge,),
        references=values["references"],
        labels=_names(values["labels"]),
        foreign_load=values["foreign_load"] / 100,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        environ=os.environ,
    )
