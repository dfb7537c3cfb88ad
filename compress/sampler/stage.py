"""The step `shorten`: a diffusion model that draws in a few steps what it drew in many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import stylepress
from stylepress.artifact import Artifact
from stylepress.compress.fidelity import parted
from stylepress.compress.sampler.consistency import made_consistent
from stylepress.compress.sampler.halving import halved
from stylepress.compress.sampler.judging import crops, drawn, sets_distance
from stylepress.compress.sampler.ladder import FAMILY, Phase, rebuilt, taught
from stylepress.compress.sampler.matching import begun, matching, needed
from stylepress.errors import RecipeError
from stylepress.model_steps import ShortenStep
from stylepress.steps import recorded
from stylepress.train.families.unet2d import CONSISTENCY, UNet2D
from stylepress.train.photos import Photos
from stylepress.train.stage import album
from stylepress.train.trainer.device import CPU
from stylepress.train.trainer.plan import Session
from stylepress.train.trainer.session import open_session
from stylepress.train.weights.checkpoint import load_network, save_checkpoint
from stylepress.work import Work

MATCHING_SHARE = 0.3
"""Of the steps, where a student must learn velocity, or do without blocks, before all else."""
LEAST_DISTANCE = 1e-9
"""Below it a distance is rounding."""
Method = Callable[[UNet2D, Photos, ShortenStep, Session, int], Iterator[UNet2D]]
METHODS: Mapping[str, Method] = {"halving": halved, "consistency": made_consistent}


def shorten(source: Artifact, step: ShortenStep, out: Path, work: Work) -> Artifact:
    """Distil the diffusion model of the checkpoint ``source`` to fewer steps, and save it.

    Each student is judged by what it draws, as a set, against photos held out of the training. One
    further from them than ``max_ratio`` of the teacher is taken back: the one before it, of twice
    the steps, is what is saved, or the model as it was, and the manifest says so.

    Raises:
        RecipeError: no diffusion model, or one that was distilled to consistency already.
        TrainingError: the loss stopped being finite.
        FrameError: no photos.
    """
    if step.photos is None:
        raise RecipeError("A sampler learns from photos.", "Add `photos: FOLDER`.")
    loaded = load_network(source.folder)
    whole = loaded.module
    if not isinstance(whole, UNet2D) or whole.config["predicts"] == CONSISTENCY:
        kind = "a consistency model" if isinstance(whole, UNet2D) else f"a {loaded.family}"
        raise RecipeError(
            f"{source.folder} holds {kind}, and what draws in many steps is a diffusion model.",
            "Begin with `sample`, or `load` a diffusers folder with a UNet2DModel.",
        )
    teacher = rebuilt(whole, sampling=step.teacher_sampling)
    photos, held = parted(album(step.photos, work))
    with open_session(work, step) as session:
        aim = crops(held, step.judged, teacher.config["size"], step.seed or 0)

        def distance(net: UNet2D) -> float:
            draws = net.config["sampling"] if net.config["predicts"] == CONSISTENCY else 1
            side = net.config["size"]
            shape = (3 * draws, side, side)
            return sets_distance(drawn(net.to(CPU), step.judged, shape, step.seed or 0), aim)

        before = max(distance(teacher), LEAST_DISTANCE)
        session.progress.say(f"{step.teacher_sampling} steps: {before:.4f} from held-out photos.")
        best = _shortened(teacher, photos, step, session, lambda net: distance(net) / before)
        return session.team.written(
            lambda: _save(best, whole, before, source, step, out, work.name),
            otherwise=lambda: Artifact.load(out),
        )


def _shortened(
    teacher: UNet2D,
    photos: Photos,
    step: ShortenStep,
    session: Session,
    judged: Callable[[UNet2D], float],
) -> tuple[UNet2D, float] | None:
    """Return the last student within ``max_ratio``, and its ratio."""
    steps, net = step.steps, begun(teacher, step.blocks)
    if needed(teacher, step.blocks):
        own = max(1, round(MATCHING_SHARE * steps))
        phase = Phase("Matching the teacher", "matching", own, step.teacher_sampling)
        net = taught(net, matching(teacher, net, step, session), photos, step, session, phase)
        steps = max(1, steps - own)
    best = None
    for student in METHODS[step.method](net, photos, step, session, steps):
        ratio, count = judged(student), student.config["sampling"]
        session.progress.say(f"{count} steps: {ratio:.2f} of the teacher's distance.")
        if ratio > step.max_ratio:
            session.progress.warn(
                f"In {count} steps it is {ratio:.2f} times as far from held-out photos as in "
                f"{step.teacher_sampling}, more than max_ratio {step.max_ratio:g}: taken back."
            )
            break
        best = student, ratio
    return best


def _save(
    best: tuple[UNet2D, float] | None,
    whole: UNet2D,
    before: float,
    source: Artifact,
    step: ShortenStep,
    out: Path,
    name: str,
) -> Artifact:
    net, ratio = best or (whole, 1.0)
    verdict: dict[str, Any] = {
        "accepted": best is not None and net.config["sampling"] == step.sampling,
        "verdict": f"{net.config['sampling']} steps, {ratio:.3f} of the distance of "
        f"{step.teacher_sampling}" + ("" if best else ": the model is as it was"),
    }
    return save_checkpoint(
        net.to(CPU),
        out,
        family="unet2d",
        config=net.config,
        spec=FAMILY.image,
        made_by={"stylepress": stylepress.__version__, **recorded(step), **verdict},
        name=name,
        parent=source.digest,
        numbers={"distance_teacher": before, "distance_ratio": ratio},
    )
