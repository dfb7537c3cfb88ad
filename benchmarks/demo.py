"""``python -m stylepress.benchmarks.demo``: one style from its teacher to a video and a report."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from stylepress.benchmarks.bench import BenchOptions, bench
from stylepress.benchmarks.pictures.clip import make_clip
from stylepress.benchmarks.report_files import write_report
from stylepress.benchmarks.summary import headline
from stylepress.benchmarks.timing.latency import Plan
from stylepress.build import BuildOptions, build, resolved
from stylepress.errors import StylepressError
from stylepress.options import home, terminal
from stylepress.picture import PHOTO_SUFFIXES
from stylepress.progress import Progress
from stylepress.runtime.bundle import load_bundle
from stylepress.runtime.stylize import StylizeOptions, stylize

PLAN = Plan(rounds=6, turn_s=0.15, warm_up=1)
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demonstration starts from, and how long its clip is.

    ``recipe`` names the style and the teacher; ``photos`` were not seen by any training. ``size``
    is that of the clip, ``frame`` and ``plan`` those of the report. ``created`` is the time now, ISO 8601.
    """

    recipe: Path
    photos: Path
    style: Path | None
    out: Path
    seconds: float = 10
    size: tuple[int, int] = (720, 1280)
    frame: tuple[int, int] = (512, 512)
    plan: Plan = PLAN
    created: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)
    home: Path = Path()


def show(demo: Demo, progress: Progress) -> list[Path]:
    """Build the style, stylize a photo and a clip with sound, write a report; return the files.

    Nothing is taken from the build cache: what is shown is done.

    Raises:
        StylepressError: whatever a step raises.
    """
    photos = sorted(p for p in demo.photos.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES)
    name = resolved(demo.recipe, BuildOptions()).name
    with _timed("build: distil, fold, export, INT8, verify", progress):
        made = build(
            demo.recipe,
            options=BuildOptions(out=demo.out / name, environ=demo.environ, home=demo.home),
            progress=progress,
        )
    bundle = load_bundle(made.bundle.folder)
    options = StylizeOptions(overwrite=True, cache=demo.out / "cache")
    picture = demo.out / f"{photos[0].stem}.{name}.png"
    with _timed(f"stylize {photos[0].name}", progress):
        stylize(bundle, photos[0], picture, options=options, progress=progress)
    height, width = demo.size
    with _timed(f"make a {demo.seconds:g} s clip of {width}x{height} with sound", progress):
        clip = make_clip(photos, demo.out / "clip.mp4", seconds=demo.seconds, size=demo.size).path
    video = demo.out / f"clip.{name}.mp4"
    with _timed("stylize the clip", progress):
        done = stylize(bundle, clip, video, options=options, progress=progress)
        progress.say(f"{done.written} frames, {done.fps:.1f} a second from file to file.")
    with _timed("measure and write the report", progress):
        report = bench(
            [made.bundle.folder],
            teacher=made.teacher.folder,
            student=made.float_bundle.folder,
            photos=demo.photos,
            style=demo.style,
            options=BenchOptions(
                plan=demo.plan,
                most_photos=SHOWN,
                size=demo.frame,
                created=demo.created,
                environ=demo.environ,
            ),
            progress=progress,
        )
        written = write_report(report, demo.out / "report")
    progress.say(f"{headline(report)}.")
    return [made.bundle.folder, picture, clip, video, *written]


@contextmanager
def _timed(title: str, progress: Progress) -> Iterator[None]:
    began = time.perf_counter()
    yield
    progress.say(f"done in {time.perf_counter() - began:.1f} s: {title}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration and name what it wrote."""
    parser = argparse.ArgumentParser(prog="python -m stylepress.benchmarks.demo")
    parser.add_argument("--recipes", type=Path, default=Path("recipes"), metavar="DIR")
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR")
    options = parser.parse_args(arguments)
    screen = terminal()
    began = time.perf_counter()
    try:
        demo = Demo(
            recipe=options.recipes / "demo.yaml",
            photos=options.recipes / "photos" / "heldout",
            style=_picture(options.recipes),
            out=options.out,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            environ=os.environ,
            home=home(),
        )
        with screen:
            files = show(demo, screen)
    except StylepressError as error:
        screen.error(str(error))
        return error.exit_code
    screen.show("\n".join(map(str, files)))
    screen.say(f"All done in {time.perf_counter() - began:.0f} s. Open {files[-1]} in a browser.")
    return 0


def _picture(recipes: Path) -> Path | None:
    """Return the style picture of the demo's recipe, drawn already for the style that ships."""
    style = resolved(recipes / "demo.yaml", BuildOptions()).style
    if style is None:
        return None
    return style.picture or recipes / "styles" / f"{style.pattern}.png"


if __name__ == "__main__":
    sys.exit(main())
