"""The step `qat`: a network trained on as INT8 will round it, where calibration is not enough."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import stylepress
from stylepress.artifact import Artifact
from stylepress.compress.copying import Copying
from stylepress.compress.distil import Lesson, Teacher, learn
from stylepress.compress.fidelity import JUDGED, parted
from stylepress.compress.learner import Learner, learner_of, picture_network
from stylepress.compress.qat.rounding import CODES, chosen_limits, observed_limits, rounding
from stylepress.compress.terms import Term
from stylepress.errors import RecipeError
from stylepress.qat_step import QatStep
from stylepress.step_fields import StylingStep
from stylepress.steps import DistilStep, recorded
from stylepress.train.photos import Photos
from stylepress.train.stage import album, step_vgg, style_pixels
from stylepress.train.student import Student
from stylepress.train.trainer.plan import Session
from stylepress.train.trainer.session import open_session
from stylepress.train.weights.checkpoint import LoadedNetwork, load_network, save_checkpoint
from stylepress.usual import with_loss
from stylepress.work import Work

MOST_SIDE = 256
"""Longer side at which ranges are observed and pictures compared, in pixels."""
EXACT_DB = 100.0
"""What equal pictures count as."""


@dataclass(frozen=True)
class Outcome:
    """The network after it, how near rounding left it before and after, in dB, and the verdict."""

    module: nn.Module
    before_db: float
    after_db: float
    accepted: bool
    verdict: str


def qat(source: Artifact, step: QatStep, out: Path, work: Work) -> Artifact:
    """Train the network of the checkpoint ``source`` on in the rounding of INT8, and save it.

    What is saved are float weights that bear rounding better: `export` and `quantize` follow as
    usual. Where rounding leaves it within ``min_psnr_db`` of the teacher already, or training
    brings it no nearer, the network stays as it was and the manifest says so.

    Raises:
        RecipeError: a network that does not map a picture to a picture.
        CheckpointError: values that are not finite; the layer is named.
        TrainingError: the loss stopped being finite.
    """
    if step.photos is None:
        raise RecipeError("Ranges and training need photos.", "Add `photos: FOLDER`.")
    loaded = picture_network(source.folder)
    taught = load_network(step.teacher) if step.teacher is not None else loaded
    style = style_pixels(step.style) if step.style is not None else None
    teacher = Teacher(copy.deepcopy(taught.module), taught.image, style)
    photos, held = parted(album(step.photos, work))
    with open_session(work, step) as session:
        extra: tuple[Term, ...] = ()
        if step.loss == "vgg":
            vgg = step_vgg(step.vgg, work, session.device)
            aim = None if style is None else style.to(session.device.place)
            extra = Copying(vgg, with_loss(distillation(step), "vgg").margin_px or 0, aim).terms
        result = _trained(loaded, teacher, (photos, held), step, session, extra)
        return session.team.written(
            lambda: _save(result, loaded, source, step, out, work.name),
            otherwise=lambda: Artifact.load(out),
        )


def distillation(step: QatStep) -> DistilStep:
    """Return the distillation that the training is, from the teacher's frames."""
    shared = {key: getattr(step, key) for key in StylingStep.model_fields if key != "folder"}
    pool_px = max(step.crop_px, min(512, 2 * step.crop_px))
    pool = min(160, 4 * step.steps * step.batch)
    return DistilStep(pool=pool, pool_px=pool_px, noise_weight=0.0, **shared)


def _trained(
    loaded: LoadedNetwork,
    teacher: Teacher,
    albums: tuple[Photos, Photos],
    step: QatStep,
    session: Session,
    extra: tuple[Term, ...],
) -> Outcome:
    photos, held = albums
    learner = learner_of(loaded)
    pictures = _pictures(photos, step.pictures)
    every = observed_limits(learner.module, learner.layers, pictures, percentile=step.percentile)
    if isinstance(learner.layers, Student):  # a level is a code: nothing to round
        every[next(iter(every))] = CODES / 255
    limits = chosen_limits(every, step.keep_float)
    with rounding(learner.layers, limits):
        before = nearness_db(teacher, learner.module, held)
        session.progress.say(
            f"Rounded, {len(limits)} of {len(every)} convolutions: {before:.1f} dB."
        )
        if before >= step.min_psnr_db:
            verdict = f"{before:.2f} dB rounded, {step.min_psnr_db:g} wanted: nothing to train"
            return Outcome(loaded.module, before, before, accepted=False, verdict=verdict)
        recovery = with_loss(distillation(step), "vgg" if step.loss == "vgg" else "swd")
        lesson = Lesson("Training in the rounding of INT8", extra)
        learn(teacher, learner.module, photos, recovery, session, lesson=lesson)
        original = Teacher(teacher.module.cpu(), teacher.spec)
        after = nearness_db(original, learner.module.eval(), held)
    accepted = after > before
    verdict = f"{before:.2f} dB rounded before, {after:.2f} dB after"
    session.progress.say(f"{verdict}.")
    if not accepted:
        session.progress.warn(f"Training brought INT8 no nearer ({verdict}); it stays as it was.")
    return Outcome(_shipped(learner, loaded, accepted), before, after, accepted, verdict)


def _shipped(learner: Learner, loaded: LoadedNetwork, accepted: bool) -> nn.Module:
    return learner.shipped() if accepted else loaded.module


@torch.no_grad()
def nearness_db(teacher: Teacher, network: nn.Module, photos: Photos) -> float:
    """Return the PSNR in dB of what a network draws against a teacher, over a few photos.

    ``network`` maps (1, 3, H, W) in [0, 1] to the same, unclamped.
    """
    squares = []
    for picture in _pictures(photos, JUDGED):
        height, width = picture.shape[-2:]
        drawn = network(picture)[..., :height, :width].clamp(0, 1)
        squares.append(float((drawn - teacher(picture)).square().mean()))
    error = float(np.mean(squares))
    return min(EXACT_DB, -10 * math.log10(error)) if error else EXACT_DB


def _pictures(photos: Photos, count: int) -> Iterator[Tensor]:
    for frame in photos.frames(count, most_side=MOST_SIDE):
        yield torch.from_numpy(np.array(frame)).permute(0, 3, 1, 2).float() / 255


def _save(
    result: Outcome,
    loaded: LoadedNetwork,
    source: Artifact,
    step: QatStep,
    out: Path,
    name: str,
) -> Artifact:
    return save_checkpoint(
        result.module,
        out,
        family=loaded.family,
        config=loaded.config,
        spec=loaded.image,
        made_by={
            "stylepress": stylepress.__version__,
            **recorded(step),
            "accepted": result.accepted,
            "verdict": result.verdict,
        },
        name=name,
        parent=source.digest,
        numbers={"rounded_before_db": result.before_db, "rounded_after_db": result.after_db},
    )
