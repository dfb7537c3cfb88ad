"""What diffusion in few steps gains and costs: a teacher trained here, and two students of it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from stylepress.artifact import Artifact
from stylepress.benchmarks.evidence.row import Row
from stylepress.benchmarks.evidence.setting import ENGINE, RECOVERY, Setting, side_by_side
from stylepress.benchmarks.quality.features.handcrafted import LEAST, handcrafted
from stylepress.benchmarks.quality.frechet import features_distance
from stylepress.compress.sampler.judging import crops, drawn
from stylepress.compress.sampler.stage import shorten
from stylepress.export.stage import export
from stylepress.model_steps import SampleStep, ShortenStep
from stylepress.steps import ExportStep
from stylepress.train.models.stage import train_model
from stylepress.train.photos import Photos
from stylepress.train.weights.checkpoint import load_network

SIDE: Literal[16] = 16
COUNT = 1024
MANY, FEW = 32, 4
SCENE_PX = 64
TRAINED_ON, HELD_OUT = 400, 200
STEPS = 5 * RECOVERY
"""Of the teacher, and of each student."""
NEARNESS = f"distance to held-out pictures over that of {MANY} steps"
SPEED = f"speed over {MANY} steps, noise to picture"


def rows(setting: Setting) -> Iterator[Row]:
    """Yield speed and distance of students of 4 steps beside their teacher of 32."""
    work = setting.work
    photos = scenes(work / "scenes", range(TRAINED_ON))
    held = scenes(work / "held", range(10_000, 10_000 + HELD_OUT))
    plan: dict[str, Any] = {"steps": STEPS, "photos": photos, "seed": 1, "learning_rate": 5e-4}
    sample = SampleStep(side_px=SIDE, width=32, sampling=MANY, predicts="v_prediction", **plan)
    teacher = train_model(None, sample, work / "sampler", setting.job("sample"))
    real, learnt = (
        _features(crops(Photos.below(folder, setting.progress), COUNT, SIDE, seed))
        for folder, seed in ((held, 7), (photos, 8))
    )
    before, floor = features_distance(_drawn(teacher), real), features_distance(learnt, real)
    row = partial(Row, unit="x", engine="torch", precision="fp32", size=f"{SIDE}x{SIDE}")
    note = f"{STEPS} steps of training, {COUNT} pictures, handcrafted features"
    figure = "distance to held-out pictures over that of what it learns from"
    subject = f"sampler, {MANY} steps"
    yield row(figure, before / floor, subject=subject, digest=teacher.digest, note=note)
    slow = export(teacher, ExportStep(), work / "many", setting.job("many"))
    methods: tuple[Literal["halving", "consistency"], ...] = ("halving", "consistency")
    for method in methods:
        step = ShortenStep(
            method=method, sampling=FEW, teacher_sampling=MANY, max_ratio=100, **plan
        )
        student = shorten(teacher, step, work / method, setting.job(method))
        subject = f"sampler, {FEW} steps by {method}"
        ratio = features_distance(_drawn(student), real) / before
        yield row(NEARNESS, ratio, subject=subject, digest=student.digest, note=note)
        quick = export(student, ExportStep(), work / f"{method}-few", setting.job(method))
        many, few = side_by_side(slow, quick)
        yield row(SPEED, many / few, subject=subject, engine=ENGINE, digest=quick.digest)


def scenes(folder: Path, seeds: range) -> Path:
    """Draw a picture for each seed into a folder: shaded balls before a sky."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        Image.fromarray(_scene(np.random.default_rng(seed))).save(folder / f"{seed}.png")
    return folder


def _scene(draw: np.random.Generator) -> NDArray[np.uint8]:
    y, x = np.mgrid[0:SCENE_PX, 0:SCENE_PX] / SCENE_PX
    above, below = draw.uniform(0, 1, (2, 3))
    picture = above + (below - above) * y[..., None]
    for _ in range(draw.integers(1, 4)):
        (right, down), radius = draw.uniform(0.1, 0.9, 2), draw.uniform(0.12, 0.35)
        across, along = (x - right) / radius, (y - down) / radius
        depth = 1 - across**2 - along**2
        light = np.clip((np.sqrt(np.clip(depth, 0, 1)) - across - along) / 1.7, 0.15, 1)
        ball = draw.uniform(0.2, 1, 3) * light[..., None]
        edge = np.clip(depth * radius * SCENE_PX / 2, 0, 1)[..., None]
        picture = picture * (1 - edge) + ball * edge
    levels: NDArray[np.uint8] = (255 * picture.clip(0, 1)).round().astype(np.uint8)
    return levels


def _drawn(checkpoint: Artifact) -> NDArray[np.float64]:
    net = load_network(checkpoint.folder).module
    (port,) = checkpoint.graphs["network"].inputs
    shape = tuple(size for size in port.shape[1:] if isinstance(size, int))
    return _features(drawn(net, COUNT, shape, 9))


def _features(pictures: Tensor) -> NDArray[np.float64]:
    """Describe (N, 3, S, S) in [-1, 1], repeated to the least side that there are features of."""
    levels = (pictures.clamp(-1, 1) + 1).mul(127.5).round().to(torch.uint8)
    times = max(1, LEAST // levels.shape[-1])
    large = levels.repeat_interleave(times, 2).repeat_interleave(times, 3)
    return handcrafted(large.permute(0, 2, 3, 1).contiguous().numpy())
