"""``python -m stylepress.benchmarks.evidence.demo``: from a teacher to a video and a report."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from PIL import Image

from stylepress.benchmarks.bench import BenchOptions, bench
from stylepress.benchmarks.evidence.clip import make_clip
from stylepress.benchmarks.show.files import write_forms
from stylepress.benchmarks.show.tables import headline
from stylepress.benchmarks.timing.latency import Plan
from stylepress.build import BuildOptions, build, resolved
from stylepress.errors import StylepressError
from stylepress.options import home, terminal
from stylepress.picture import PHOTO_SUFFIXES, read_picture
from stylepress.progress import Progress
from stylepress.replace import replacing_file
from stylepress.runtime.bundle import read_bundle
from stylepress.runtime.stylize import StylizeOptions, stylize

REPORT = BenchOptions(plan=Plan(rounds=6, turn_s=0.15, warm_up=1), most_photos=3)


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demonstration starts from, and how long its clip is.

    ``recipe`` names the style and the teacher; ``photos`` were not seen by any training. ``size``
    is that of the clip; ``report`` says how the report is measured.
    """

    recipe: Path
    photos: Path
    styles: Path
    out: Path
    seconds: float = 10
    size: tuple[int, int] = (720, 1280)
    report: BenchOptions = REPORT
    environ: Mapping[str, str] = field(default_factory=dict)
    home: Path = Path()


def show(demo: Demo, progress: Progress) -> list[Path]:
    """Build the style, stylize a photo and a clip with sound, write a report; return the files.

    Nothing is taken from the build cache: what is shown is done.

    Raises:
        StylepressError: whatever a step raises.
    """
    recipe = resolved(demo.recipe, BuildOptions())
    name, style = recipe.name, recipe.style
    photos = sorted(p for p in demo.photos.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES)
    # The style's pattern is drawn already, for the style that ships.
    drawn = style and (style.picture or demo.styles / f"{style.pattern}.png")
    with _timed("build: distil, fold, export, INT8, verify", progress):
        options = BuildOptions(out=demo.out / name, environ=demo.environ, home=demo.home)
        built = build(demo.recipe, options=options, progress=progress)
    bundle = read_bundle(built.bundle.folder)
    plain = StylizeOptions(overwrite=True, cache=demo.out / "cache")
    picture, video = demo.out / f"{photos[0].stem}.{name}.png", demo.out / f"clip.{name}.mp4"
    with _timed(f"stylize {photos[0].name}, and a clip of {demo.seconds:g} s with sound", progress):
        stylize(bundle, photos[0], picture, options=plain, progress=progress)
        clip = make_clip(photos, demo.out / "clip.mp4", seconds=demo.seconds, size=demo.size)
        stylized = stylize(bundle, clip, video, options=plain, progress=progress)
        progress.say(f"{stylized.written} frames, {stylized.fps:.1f} a second from file to file.")
    with _timed("measure and write the report", progress):
        report = bench(
            [built.bundle.folder],
            teacher=built.teacher.folder,
            student=built.float_bundle.folder,
            photos=demo.photos,
            style=drawn or None,
            options=demo.report,
            progress=progress,
        )
        written = write_forms(report, demo.out / "report")
    progress.say(f"{headline(report)}.")
    both = demo.out / f"{photos[0].stem}.before-after.jpg"
    pair = [read_picture(path).pixels for path in (photos[0], picture)]
    with replacing_file(both) as beside:
        Image.fromarray(np.concatenate(pair, axis=1)).save(beside, quality=90)
    return [built.bundle.folder, both, picture, clip, video, *written]


@contextmanager
def _timed(title: str, progress: Progress) -> Iterator[None]:
    began = time.perf_counter()
    yield
    progress.say(f"done in {time.perf_counter() - began:.1f} s: {title}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration and name what it wrote."""
    parser = argparse.ArgumentParser(prog="python -m stylepress.benchmarks.evidence.demo")
    parser.add_argument("--recipes", type=Path, default=Path("recipes"), metavar="DIR")
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR")
    options = parser.parse_args(arguments)
    recipes: Path = options.recipes
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    demo = Demo(
        recipe=recipes / "demo.yaml",
        photos=recipes / "photos" / "heldout",
        styles=recipes / "styles",
        out=options.out,
        report=replace(REPORT, created=now, environ=os.environ),
        environ=os.environ,
        home=home(),
    )
    screen, began = terminal(), time.perf_counter()
    try:
        with screen:
            files = show(demo, screen)
    except StylepressError as error:
        screen.error(str(error))
        return error.exit_code
    screen.show("\n".join(map(str, files)))
    screen.say(f"All done in {time.perf_counter() - began:.0f} s. Open {files[-1]} in a browser.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
