"""What a teacher loses: at 70 % of its channels, beside torch-pruning's choice; with norms frozen."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from functools import partial
from statistics import fmean

import numpy as np
import torch
import torch_pruning  # type: ignore[import-untyped]
from torch import Tensor, nn

from stylepress.artifact import Artifact
from stylepress.benchmarks.evidence.row import Row
from stylepress.benchmarks.evidence.setting import ENGINE, RECOVERY, Setting, side_by_side
from stylepress.compress.copying import Copying
from stylepress.compress.distil import Lesson, Teacher, learn
from stylepress.compress.fidelity import JUDGED, drift
from stylepress.compress.frozen import frozen_norms
from stylepress.compress.learner import learner_of
from stylepress.compress.pruning.prune import prune, trial_picture
from stylepress.picture import read_picture
from stylepress.steps import PruneStep
from stylepress.train.features.judges import find_judges
from stylepress.train.stage import step_vgg
from stylepress.train.trainer.session import open_session
from stylepress.train.weights.checkpoint import load_network, save_checkpoint
from stylepress.train.weights.families import FAMILIES
from stylepress.train.weights.narrow import WIDTHS, widths_of
from stylepress.usual import with_loss

COPY, TIME = "fidelity to the teacher, 0 a copy", "time of a frame over the teacher's"
STYLED = "drift of the distance to the style, by {}"


def rows(setting: Setting) -> Iterator[Row]:
    """Yield work, time and drift of a teacher at 70 % of its channels, chosen in two ways.

    Ours goes by how far the picture moves for the work that is saved, torch-pruning's by the
    magnitude of kernels, at one ratio in each layer. Both recover over the same steps, on the same
    photos and losses, ours a third of them behind a first cut. Drift of style is how much nearer or
    further the pictures are to the style picture, by features.
    """
    style, note = setting.style, f"{RECOVERY} steps of recovery"
    step = PruneStep(
        keep=0.7, steps=RECOVERY, rounds=2, photos=setting.learning, seed=1, loss="vgg",
        crop_px=160, learning_rate=3e-4, max_drift=10,
    )  # fmt: skip
    before, after = setting.forms(style.teacher).float_bundle.artifact, dict[str, Artifact]()
    after[f"teacher {style.name}, pruned"] = prune(
        style.teacher, step, setting.work / "pruned", setting.job("prune")
    )
    after["torch-pruning"] = _by_magnitude(style.teacher, step, setting)
    judges = find_judges(env=setting.environ, home=setting.home)
    aim = read_picture(style.picture).pixels
    frames = list(setting.parted()[1].frames(JUDGED, most_side=512))
    drawn = setting.painted(before, frames)
    for subject, pruned in after.items():
        row = partial(
            Row, subject=subject, engine=ENGINE, precision="fp32", size="512x512",
            digest=pruned.digest,
        )  # fmt: skip
        bundle = setting.forms(pruned).float_bundle.artifact
        yield row("parameters kept", 100 * pruned.numbers["params_kept"], "%", note=note)
        macs = 100 * bundle.numbers["macs_512"] / before.numbers["macs_512"]
        yield row("multiply-accumulates kept", macs, "%")
        yield row(COPY, pruned.numbers["drift"], note=note)
        redrawn = setting.painted(bundle, frames)
        for name, judge in judges.items():
            near, far = (fmean(judge.style(one, aim) for one in both) for both in (drawn, redrawn))
            yield row(STYLED.format(name), 100 * abs(far / near - 1), "%")
        first, second = side_by_side(before, bundle)
        yield row(TIME, second / first, "x")


def _by_magnitude(source: Artifact, step: PruneStep, setting: Setting) -> Artifact:
    """Prune by torch-pruning's magnitudes, recover as ``step`` says, and save the network."""
    loaded = load_network(source.folder)
    teacher = Teacher(copy.deepcopy(loaded.module), loaded.image)
    photos, held = setting.parted()
    learner, work = learner_of(loaded), setting.job("magnitude")
    magnitude_pruned(learner.layers, trial_picture(), keep=step.keep, multiple_of=step.multiple_of)
    recovery = with_loss(step.recovery(step.steps), "vgg")
    with open_session(work, step) as session:
        terms = Copying(step_vgg(None, work, session.device), recovery.margin_px or 0).terms
        lesson = Lesson("Recovery of torch-pruning's", terms)
        learn(teacher, learner.module, photos, recovery, session, lesson=lesson)
    module = learner.shipped()
    original, drawn = (Teacher(net, loaded.image) for net in (teacher.module.cpu(), module))
    value, _ = drift(original, drawn, held, env=setting.environ, home=setting.home)
    widths = widths_of(module, FAMILIES[loaded.family].full(loaded.config))
    kept, whole = (sum(w.numel() for w in net.parameters()) for net in (module, loaded.module))
    return save_checkpoint(
        module, setting.work / "magnitudes", family=loaded.family,
        config={**loaded.config, WIDTHS: widths}, spec=loaded.image,
        made_by={"step": "prune", "by": "torch-pruning"}, name="magnitudes", parent=source.digest,
        numbers={"params_kept": kept / whole, "drift": value},
    )  # fmt: skip


def magnitude_pruned(
    network: nn.Module, picture: Tensor, *, keep: float, multiple_of: int
) -> nn.Module:
    """Make a network narrower in place, ``keep`` of the channels of each layer; return it.

    As torch-pruning's own documentation uses it: magnitudes of kernels, one ratio everywhere. The
    layer that makes the picture stays. What is shared between calls of the library by default is
    handed over afresh.
    """
    last = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)][-1]
    network.requires_grad_(True)
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        pruner = torch_pruning.pruner.BasePruner(
            network, picture, torch_pruning.importance.GroupMagnitudeImportance(p=2),
            pruning_ratio=1 - keep, round_to=multiple_of, ignored_layers=[last],
            in_channel_groups={}, out_channel_groups={}, num_heads={}, channel_groups={},
        )  # fmt: skip
        pruner.step()
    return network


def frozen(setting: Setting) -> Iterator[Row]:
    """Yield what a teacher with frozen norms drifts by: compression without any training."""
    style = setting.style
    loaded = load_network(style.teacher.folder)
    learnt, held = setting.parted()
    low, high = float(loaded.image.low or 0), float(loaded.image.high or 1)
    pictures = (
        torch.from_numpy(np.array(frame)).permute(0, 3, 1, 2) / 255 * (high - low) + low
        for frame in learnt.frames(8, most_side=512)
    )
    teacher, still = (
        Teacher(net, loaded.image) for net in (loaded.module, frozen_norms(loaded.module, pictures))
    )
    value, judge = drift(teacher, still, held, env=setting.environ, home=setting.home)
    subject = f"teacher {style.name}, frozen norms"
    digest = style.teacher.digest
    yield Row(COPY, value, "", subject, "torch", "fp32", "512x512", digest=digest, note=judge)
