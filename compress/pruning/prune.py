"""The step `prune`: layers made narrower, and the network taught to draw what it drew before."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

import stylepress
from stylepress.artifact import Artifact
from stylepress.compress.copying import Copying
from stylepress.compress.distil import Lesson, Teacher, learn
from stylepress.compress.fidelity import drift, parted
from stylepress.compress.learner import Learner, learner_of
from stylepress.compress.pruning.channels import Group, channel_groups
from stylepress.compress.pruning.importance import channel_importance
from stylepress.compress.pruning.surgery import (
    PLAN,
    Cut,
    Plan,
    cut,
    followed,
    plan_of,
    plan_text,
    read_plan,
)
from stylepress.compress.pruning.widths import (
    Wishes,
    channels_made,
    chosen_channels,
    multiply_accumulates,
)
from stylepress.compress.terms import Term
from stylepress.errors import RecipeError
from stylepress.ports import Port
from stylepress.steps import PruneStep, recorded
from stylepress.train.photos import Photos
from stylepress.train.stage import album, step_vgg, style_pixels
from stylepress.train.trainer.feed import generator
from stylepress.train.trainer.plan import Session
from stylepress.train.trainer.session import open_session
from stylepress.train.weights.checkpoint import LoadedNetwork, load_network, save_checkpoint
from stylepress.train.weights.families import FAMILIES
from stylepress.train.weights.narrow import WIDTHS, width_of, widths_of
from stylepress.usual import with_loss
from stylepress.work import Work

TRIAL_PX = 64


@dataclass(frozen=True)
class Pruned:
    """The network after some rounds: what was cut, how far it drifted, by whose figure."""

    module: nn.Module
    plan: Plan
    drift: float
    judge: str
    rounds: int


Clock = Callable[[nn.Module, Port], Mapping[str, float]]
"""From a network and its image to what each of its layers takes, in any unit, by name."""


def prune(
    source: Artifact, step: PruneStep, out: Path, work: Work, *, clock: Clock | None = None
) -> Artifact:
    """Prune the network of the checkpoint ``source`` in rounds, and save the last good one.

    A round whose pictures drift by more than ``max_drift`` is taken back, and with it those
    behind; when even the first is, the network stays as it was and the manifest says so. ``clock``
    says what a layer takes; without one its multiply-accumulates do.

    Raises:
        RecipeError: nothing that can be pruned.
        CheckpointError: ``plan`` is of another network.
        TrainingError: the loss stopped being finite.
    """
    if step.photos is None:
        raise RecipeError("Recovery learns from photos.", "Add `photos: FOLDER`.")
    loaded = load_network(source.folder)
    taught = load_network(step.teacher) if step.teacher is not None else loaded
    style = style_pixels(step.style) if step.style is not None else None
    teacher = Teacher(copy.deepcopy(taught.module), taught.image, style)
    photos, held = parted(album(step.photos, work))
    learner = learner_of(loaded)
    groups = _groups(loaded, learner)
    check_layers(step, groups)
    whole = {group.name: group.channels for group in groups}
    with open_session(work, step) as session:
        extra: tuple[Term, ...] = ()
        if step.loss == "vgg":
            vgg = step_vgg(step.vgg, work, session.device)
            margin = with_loss(step.recovery(1), "vgg").margin_px or 0
            aim = None if style is None else style.to(session.device.place)
            extra = Copying(vgg, margin, aim).terms
        job = _Job(loaded, teacher, photos, held, extra, step, whole, clock)
        result = _rounds(job, learner, session, work)
        return session.team.written(
            lambda: _save(result, loaded, source, step, out, work.name),
            otherwise=lambda: Artifact.load(out),
        )


@dataclass(frozen=True)
class _Job:
    """What stays the same over the rounds; ``whole`` are the channels of each group before."""

    loaded: LoadedNetwork
    teacher: Teacher
    photos: Photos
    held: Photos
    extra: tuple[Term, ...]
    step: PruneStep
    whole: Mapping[str, int]
    clock: Clock | None


def _rounds(job: _Job, learner: Learner, session: Session, work: Work) -> Pruned | None:
    """Cut and recover, round by round, until one drifts too far; return the last good one."""
    step, best = job.step, None
    plan: Plan = {}
    rounds = 1 if step.plan is not None else step.rounds
    for number in range(rounds):
        if step.plan is not None:
            fresh = read_plan(step.plan, job.loaded.family)
        else:
            fresh = _next_cut(job, learner, (number + 1) / rounds)
        before = made_channels(learner.layers)
        cut(learner.layers, fresh)
        plan = followed(plan, fresh)
        if step.weights == "fresh":
            draw_anew(learner.layers, step.seed or 0)
        session.progress.say(f"Round {number + 1}: {narrowing(before, learner.layers)}.")
        _recover(job, learner, session, number, rounds)
        module = learner.shipped()
        pictures = Teacher(module, job.loaded.image)
        original = Teacher(job.teacher.module.cpu(), job.teacher.spec)
        value, judge = drift(original, pictures, job.held, env=work.environ, home=work.home)
        session.progress.say(f"Round {number + 1}: drift {value:.3f} by {judge}.")
        if value > step.max_drift:
            session.progress.warn(
                f"Round {number + 1} drifted by {value:.3f}, more than max_drift "
                f"{step.max_drift:g}, and is taken back."
            )
            break
        best = Pruned(module, plan, value, judge, number + 1)
    return best


def _recover(job: _Job, learner: Learner, session: Session, number: int, rounds: int) -> None:
    """Let the network learn again what it drew; the last round learns twice as long."""
    last = number + 1 == rounds
    steps = max(1, round(job.step.steps / (rounds + 1) * (2 if last else 1)))
    recovery = with_loss(job.step.recovery(steps), "vgg" if job.step.loss == "vgg" else "swd")
    own = replace(
        session,
        folder=session.folder / f"round-{number + 1}",
        identity={**session.identity, "round": number + 1},
    )
    lesson = Lesson(f"Recovery {number + 1} of {rounds}", job.extra)
    learn(job.teacher, learner.module, job.photos, recovery, own, lesson=lesson)


def _next_cut(job: _Job, learner: Learner, part: float) -> dict[str, Cut]:
    """Choose what one round cuts: so much that ``part`` of the way from 1 to ``keep`` is gone."""
    step = job.step
    groups = _groups(job.loaded, learner)
    draw = generator(step.seed or 0, 0)
    pictures = (job.photos.crop(draw, step.crop_px)[None] for _ in range(step.pictures))
    importance = channel_importance(learner.layers, groups, pictures, step.seed or 0)
    cost = _cost(job, learner)
    shares = {
        group.name: min(1.0, share**part * job.whole[group.name] / group.channels)
        for group in groups
        if (share := step.layers.get(group.name)) is not None
    }
    first = sum(channels_made(groups, cost, job.whole).values())
    now = sum(channels_made(groups, cost).values())
    wishes = Wishes(min(1.0, step.keep**part * first / now), step.multiple_of, shares)
    return plan_of(groups, chosen_channels(groups, importance, cost, wishes))


def draw_anew(network: nn.Module, seed: int) -> None:
    """Give every layer the weights that a new one of its kind begins with."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in network.modules():
            reset = getattr(layer, "reset_parameters", None)
            if callable(reset):
                reset()


