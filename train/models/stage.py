"""The steps that train other models: data and losses opened, trained, written as a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

import stylepress
from stylepress.artifact import Artifact
from stylepress.errors import RecipeError
from stylepress.model_steps import (
    AdainStep,
    DiffuseStep,
    LibraryStep,
    ModelStep,
    PairsStep,
    RegionsStep,
    SampleStep,
    TranslateStep,
)
from stylepress.step_fields import Style
from stylepress.steps import TrainStep, recorded
from stylepress.train.models.adain import train_adain
from stylepress.train.models.copying import CopyLoss
from stylepress.train.models.diffuse import train_diffuse
from stylepress.train.models.gan import train_gan
from stylepress.train.models.library import train_library
from stylepress.train.models.pairs import train_pairs
from stylepress.train.models.regions import train_regions
from stylepress.train.models.sample import train_dcgan, train_ddpm
from stylepress.train.models.translate import train_translator
from stylepress.train.pairs import Pairs
from stylepress.train.photos import Photos
from stylepress.train.stage import album, image_loss, step_vgg, style_pixels
from stylepress.train.style_loss import ImageLoss
from stylepress.train.trainer.plan import Session, TrainingSummary
from stylepress.train.trainer.session import open_session
from stylepress.train.weights.checkpoint import LoadedNetwork, load_network, save_checkpoint
from stylepress.train.weights.families import FAMILIES
from stylepress.work import Work

Made = tuple[nn.Module, str, Mapping[str, Any], TrainingSummary]
"""A trained network, its family, its config, and how the training went."""


def train_model(source: Artifact | None, step: ModelStep, out: Path, work: Work) -> Artifact:
    """Train what ``step`` asks for, and save it in ``out``.

    The processes of torchrun train together; the first writes.

    Raises:
        TrainingError: the loss stopped being finite.
        FrameError: no photos, or a style picture that cannot be read.
    """
    if step.photos is None:
        raise RecipeError("Models are trained on photos.", "Add `photos: FOLDER`.")
    photos = album(step.photos, work)
    with open_session(work, step) as session:
        net, family, config, summary = TRAININGS[step.step](photos, step, work, session)
        return session.team.written(
            lambda: save_checkpoint(
                net,
                out,
                family=family,
                config=config,
                spec=FAMILIES[family].image,
                made_by={"stylepress": stylepress.__version__, **recorded(step)},
                name=work.name,
                numbers={"loss": summary.loss},
            ),
            otherwise=lambda: Artifact.load(out),
        )


def _adain(photos: Photos, step: AdainStep, work: Work, session: Session) -> Made:
    vgg = step_vgg(step.vgg, work, session.device)
    net, summary = train_adain(photos, album(step.styles, work), vgg, step, session)
    return net, "adain", {"width": net.width, "decoder": net.decoder_width}, summary


def _library(photos: Photos, step: LibraryStep, work: Work, session: Session) -> Made:
    device = session.device
    files = {name: style.teacher for name, style in step.styles.items() if style.teacher}
    teachers = {name: _drawing(load_network(file), file) for name, file in files.items()}
    vgg = step_vgg(step.vgg, work, device) if teachers and step.loss == "vgg" else None
    losses = {
        name: CopyLoss(teachers[name], vgg, device)
        if name in teachers
        else _style_loss(style, step, work, session)
        for name, style in step.styles.items()
    }
    start = next((one.module for one in teachers.values()), None)
    net, summary = train_library(photos, losses, step, session, start=start)
    config = {"styles": ",".join(net.styles), "width": net.width, "blocks": net.blocks}
    return net, "library", config, summary


def _drawing(teacher: LoadedNetwork, path: Path) -> LoadedNetwork:
    """Return a teacher that draws of a photo alone, or refuse it."""
    frame = FAMILIES[teacher.family].graphs(teacher.config).get("frame")
    if frame is None or frame.kind != "frame" or frame.inputs:
        raise RecipeError(
            f"The teacher {path} is a {teacher.family}, which does not draw a picture of a photo alone.",
            "Name a network of one style, such as a `transformer`.",
        )
    return teacher


def _style_loss(
    style: Style, step: LibraryStep | RegionsStep, work: Work, session: Session
) -> ImageLoss:
    picture = style_pixels(style).to(session.device.place)
    single = TrainStep(
        loss=step.loss,
        vgg=step.vgg,
        style_weight=step.style_weight,
        content_weight=step.content_weight,
    )
    return image_loss(single, picture, work, session.device)


def _regions(photos: Photos, step: RegionsStep, work: Work, session: Session) -> Made:
    outside, inside = (
        _style_loss(style, step, work, session) for style in (step.outside, step.inside)
    )
    net, summary = train_regions(photos, (outside, inside), step, session)
    return net, "regions", {"width": step.width, "blocks": step.blocks}, summary


def _translate(photos: Photos, step: TranslateStep, work: Work, session: Session) -> Made:
    paintings = album(step.paintings, work)
    return train_translator(photos, paintings, step, session)


def _pairs(photos: Photos, step: PairsStep, work: Work, session: Session) -> Made:
    return train_pairs(_of_folder(photos, step, work), step, session)


def _diffuse(photos: Photos, step: DiffuseStep, work: Work, session: Session) -> Made:
    return _named("conditioned", *train_diffuse(_of_folder(photos, step, work), step, session))


def _of_folder(photos: Photos, step: PairsStep | DiffuseStep, work: Work) -> Pairs:
    """Return the pairs of the folder that a step names, or those made of the photos."""
    return Pairs(photos, step.task) if step.pairs is None else Pairs(album(step.pairs, work))


def _sample(photos: Photos, step: SampleStep, work: Work, session: Session) -> Made:
    if step.model == "dcgan":
        return _named("dcgan", *train_dcgan(photos, step, session))
    if step.model != "ddpm":
        classes = {name: style_pixels(style) for name, style in (step.classes or {}).items()}
        return _named(step.model, *train_gan(photos, classes, step, session))
    return _named("unet2d", *train_ddpm(photos, step, session))


def _named(
    family: str, net: nn.Module, config: Mapping[str, Any], summary: TrainingSummary
) -> Made:
    return net, family, config, summary


TRAININGS: Mapping[str, Callable[[Photos, Any, Work, Session], Made]] = {
    "adain": _adain,
    "library": _library,
    "regions": _regions,
    "translate": _translate,
    "pairs": _pairs,
    "diffuse": _diffuse,
    "sample": _sample,
}
