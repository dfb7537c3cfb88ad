"""Stylization by optimising the picture itself, against one pass of the student.

After Gatys, Ecker & Bethge (CVPR 2016): the pixels are the parameters. The loss is the one that
our teachers are trained with, so both have the same aim; Adam takes the place of L-BFGS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np
import torch

from stylepress.benchmarks.figures.result import Result
from stylepress.benchmarks.figures.shipped import TITLES, usual_backend
from stylepress.benchmarks.pictures.photos import unit
from stylepress.benchmarks.pictures.quality import Picture, style_distance
from stylepress.benchmarks.tables.setting import Setting
from stylepress.picture import read_picture
from stylepress.runtime.backends import EngineOptions, open_engine
from stylepress.runtime.bundle import load_bundle
from stylepress.train.style_loss import StyleContentLoss

SIZE = (256, 256)
STEPS = 200
LOOK = 10
"""Steps between two looks at whether the student's style distance is reached."""
RATE = 0.03
REACHED = "until the student's distance was reached"
NOT_REACHED = "the student's distance was not reached"
GAIN, SECONDS, COUNT = "speed over optimising the picture", "a picture", "steps"


@dataclass(frozen=True, slots=True)
class Optimised:
    """How long it took: ``steps`` until ``distance`` was reached, or all of them when it was not."""

    steps: int
    seconds: float
    distance: float


def optimised_results(setting: Setting, *, steps: int = STEPS) -> Iterator[Result]:
    """Optimise one held-out photo until its style is as near as the student's; compare the time."""
    style = setting.style
    picture = read_picture(style.picture).pixels.astype(np.float32) / 255
    frame = setting.heldout(SIZE)[0].frame
    backend = usual_backend()
    options = EngineOptions(size=SIZE, threads=setting.threads)
    with closing(open_engine(load_bundle(style.bundle.folder), backend, options=options)) as engine:
        aim = style_distance(unit(engine.run(frame)), picture)
        took = []
        for _ in range(20):
            began = perf_counter()
            engine.run(frame)
            took.append(perf_counter() - began)
    torch.set_num_threads(setting.threads)
    setting.progress.start("Optimising a picture", steps)
    done = optimise(unit(frame), picture, aim, steps=steps, advance=setting.progress.advance)
    setting.progress.finish()
    at, digest = f"{SIZE[1]}x{SIZE[0]}", style.bundle.digest
    note = REACHED if done.distance <= aim else NOT_REACHED
    yield Result("optimisation", "torch eager", "fp32", at, SECONDS, done.seconds, "s", note=note)
    yield Result("optimisation", "torch eager", "fp32", at, COUNT, done.steps, "", note=note)
    gain = done.seconds / median(took)
    yield Result("student", TITLES[backend], "int8", at, GAIN, gain, "x", digest=digest, note=note)


def optimise(
    photo: Picture,
    style: Picture,
    aim: float,
    *,
    steps: int,
    advance: Callable[[], None] = lambda: None,
) -> Optimised:
    """Descend from the photo until its style distance is at most ``aim``; looking is not timed.

    ``photo`` and ``style`` are (H, W, 3) float32 in [0, 1].
    """
    content = torch.from_numpy(photo).permute(2, 0, 1)[None].contiguous()
    loss = StyleContentLoss(torch.from_numpy(style).permute(2, 0, 1).contiguous())
    drawn = content.clone().requires_grad_()
    descent = torch.optim.Adam([drawn], lr=RATE)
    generator = torch.Generator().manual_seed(0)
    seconds, distance = 0.0, float("inf")
    for number in range(1, steps + 1):
        began = perf_counter()
        descent.zero_grad()
        total = torch.stack(list(loss(drawn, content, generator).values())).sum()
        torch.autograd.backward(total)
        descent.step()
        seconds += perf_counter() - began
        advance()
        if number % LOOK == 0 or number == steps:
            made = drawn.detach().clamp(0, 1)[0].permute(1, 2, 0).numpy()
            distance = style_distance(made, style)
            if distance <= aim:
                return Optimised(number, seconds, distance)
    return Optimised(steps, seconds, distance)
