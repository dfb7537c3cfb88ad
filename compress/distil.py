"""Distil a norm-free student from any image-to-image teacher."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import stylepress
from stylepress.artifact import Artifact
from stylepress.compress.taps import Taps, feature_distance
from stylepress.ports import Port
from stylepress.train.loop import LoopOptions, Run, Step, autocast, fit
from stylepress.train.photos import Photos
from stylepress.train.student import IMAGE, FoldedStudent, Student, StudentSize, fold
from stylepress.train.style_loss import (
    STYLE_PX,
    content_distance,
    random_crop,
    sliced_wasserstein,
)
from stylepress.train.teacher import side_by_side
from stylepress.train.weights.checkpoint import save_checkpoint

RIM = 8
"""Pixels at the edge that a comparison with a shifted picture leaves out, where padding shows."""


@dataclass(frozen=True, slots=True)
class DistilOptions:
    """What the student is compared with, and how much each comparison weighs.

    ``pool`` teacher pictures of ``pool_px`` a side are drawn once and cut into squares of
    ``crop_px``; the teacher then costs nothing per step. ``to_style`` is the share of the style
    term that looks at the style picture instead of the teacher's picture. A teacher with instance
    norms picks colours by what the whole picture holds, which a student without norms cannot see:
    then the style and content terms must let it choose its own.
    ``noise_level`` is a standard deviation in [0, 1]. The noisy twin also stands up to
    ``twin_shift`` pixels further: what a student draws must move with the photo, not with its own
    grid of cells.
    """

    loop: LoopOptions = field(
        default_factory=lambda: LoopOptions(3000, batch=2, learning_rate=3e-3, seed=1)
    )
    crop_px: int = 256
    pool: int = 256
    pool_px: int = 384
    frame_weight: float = 1.0
    style_weight: float = 1.0
    to_style: float = 0.6
    content_weight: float = 0.15
    grid_weight: float = 30.0
    feature_weight: float = 0.0
    taps: tuple[str, ...] = ()
    noise_weight: float = 0.15
    noise_level: float = 0.012
    twin_shift: int = 3
    freeze_norm_share: float = 0.25


@dataclass(frozen=True)
class Teacher:
    """A network to learn from, the range it works in, and its style picture when there is one.

    ``module`` maps (N, 3, H, W) float32 in [spec.low, spec.high] to the same range; ``style`` is
    (3, h, w) float32 in [0, 1].
    """

    module: nn.Module
    spec: Port
    style: Tensor | None = None

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Tensor:
        """Stylize (N, 3, H, W) in [0, 1]; the result is clamped to [0, 1] and cut to H and W."""
        low, high = self.spec.low or 0.0, self.spec.high or 1.0
        flipped = image.flip(1) if self.spec.order == "bgr" else image
        output = self.module(flipped * (high - low) + low)[
            ..., : image.shape[-2], : image.shape[-1]
        ]
        stylized: Tensor = ((output.float() - low) / (high - low)).clamp(0, 1)
        return stylized.flip(1) if self.spec.order == "bgr" else stylized


def distil_student(
    teacher: Teacher, photos: Photos, size: StudentSize, options: DistilOptions, run: Run
) -> tuple[FoldedStudent, float]:
    """Train a student of ``size`` and fold it; return it with the final loss.

    Batch normalisation switches to its population statistics for the last part of the run, as
    RepSR found necessary (arXiv 2205.05671), so that folding changes nothing.

    Raises:
        TrainingError: the loss stopped being finite.
    """
    torch.manual_seed(options.loop.seed)
    teacher.module.eval()
    student = Student(size)
    taps = Taps(teacher.module, student, options.taps) if options.feature_weight else None
    pool = Pool(teacher, photos, options, options.loop.seed)

    def losses(active: nn.Module, step: Step) -> dict[str, Tensor]:
        content, target = pool.batch(step.samples())
        return _terms(active, teacher, content, target, (options, taps, step))

    sample = run.sample
    if sample is None:
        shown = photos.crop(torch.Generator().manual_seed(options.loop.seed), options.crop_px)
        sample = side_by_side(shown)
    late = int(options.loop.steps * (1 - options.freeze_norm_share))
    whole = Pupil(student, taps)
    final = fit(
        whole,
        losses,
        options.loop,
        replace(
            run,
            sample=_of_student(sample),
            at_step=lambda number, _: _freeze_norms(student, frozen=number >= late),
        ),
        title="Distilling the student",
    )
    return fold(student.eval()), final


def save_student(
    net: FoldedStudent,
    folder: Path,
    *,
    name: str,
    options: DistilOptions,
    parent: str,
    loss: float,
) -> Artifact:
    """Write a folded student as a checkpoint artifact."""
    return save_checkpoint(
        net,
        folder,
        family="student",
        config=asdict(net.size),
        spec=IMAGE,
        made_by={"step": "distil", "stylepress": stylepress.__version__, **asdict(options)},
        name=name,
        parent=parent,
        numbers={"loss": loss},
    )


class Pool:
    """Pairs of photo crops and what the teacher makes of them, drawn when first asked for."""

    def __init__(self, teacher: Teacher, photos: Photos, options: DistilOptions, seed: int) -> None:
        self._teacher, self._photos, self._options, self._seed = teacher, photos, options, seed
        self._kept: OrderedDict[int, Tensor] = OrderedDict()

    def batch(self, draws: list[torch.Generator]) -> tuple[Tensor, Tensor]:
        """Cut one square for each generator: two (N, 3, crop, crop) float32 tensors in [0, 1]."""
        pairs = torch.stack([self._cut(draw) for draw in draws]).float() / 255
        return pairs[:, :3].contiguous(), pairs[:, 3:].contiguous()

    def _cut(self, draw: torch.Generator) -> Tensor:
        index = int(torch.randint(self._options.pool, (1,), generator=draw))
        pair = random_crop(self._pair(index), self._options.crop_px, draw)
        return pair.flip(2) if float(torch.rand(1, generator=draw)) < 0.5 else pair

    def _pair(self, index: int) -> Tensor:
        """Return photo and teacher picture side by side: (6, pool_px, pool_px) uint8."""
        if index not in self._kept:
            draw = torch.Generator().manual_seed((self._seed << 32) + index)
            side = max(self._options.pool_px, self._options.crop_px)
            content = self._photos.crop(draw, side, zoom=(1.0, 2.0))
            with autocast(self._options.loop.precision, content.device):
                target = self._teacher(content[None])[0]
            pair = torch.cat([content, target]).mul(255).round().to(torch.uint8)
            self._kept[index] = pair
        return self._kept[index]


def _terms(
    active: nn.Module,
    teacher: Teacher,
    content: Tensor,
    target: Tensor,
    how: tuple[DistilOptions, Taps | None, Step],
) -> dict[str, Tensor]:
    """Weigh what the student's pictures of ``content`` lack against the teacher's."""
    options, taps, step = how
    draw = step.shared()
    noisy, shift = content, (0, 0)
    if options.noise_weight:
        # The noisy, shifted twin of the first sample rides along in the same batch.
        noise = torch.randn(content[:1].shape, generator=draw) * options.noise_level
        down, right = torch.randint(options.twin_shift + 1, (2,), generator=draw).tolist()
        shift = (down, right)
        noisy = torch.cat([content, content[:1].roll(shift, dims=(2, 3)) + noise])
    with autocast(options.loop.precision, content.device):
        output, guesses = active(noisy)
    output = output[..., : content.shape[-2], : content.shape[-1]].float()
    terms: dict[str, Tensor] = {}
    if options.noise_weight:
        output, twin = output[:-1], output[-1:]
        terms["noise"] = options.noise_weight * unsteadiness(output[:1], twin, shift)
    terms["frame"] = options.frame_weight * frame_distance(output, target)
    if options.content_weight:
        terms["content"] = options.content_weight * content_distance(output, content)
    if options.grid_weight:
        gap = grid_pattern(output) - grid_pattern(target)
        terms["grid"] = options.grid_weight * gap.square().mean()
    share = options.to_style if teacher.style is not None else 0.0
    if options.style_weight and share < 1:
        swd = sliced_wasserstein(output, target, draw)
        terms["style"] = options.style_weight * (1 - share) * swd
    if options.style_weight and share > 0 and teacher.style is not None:
        crop = random_crop(teacher.style, STYLE_PX, draw)[None]
        swd = sliced_wasserstein(output, crop, draw)
        terms["to_style"] = options.style_weight * share * swd
    if taps is not None:
        with autocast(options.loop.precision, content.device):
            seen = taps.of_teacher(teacher, content)
        terms["features"] = options.feature_weight * feature_distance(guesses, seen)
    outside = F.relu(-output) + F.relu(output - 1)
    return terms | {"range": outside.mean()}


def frame_distance(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference at full, half and quarter size, each counted equally."""
    total = (output - target).abs().mean()
    for _ in range(2):
        output, target = F.avg_pool2d(output, 2), F.avg_pool2d(target, 2)
        total = total + (output - target).abs().mean()
    return total / 3


