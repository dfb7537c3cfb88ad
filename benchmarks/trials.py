"""What is measured of bundles beside their latency in turns: footprint, scenes, split."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from time import perf_counter_ns

from stylepress.benchmarks.engines import golden_pictures
from stylepress.benchmarks.machine.timeline import Window
from stylepress.benchmarks.machine.watch import Validity, Watch
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.quality.photos import Photo
from stylepress.benchmarks.report import EndToEnd
from stylepress.benchmarks.timing.footprint import Asked, Footprint, measure_footprint
from stylepress.benchmarks.timing.loop import WarmRule
from stylepress.benchmarks.timing.outcome import Length, Setting
from stylepress.benchmarks.timing.scenarios import lanes_of
from stylepress.benchmarks.timing.scene import Scene, play, words
from stylepress.benchmarks.timing.systems import Contender, Run, opened
from stylepress.errors import BackendError, FrameError, VerificationError
from stylepress.picture import Picture
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import Bundle
from stylepress.runtime.media.images import write_picture

FILM_FRAMES, FILM_WARM_UP = 24, 4
AV = "pip install 'stylepress[video]'"


@dataclass(frozen=True, slots=True)
class Entrant:
    """A contender whose bundle is at hand: one that can be opened again, in another way."""

    contender: Contender
    bundle: Bundle

    @property
    def name(self) -> str:
        """What the report calls it."""
        return self.contender.name


class Trials:
    """Measures entrants one after the other; what could not be measured is in ``skipped``."""

    def __init__(self, engine: EngineOptions, *, watch: Watch, progress: Progress) -> None:
        self.engine, self.watch, self.progress = engine, watch, progress
        self.skipped: list[Skipped] = []

    def footprints(
        self, entrants: Sequence[Entrant], *, rounds: int, environ: Mapping[str, str]
    ) -> Iterator[Footprint]:
        """Open each in fresh processes: its start and its memory."""
        for one in entrants:
            asked = Asked(
                one.bundle,
                one.contender.backend,
                self.engine.size or (512, 512),
                self.engine.threads,
            )
            try:
                yield measure_footprint(
                    asked,
                    one.name,
                    rounds=rounds,
                    watch=self.watch,
                    environ=environ,
                    progress=self.progress,
                )
            except (BackendError, VerificationError) as error:
                self._skip(f"start and memory of {one.name}", error)

    def scenes(
        self,
        entrants: Sequence[Entrant],
        settings: Sequence[Setting],
        photos: Sequence[Photo],
        *,
        length: Length,
        rule: WarmRule,
    ) -> Iterator[Scene]:
        """Play every scenario with each."""
        for one in entrants:
            for setting in settings:
                frames = cycle([photo.frame for photo in photos])
                self.progress.start(f"{one.name}: {words(setting)}", None)
                try:
                    with self._lanes(one, lanes_of(setting)) as run:
                        scene = play(
                            run,
                            frames.__next__,
                            setting,
                            system=one.name,
                            length=length,
                            rule=rule,
                            watch=self.watch,
                        )
                        self.progress.advance(note=f"{scene.outcome.throughput_hz:.1f} a second")
                        yield scene
                except BackendError as error:
                    self._skip(f"{words(setting)} of {one.name}", error)
                finally:
                    self.progress.finish()

    def splits(self, entrants: Sequence[Entrant], photo: Path | None) -> Iterator[EndToEnd]:
        """Take a short film through each, from a file to a file.

        It is of a photo, or of a golden picture where there is none.
        """
        try:
            from stylepress.benchmarks.quality.motion.clip import make_clip  # av
            from stylepress.benchmarks.timing.film import film_pipeline
        except ImportError as error:
            self._skip("the split from film to film", f"{error}. Run `{AV}`.")
            return
        height, width = self.engine.size or (512, 512)
        with tempfile.TemporaryDirectory(prefix="stylepress-film-") as folder:
            clip = Path(folder) / "clip.mp4"
            count = FILM_FRAMES + FILM_WARM_UP
            size = height - height % 2, width - width % 2
            self.progress.start("Filming", count * len(entrants))
            if photo is None:
                photo = Path(folder) / "golden.png"
                (_, golden, _), *_ = golden_pictures(entrants[0].bundle)
                write_picture(photo, Picture(golden[0]))
            make_clip([photo], clip, seconds=count / 30, size=size, sound=False)
            for one in entrants:
                made, began_ns = Path(folder) / "out.mp4", perf_counter_ns()
                try:
                    with (
                        self._lanes(one, 1, size=size) as run,
                        film_pipeline(run, clip, made) as film,
                    ):
                        for _ in range(count):
                            film.run(None)
                            self.progress.advance(note=one.name)
                        split = film.split(last=FILM_FRAMES)
                    counts = {"validity": self._judged(began_ns)}
                    yield EndToEnd(system=one.name, split=split.model_copy(update=counts))
                except (BackendError, FrameError) as error:
                    self._skip(f"the split from film to film of {one.name}", error)
            self.progress.finish()

    @contextmanager
    def _lanes(
        self, one: Entrant, lanes: int, *, size: tuple[int, int] | None = None
    ) -> Iterator[Run]:
        """Yield how an entrant runs: the engine that is open, unless it must be another one."""
        size = size or self.engine.size
        if lanes == self.engine.lanes and size == self.engine.size:
            yield one.contender.run
            return
        options = replace(self.engine, lanes=lanes, size=size)
        with opened(one.bundle, one.contender.backend, options) as run:
            yield run

    def _judged(self, began_ns: int) -> Validity:
        return self.watch.judged(Window(began_ns, perf_counter_ns()))

    def _skip(self, what: str, why: object) -> None:
        self.skipped.append(Skipped(what=what, why=str(why)))