def made_channels(network: nn.Module) -> dict[str, int]:
    """Return how many channels each convolution makes, by its own weight and not by what it says.

    Raises:
        RecipeError: a convolution whose weight is not as wide as it says.
    """
    channels = {}
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            if list(layer.weight.shape[:2]) != (width_of(layer) or list(layer.weight.shape[:2])):
                raise RecipeError(
                    f"Layer {name} says it is {width_of(layer)} wide, its weight is "
                    f"{list(layer.weight.shape[:2])}.",
                    "Report this with the network; nothing was written.",
                )
            channels[name] = layer.weight.shape[isinstance(layer, nn.ConvTranspose2d)]
    return channels


def narrowing(before: Mapping[str, int], network: nn.Module) -> str:
    """Say which convolutions became narrower, from the widths before and the network after."""
    after = made_channels(network)
    changes = [
        f"{name} {before[name]} to {after[name]}" for name in after if before[name] != after[name]
    ]
    return ", ".join(changes) or "nothing can be narrower at this multiple"


def _cost(job: _Job, learner: Learner) -> Mapping[str, float]:
    """Return what each convolution takes, by its name in what learns."""
    with torch.no_grad():
        macs = multiply_accumulates(learner.layers, trial_picture())
    if job.clock is None:
        return macs
    shipped = learner.shipped()
    taken = job.clock(shipped, job.loaded.image)
    # What is folded has other names, in the same order.
    names = zip(made_channels(learner.layers), made_channels(shipped), strict=True)
    return {own: taken.get(name, 0.0) for own, name in names}


