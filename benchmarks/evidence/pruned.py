"""What a teacher at 70 % of its channels drifts by and gains, beside torch-pruning's magnitudes."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

import torch

from stylepress.artifact import Artifact
from stylepress.benchmarks.evidence.place import ENGINE, STYLE, Place, pictures, side_by_side
from stylepress.benchmarks.evidence.row import Row, mean, most, promised
from stylepress.benchmarks.evidence.torch_pruning_peer import magnitude_pruned
from stylepress.compress.copying import Copying
from stylepress.compress.distil import Lesson, Teacher, learn
from stylepress.compress.fidelity import JUDGED, drift, parted
from stylepress.compress.learner import learner_of
from stylepress.compress.pruning.prune import prune, trial_picture
from stylepress.recipe import load_recipe
from stylepress.step_fields import Style
from stylepress.steps import PruneStep
from stylepress.train.features.judges import find_judges
from stylepress.train.photos import Photos
from stylepress.train.stage import step_vgg, style_pixels
from stylepress.train.trainer.session import open_session
from stylepress.train.weights.checkpoint import LoadedNetwork, load_network, save_checkpoint
from stylepress.train.weights.families import FAMILIES
from stylepress.train.weights.narrow import WIDTHS, widths_of
from stylepress.usual import with_loss

KEEP = 0.7


def prune_rows(place: Place) -> Iterator[Row]:
    """Yield work, time and drift of a teacher at 70 % of its channels, chosen in two ways.

    Ours goes by how far the picture moves for the work that is saved, torch-pruning's by the
    magnitude of kernels, at one ratio in each layer. Both recover over the same steps, on the same
    photos and losses, ours a third of them behind a first cut. Drift of style is how much nearer or further the pictures
    are to the style picture, by features.
    """
    source = Artifact.load(place.recipes / STYLE / "teacher")
    step = PruneStep(
        keep=KEEP, steps=place.steps, rounds=2, photos=place.photos(), seed=1, loss="vgg",
        crop_px=160, learning_rate=3e-4, max_drift=10,
    )  # fmt: skip
    ours = prune(source, step, place.work / "pruned", place.job("prune"))
    theirs = _by_magnitude(source, step, place)
    before = place.bundle(source)
    note = f"{place.steps} steps of recovery"
    for subject, pruned in ((f"teacher {STYLE}, pruned", ours), ("torch-pruning", theirs)):
        after = place.bundle(pruned)
        row = partial(
            Row, subject=subject, engine=ENGINE, precision="fp32", size="512x512",
            digest=pruned.digest,
        )  # fmt: skip
        yield row("parameters kept", 100 * pruned.numbers["params_kept"], "%", note=note)
        macs = 100 * after.numbers["macs_512"] / before.numbers["macs_512"]
        yield row("multiply-accumulates kept", macs, "%")
        yield row("fidelity to the teacher, 0 a copy", pruned.numbers["drift"], note=note)
        yield from _style_drift(row, before, after, place)
        first, second = side_by_side(before, after)
        time = row("time of a frame over the teacher's", second / first, "x")
        yield promised(time, most(0.7, "x") if pruned is ours else None)


def _style_drift(
    row: partial[Row], before: Artifact, after: Artifact, place: Place
) -> Iterator[Row]:
    """Yield by how much the distance to the style picture changed, by each judge that is here."""
    recipe = load_recipe(place.recipes / f"{STYLE}.yaml")
    pixels = style_pixels(cast("Style", recipe.style)).permute(1, 2, 0).mul(255).round()
    style = pixels.to(torch.uint8).numpy()
    _, held = parted(Photos.below(place.photos(), place.progress))
    frames = list(held.frames(JUDGED, most_side=512))
    one, two = (pictures(bundle, frames) for bundle in (before, after))
    for name, judge in find_judges(env=os.environ, home=Path.home()).items():
        near, far = (
            mean(judge.style(picture[None], style) for picture in every) for every in (one, two)
        )
        figure = f"drift of the distance to the style, by {name}"
        ours = "torch" not in row.keywords["subject"]
        yield promised(row(figure, 100 * abs(far / near - 1), "%"), most(5, "%") if ours else None)


def _by_magnitude(source: Artifact, step: PruneStep, place: Place) -> Artifact:
    """Prune by torch-pruning's magnitudes, recover as ``step`` says, and save the network."""
    loaded = load_network(source.folder)
    teacher = Teacher(copy.deepcopy(loaded.module), loaded.image)
    photos, held = parted(Photos.below(place.photos(), place.progress))
    learner, work = learner_of(loaded), place.job("magnitude")
    magnitude_pruned(learner.layers, trial_picture(), keep=step.keep, multiple_of=step.multiple_of)
    recovery = with_loss(step.recovery(step.steps), "vgg")
    with open_session(work, step) as session:
        terms = Copying(step_vgg(None, work, session.device), recovery.margin_px or 0).terms
        lesson = Lesson("Recovery of torch-pruning's", terms)
        learn(teacher, learner.module, photos, recovery, session, lesson=lesson)
    module = learner.shipped()
    original = Teacher(teacher.module.cpu(), loaded.image)
    drawn = Teacher(module, loaded.image)
    value, _ = drift(original, drawn, held, env=os.environ, home=Path.home())
    return _saved(module, loaded, source, value, place)


def _saved(
    module: torch.nn.Module, loaded: LoadedNetwork, source: Artifact, value: float, place: Place
) -> Artifact:
    widths = widths_of(module, FAMILIES[loaded.family].full(loaded.config))
    kept, whole = (sum(w.numel() for w in net.parameters()) for net in (module, loaded.module))
    return save_checkpoint(
        module, place.work / "magnitudes", family=loaded.family,
        config={**loaded.config, WIDTHS: widths}, spec=loaded.image,
        made_by={"step": "prune", "by": "torch-pruning"}, name="magnitudes", parent=source.digest,
        numbers={"params_kept": kept / whole, "drift": value},
    )  # fmt: skip
