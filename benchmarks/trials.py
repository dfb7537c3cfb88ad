"""What is measured of bundles beside their latency in turns: footprint and scenes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle

from stylepress.benchmarks.machine.watch import Watch
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.quality.photos import Photo
from stylepress.benchmarks.timing.footprint import Footprint, measure_footprint
from stylepress.benchmarks.timing.loop import WarmRule
from stylepress.benchmarks.timing.outcome import Length, Setting
from stylepress.benchmarks.timing.scenarios import lanes_of
from stylepress.benchmarks.timing.scene import Scene, play, words
from stylepress.benchmarks.timing.systems import Contender, Run, opened
from stylepress.errors import BackendError, VerificationError
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions


class Trials:
    """Measures bundles one after the other; what could not be measured is in ``skipped``."""

    def __init__(self, engine: EngineOptions, *, watch: Watch, progress: Progress) -> None:
        self.engine, self.watch, self.progress = engine, watch, progress
        self.skipped: list[Skipped] = []

    def footprints(
        self, entrants: Sequence[Contender], *, rounds: int, environ: Mapping[str, str]
    ) -> Iterator[Footprint]:
        """Open each in fresh processes: its start and its memory."""
        if not rounds:
            self._skip("start and memory", "no start was asked for")
        for one in entrants if rounds else ():
            what = f"start and memory of {one.name}"
            try:
                yield measure_footprint(
                    one,
                    self.engine,
                    rounds=rounds,
                    watch=self.watch,
                    environ=environ,
                    progress=self.progress,
                )
            except (BackendError, VerificationError) as error:
                self._skip(what, error)

    def scenes(
        self,
        entrants: Sequence[Contender],
        settings: Sequence[Setting],
        photos: Sequence[Photo],
        *,
        length: Length,
        rule: WarmRule,
    ) -> Iterator[Scene]:
        """Play every scenario with each."""
        for one, setting in ((one, setting) for one in entrants for setting in settings):
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
                    self.progress.advance()
                    yield scene
            except BackendError as error:
                self._skip(f"{words(setting)} of {one.name}", error)
            finally:
                self.progress.finish()

    @contextmanager
    def _lanes(self, one: Contender, lanes: int) -> Iterator[Run]:
        """Yield how a bundle runs: the engine that is open, unless it needs other lanes."""
        if lanes == self.engine.lanes or one.bundle is None:
            yield one.run
            return
        with opened(one.bundle, one.backend, replace(self.engine, lanes=lanes)) as run:
            yield run

    def _skip(self, what: str, why: object) -> None:
        self.skipped.append(Skipped(what=what, why=str(why)))
