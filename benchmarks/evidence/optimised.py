"""Stylization by optimising the picture itself, against one pass of the student.

After Gatys, Ecker & Bethge (CVPR 2016): the pixels are the parameters. The loss is the one that
our teachers are trained with, so both have the same aim; Adam takes the place of L-BFGS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np
import torch

from stylepress.benchmarks.evidence.row import Row
from stylepress.benchmarks.evidence.setting import TITLES, Setting, usual_backend, wxh
from stylepress.benchmarks.quality.photos import unit
from stylepress.benchmarks.quality.pixels import Picture, style_distance
from stylepress.picture import read_picture
from stylepress.runtime.bundle import read_bundle
from stylepress.train.style_loss import StyleContentLoss

SIZE, STEPS, RATE = (256, 256), 200, 0.03
LOOK = 10
"""Steps between two looks at whether the student's style distance is reached."""
REACHED = "until the student's distance was reached"
NOT_REACHED = "the student's distance was not reached"
GAIN, SECONDS, COUNT = "speed over optimising the picture", "a picture", "steps"


@dataclass(frozen=True, slots=True)
class Optimised:
    """How long it took: ``steps`` until ``distance`` was reached, or all of them when it was not."""

    steps: int
    seconds: float
    distance: float


def optimised_rows(setting: Setting, *, steps: int = STEPS) -> Iterator[Row]:
    """Optimise one held-out photo until its style is as near as the student's; compare the time."""
    style, backend = setting.style, usual_backend()
    picture = read_picture(style.picture).pixels.astype(np.float32) / 255
    frame, took = setting.heldout(SIZE)[0].frame, []
    with ExitStack() as stack:
        run = setting.engine(read_bundle(style.bundle.folder), SIZE, stack)
        aim = style_distance(unit(run(frame)), picture)
        for _ in range(20):
            began = perf_counter()
            run(frame)
            took.append(perf_counter() - began)
    torch.set_num_threads(setting.threads)
    setting.progress.start("Optimising a picture", steps)
    done = optimise(unit(frame), picture, aim, steps=steps, advance=setting.progress.advance)
    setting.progress.finish()
    note = REACHED if done.distance <= aim else NOT_REACHED
    slow = "optimisation", "torch eager", "fp32", wxh(SIZE)
    yield Row(*slow, SECONDS, done.seconds, "s", note=note)
    yield Row(*slow, COUNT, done.steps, "", note=note)
    gain = "student", TITLES[backend], "int8", wxh(SIZE), GAIN, done.seconds / median(took), "x"
    yield Row(*gain, digest=style.bundle.digest, note=note)


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
