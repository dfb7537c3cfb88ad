"""Figures about the program: how fast a command starts, trains, and optimises a picture."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from statistics import median

import torch

from stylepress.benchmarks.evidence.row import Row
from stylepress.benchmarks.evidence.setting import Setting
from stylepress.errors import RecipeError, VerificationError
from stylepress.progress import Silent
from stylepress.steps import DistilStep
from stylepress.train.gatys.optimise import OptimiseOptions
from stylepress.train.gatys.picture_file import optimise_file
from stylepress.train.photos import Photos
from stylepress.train.student import PRESETS, Student
from stylepress.train.trainer.fit import Iteration, Objective, Training, fit
from stylepress.train.trainer.part import Part, adam, warm_linear
from stylepress.train.trainer.plan import Session

STARTS = 7
IMPORT, START = "import stylepress.runtime", "stylepress --version, from start to end"
CLOCKED = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"
TRAINING = "images/s of the trainer over a hand-written loop"
TRAINED, TURNS = DistilStep(steps=16, crop_px=192, batch=2, seed=0), 4
OPTIMISE, OPTIMISED = "`stylepress optimise` at 512x512", "... its VGG style distance"


def figures(setting: Setting, *, times: int = STARTS) -> Iterator[Row]:
    """Time the import of the runtime, and the shortest command as a whole; medians."""
    note = f"median of {times} fresh processes"
    inside = [float(_python("-c", CLOCKED.format(IMPORT))) for _ in range(times)]
    yield Row(IMPORT, median(inside), note=note)
    whole = []
    for _ in range(times):
        began = time.perf_counter()
        _python("-m", "stylepress", "--version")
        whole.append(time.perf_counter() - began)
    yield Row(START, median(whole), note=note)


def _python(*words: str) -> str:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise VerificationError(
            f"`{' '.join(words)}` ended with {done.returncode}: {done.stderr.strip()[-300:]}.",
            "Install stylepress again.",
        )
    return done.stdout


def training(setting: Setting, step: DistilStep = TRAINED, *, turns: int = TURNS) -> Iterator[Row]:
    """Train a student in our trainer and in a bare loop, by turns; medians of images a second.

    The loss is as cheap as one can be, so that nothing hides what the trainer adds.
    """
    photos = Photos.below(setting.recipes / "photos" / "train", Silent())
    torch.set_num_threads(setting.threads)
    rates: dict[str, list[float]] = {"ours": [], "bare": []}
    for turn in range(turns):
        ways = [
            ("ours", partial(_trained, setting, photos, step)),
            ("bare", partial(_bare, photos, step)),
        ]
        for name, way in ways if turn % 2 else ways[::-1]:
            rates[name].append(way())
    ours, bare = (median(rates[name]) for name in ("ours", "bare"))
    note = f"{ours:.2f} and {bare:.2f} images/s; student base, crops of {step.crop_px}, batch of {step.batch}"
    yield Row(TRAINING, ours / bare, note=note)


def _trained(setting: Setting, photos: Photos, step: DistilStep) -> float:
    """Return images a second of our trainer: crops prepared ahead, state saved at the end."""
    student = Student(PRESETS[step.preset])

    def terms(now: Iteration) -> dict[str, torch.Tensor]:
        (crops,) = now.batch
        return {"frame": (now.net("student")(crops) - crops).square().mean()}

    part = Part(
        "student", student, adam(student, 1e-3), warm_linear(step.steps), channels_last=True
    )
    plan = Training(
        [part], [Objective(terms, ("student",))], lambda draw: (photos.crop(draw, step.crop_px),)
    )
    folder = setting.work / "training"
    folder.mkdir(exist_ok=True)
    summary = fit(plan, step, Session(folder), title="Training in our trainer")
    return summary.images_per_s or float("nan")


def _bare(photos: Photos, step: DistilStep) -> float:
    """Return images a second of the loop that anybody would write."""
    student = Student(PRESETS[step.preset]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    descent, draw = torch.optim.Adam(student.parameters(), 1e-3), torch.Generator().manual_seed(0)
    began = time.perf_counter()
    for _ in range(step.steps):
        crops = torch.stack([photos.crop(draw, step.crop_px) for _ in range(step.batch)])
        descent.zero_grad()
        loss = (student(crops) - crops).square().mean()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        descent.step()
    return step.steps * step.batch / (time.perf_counter() - began)


def optimising(setting: Setting, options: OptimiseOptions | None = None) -> Iterator[Row]:
    """Optimise the pixels of a held-out photo, as the command does."""
    files = setting.paths("heldout")[0], setting.style.picture, setting.work / "optimised.png"
    try:
        done = optimise_file(
            files, options or OptimiseOptions(), setting.progress,
            weights=None, watch=False, env=setting.environ, home=setting.home,
        )  # fmt: skip
    except RecipeError as error:
        setting.progress.warn(f"Optimising is left out. {error}")
        return
    note = f"{setting.style.name}, {done['width']}x{done['height']}, {setting.threads} threads"
    yield Row(OPTIMISE, done["seconds"], note=note)
    yield Row(
        OPTIMISED, done["style_distance"], note=f"the photo {done['photo_style_distance']:.2f}"
    )