@torch.no_grad()
def _work_of(network: nn.Module) -> float:
    """Return the multiply-accumulates of a network's convolutions on one small picture."""
    return sum(multiply_accumulates(network, trial_picture()).values())


def _groups(loaded: LoadedNetwork, learner: Learner) -> tuple[Group, ...]:
    groups = channel_groups(learner.layers, trial_picture())
    if not groups.free:
        reasons = "; ".join(f"{name}: {why}" for name, why in groups.kept.items())
        raise RecipeError(
            f"No channel of the {loaded.family} network can be pruned ({reasons or 'no layers'}).",
            "Leave the `prune` step away.",
        )
    return groups.free


def check_layers(step: PruneStep, groups: tuple[Group, ...]) -> None:
    """Refuse shares for layers that are no group, before anything is trained.

    Raises:
        RecipeError: naming the groups there are.
    """
    names = [group.name for group in groups]
    for name in step.layers:
        if name not in names:
            raise RecipeError(
                f"`layers` names {name!r}, which is no group of channels that can be pruned.",
                f"Name some of: {', '.join(names)}.",
            )


def trial_picture() -> Tensor:
    """Return a picture to follow channels through: (1, 3, 64, 64)."""
    return torch.full((1, 3, TRIAL_PX, TRIAL_PX), 0.5)


def _save(
    result: Pruned | None,
    loaded: LoadedNetwork,
    source: Artifact,
    step: PruneStep,
    out: Path,
    name: str,
) -> Artifact:
    module = loaded.module if result is None else result.module
    full = FAMILIES[loaded.family].full(loaded.config)
    widths = widths_of(module, full)
    config = {key: value for key, value in loaded.config.items() if key != WIDTHS}
    parameters = sum(weight.numel() for weight in module.parameters())
    before = sum(weight.numel() for weight in loaded.module.parameters())
    numbers = {
        "params": float(parameters),
        "params_kept": parameters / before,
        "macs_kept": _work_of(module) / _work_of(loaded.module),
    }
    verdict = f"no round drifted by {step.max_drift:g} or less: the network is as it was"
    texts = {}
    if result is not None:
        numbers |= {"drift": result.drift, "rounds": float(result.rounds)}
        verdict = f"drift {result.drift:.4f} by {result.judge}, at most {step.max_drift:g} allowed"
        texts = {PLAN: plan_text(result.plan, loaded.family)}
    return save_checkpoint(
        module,
        out,
        family=loaded.family,
        config={**config, **({WIDTHS: widths} if widths else {})},
        spec=loaded.image,
        made_by={
            "stylepress": stylepress.__version__,
            **recorded(step),
            "accepted": result is not None,
            "verdict": verdict,
            "widths": widths,
        },
        name=name,
        parent=source.digest,
        numbers=numbers,
        texts=texts,
    )
