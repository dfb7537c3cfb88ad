"""What is measured of bundles beside their latency in turns: footprint and scenes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle

from stylepress.benchmarks.machine.watch import Watch
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.quality.photos import Photo
from stylepress.benchmarks.timing.footprint import Asked, Footprint, measure_footprint
from stylepress.benchmarks.timing.loop import WarmRule
from stylepress.benchmarks.timing.outcome import Length, Setting
from stylepress.benchmarks.timing.scenarios import lanes_of
from stylepress.benchmarks.timing.scene import Scene, play, words
from stylepress.benchmarks.timing.systems import Contender, Run, opened
from stylepress.errors import BackendError, VerificationError
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions
from stylepress.runtime.bundle import Bundle


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

    @contextmanager
    def _lanes(self, one: Entrant, lanes: int) -> Iterator[Run]:
        """Yield how an entrant runs: the engine that is open, unless it needs other lanes."""
        if lanes == self.engine.lanes:
            yield one.contender.run
            return
        options = replace(self.engine, lanes=lanes)
        with opened(one.bundle, one.contender.backend, options) as run:
            yield run

    def _skip(self, what: str, why: object) -> None:
        self.skipped.append(Skipped(what=what, why=str(why)))