def unsteadiness(output: Tensor, twin: Tensor, shift: tuple[int, int]) -> Tensor:
    """Mean absolute difference of ``twin`` to ``output`` moved by ``shift`` (down, right) pixels.

    Without the rim, where padding shows, and where the moved picture came round.
    """
    rim = max(RIM, *shift)
    apart = twin - output.roll(shift, dims=(2, 3))
    return apart[..., rim:-rim, rim:-rim].abs().mean()


def grid_pattern(image: Tensor) -> Tensor:
    """Return what of (N, 3, H, W) is locked to a 4-pixel grid: (N, 48, H/32, W/32).

    The mean of each of the 16 phases over windows of 32 pixels, less the mean of all phases: what
    a strided network prints where it should not. H and W are multiples of 32, or cut to it.
    """
    height, width = (side // 32 * 32 for side in image.shape[-2:])
    phases = F.avg_pool2d(F.pixel_unshuffle(image[..., :height, :width], 4), 8)
    split = phases.view(len(image), image.shape[1], 16, height // 32, width // 32)
    pattern: Tensor = (split - split.mean(2, keepdim=True)).flatten(1, 2)
    return pattern


class Pupil(nn.Module):
    """The student and its tap adapters as one module: one optimizer, one DDP wrapper."""

    def __init__(self, student: Student, taps: Taps | None) -> None:
        super().__init__()
        self.student, self.taps = student, taps

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        output = self.student(image)
        return output, [] if self.taps is None else self.taps()


def _of_student(sample: Callable[[nn.Module], Tensor]) -> Callable[[nn.Module], Tensor]:
    return lambda whole: sample(whole.get_submodule("student"))


def _freeze_norms(student: Student, *, frozen: bool) -> None:
    for layer in student.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.train(not frozen)
