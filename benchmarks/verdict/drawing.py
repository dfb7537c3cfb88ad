"""What both arms make of the photos, in every backend that is compared, and what judges say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

from stylepress.benchmarks.pictures.photos import Photo, Style
from stylepress.benchmarks.verdict.comparison import Judgement
from stylepress.benchmarks.verdict.pictures import Drawn, PictureJudge, Pixels
from stylepress.benchmarks.verdict.terms import DuelOptions
from stylepress.progress import Progress
from stylepress.runtime.backends import open_engine
from stylepress.runtime.bundle import Bundle


def drawings(
    bundles: tuple[Bundle, Bundle],
    backends: Sequence[str],
    photos: Sequence[Photo],
    *,
    options: DuelOptions,
    progress: Progress,
    references: Sequence[Photo] = (),
    style: Style | None = None,
) -> dict[str, Drawn]:
    """Let both arms draw the photos in each backend: one may break what the other keeps.

    ``references`` are further photos, which the base draws alone; ``style`` is for the judges.
    """
    steps = 2 * len(photos) + len(references)
    progress.start("Drawing with both", steps * len(backends))
    found: dict[str, Drawn] = {}
    for backend in backends:
        made: list[tuple[Pixels, ...]] = []
        for bundle, more in zip(bundles, (references, ()), strict=True):
            with closing(open_engine(bundle, backend, options=options.engine)) as engine:
                made.append(tuple(engine.run(photo.frame) for photo in (*photos, *more)))
            progress.advance(len(made[-1]), note=f"{bundle.artifact.name} in {backend}")
        found[backend] = Drawn(
            names=tuple(photo.fact.name for photo in photos),
            photos=tuple(photo.frame for photo in photos),
            base=made[0][: len(photos)],
            new=made[1],
            style=None if style is None else style.pixels,
            references=made[0][len(photos) :],
        )
    progress.finish()
    return found


def judged(drawn: Mapping[str, Drawn], judges: Sequence[PictureJudge]) -> Iterator[Judgement]:
    """Ask every judge about every backend's pictures; of several, the subject names the backend."""
    for backend, pictures in drawn.items():
        for judge in judges:
            for one in judge(pictures):
                subject = f"{one.subject} in {backend}" if len(drawn) > 1 else one.subject
                yield one.model_copy(update={"subject": subject})
