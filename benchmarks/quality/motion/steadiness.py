"""How steadily models draw: frames of a moving camera, a still scene's noise, a user's clip."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.quality.gallery import original_of
from stylepress.benchmarks.quality.motion.course import (
    follow,
    open_flow,
    views_of,
    warp_error,
)
from stylepress.benchmarks.quality.pixels import levels
from stylepress.benchmarks.report import Model
from stylepress.picture import Pixels
from stylepress.progress import Progress

if TYPE_CHECKING:
    from stylepress.benchmarks.quality.motion.footage import Footage  # PyAV

Run = Callable[[Pixels], Pixels]
Painters = Mapping[Model, Run]
"""How each model draws: (1, H, W, 3) uint8 to the same shape."""
Film = Sequence[Pixels]
STILL_FRAMES, NOISE_LEVELS = 8, 4.0
WARPING, PUT_IN, FLICKER = "warping error", "warping error put in", "flicker"


def on_camera(
    photo: Path, size: tuple[int, int], count: int, painters: Painters, *, progress: Progress
) -> Iterator[Check]:
    """Let every model draw ``count`` frames of a camera over a photo, whose motion is known.

    And a still scene with a camera's noise. A model is also held against its original.
    """
    views, matrices = views_of(photo, size, count)
    stills = noisy_stills(views[0])
    films = _films("a moving camera", painters, [*views, *stills], progress=progress)
    floor, of = warp_error(views, matrices), f"{count} frames of a camera, its motion exactly known"
    drawn = {model: film[:count] for model, film in films.items()}
    for model, film in films.items():
        yield from _figures(model, drawn, (warp_error(drawn[model], matrices), floor), of=of)
        gain = noise_gain(film[count:], stills)
        yield Check(subject=model.name, metric="noise gain", unit="x", new=gain, of=of)


def on_clip(footage: Footage, painters: Painters, *, progress: Progress) -> list[Check] | str:
    """Let every model draw a user's clip, and follow it along the clip's own flow.

    Return why there is nothing to tell where no flow can be estimated, or none of it is believed.
    """
    flow = open_flow()
    if isinstance(flow, str):
        return flow
    title, estimate = flow
    fact, count = footage.fact, len(footage.frames)
    films = _films(fact.name, painters, footage.frames, progress=progress)
    progress.say(f"Estimating how {fact.name} moves.")
    followed = follow(footage.frames, list(films.values()), estimate)
    if followed is None:
        return "no two neighbours of its frames show the same scene; give one with longer scenes"
    cuts = f", {len(followed.cuts)} of them after a cut" if followed.cuts else ""
    of = (
        f"{fact.name} ({fact.sha256[:12]}): {count} frames{cuts}; flow estimated by {title}; of each "
        f"frame {followed.visible:.0%} can be seen in the one before"
    )
    return [
        check
        for model, error in zip(films, followed.warp_errors, strict=True)
        for check in _figures(
            model, films, (error, followed.source_error), of=of, clip=f", {fact.name}",
            cuts=followed.cuts,
        )
    ]  # fmt: skip


def noisy_stills(still: Pixels, *, seed: int = 0) -> list[Pixels]:
    """Return eight frames of an (H, W, 3) scene where nothing moves but a camera's noise.

    White noise of 4 levels, rounded to uint8.
    """
    draw = np.random.default_rng(seed)
    noise = (draw.normal(0, NOISE_LEVELS, still.shape) for _ in range(STILL_FRAMES))
    return [levels(still + one) for one in noise]


def noise_gain(drawn: Film, stills: Film) -> float:
    """Return how many times a model multiplies the noise of a still scene.

    Deviation over time of its frames over that of the frames put in, root mean square over
    pixels: 1 for a model that changes nothing.
    """
    made, given = (float(np.var(np.stack(film), axis=0).mean()) for film in (drawn, stills))
    return float(np.sqrt(made / given))


def flicker(one: Film, two: Film, *, cuts: Collection[int] = ()) -> float:
    """Return the mean |change of two - change of one| from frame to frame, in levels.

    0 when both models differ by something that does not move. Frames of ``cuts`` follow nothing.
    """
    steps = zip(pairwise(one), pairwise(two), strict=True)
    changes = [
        np.abs((second[1].astype(np.int16) - second[0]) - (first[1].astype(np.int16) - first[0]))
        for number, (first, second) in enumerate(steps, 1)
        if number not in cuts
    ]
    return float(np.mean([change.mean() for change in changes]))


def _films(
    title: str, painters: Painters, views: Film, *, progress: Progress
) -> dict[Model, list[Pixels]]:
    progress.start(f"Following {title}", len(painters) * len(views))
    films: dict[Model, list[Pixels]] = {}
    for model, run in painters.items():
        films[model] = []
        for view in views:
            films[model].append(run(view[np.newaxis])[0])
            progress.advance(note=model.name)
    progress.finish()
    return films


def _figures(
    model: Model, films: Mapping[Model, Film], errors: tuple[float, float], *, of: str,
    clip: str = "", cuts: Collection[int] = (),
) -> Iterator[Check]:  # fmt: skip
    """Yield the warping errors of a model's film and of what it was put in, and the flicker."""
    shown = partial(Check, subject=f"{model.name}{clip}", of=of)
    yield shown(metric=WARPING, new=errors[0])
    yield shown(metric=PUT_IN, new=errors[1])
    original = original_of(model, films)
    if original is not None:
        level = flicker(films[original], films[model], cuts=cuts)
        note = f"against {original.name}"
        yield shown(metric=FLICKER, unit="levels", new=level, note=note)
