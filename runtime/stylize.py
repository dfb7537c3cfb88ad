"""The one job behind ``stylepress run``: a picture, a folder of pictures or a video, stylized."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Literal

from stylepress.cache import Cache
from stylepress.errors import (
    BackendError,
    FrameError,
    OutputError,
    RecipeError,
    StylepressError,
)
from stylepress.picture import (
    LIMIT_PIXELS,
    Picture,
    check_file,
    picture_kind,
    read_picture,
)
from stylepress.progress import Progress
from stylepress.runtime.backends import Engine, EngineOptions
from stylepress.runtime.bundle import Bundle
from stylepress.runtime.choice import fastest
from stylepress.runtime.feeds import Array
from stylepress.runtime.machine import usable_cores
from stylepress.runtime.media.album import passed_over, planned, written_name
from stylepress.runtime.media.images import WRITABLE, writable_suffix, write_picture
from stylepress.runtime.media.lanes import Clocks, Styling, ordered
from stylepress.runtime.port_values import PortValues, port_values
from stylepress.runtime.prepared import ready
from stylepress.runtime.style_code import chosen_style

MOST_LANES = 8
"""Lanes that are opened unasked: each holds a frame's activations in memory."""
USUAL_SIZE = (512, 512)
SPARE_PICTURES = 1
FULL = (errno.ENOSPC, errno.EDQUOT)

Opener = Callable[[EngineOptions], Engine]


@dataclass(frozen=True, slots=True)
class StylizeOptions:
    """What a user may choose.

    Attributes:
        strength: how much of the style, 0..1.
        style: a picture whose style is taken, or names of a library's styles (``style_code.py``).
        ports: ``NAME=VALUE`` for further inputs: a file for a mask or a control picture, or a number.
        backend: its name, or None for the fastest one here (measured, remembered in ``cache``).
        lanes: frames worked on at once; None for as many as there are cores.
        limit_pixels: the largest picture or frame, checked before it is decoded.
        overwrite: replace output files that exist already.
        stream: the number of the picture stream of a video; None for the default or largest one.
        deinterlace: make whole frames of interlaced ones.
        crf: quality of a video, 1..51, lower is better and larger.
        preset: x264's trade of time for size, ``ultrafast`` .. ``veryslow``.
        cache: a folder for compiled engines and measured choices; None keeps nothing.
        clocks: where time is read from.
    """

    strength: float = 1.0
    style: str | None = None
    ports: tuple[str, ...] = ()
    backend: str | None = None
    lanes: int | None = None
    limit_pixels: int = LIMIT_PIXELS
    overwrite: bool = False
    stream: int | None = None
    deinterlace: bool = True
    crf: int = 20
    preset: str = "superfast"
    cache: Path | None = None
    clocks: Clocks = field(default_factory=Clocks)

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise RecipeError(f"The strength is {self.strength}.", "Give a number from 0 to 1.")
        if self.lanes is not None and self.lanes < 1:
            raise RecipeError(f"{self.lanes} lanes were asked for.", "Give 1 or more.")
        if self.limit_pixels < 1:
            raise RecipeError(f"The limit is {self.limit_pixels} pixels.", "Give at least 1.")


@dataclass(frozen=True, slots=True)
class Summary:
    """What was done.

    ``written`` counts pictures, or frames of a video; ``skipped`` the pictures of a folder that
    could not be read or written, ``passed_over`` its files that are no pictures. ``target`` is
    where the result stands.
    ``busy`` and ``stages_s`` are those of ``VideoSummary``. After Ctrl-C ``stopped`` is true:
    what is finished by then is kept, of a video as ``<stem>.partial<suffix>``.
    """

    kind: Literal["picture", "folder", "video"]
    target: Path
    written: int
    seconds: float
    skipped: int = 0
    passed_over: int = 0
    stopped: bool = False
    warnings: tuple[str, ...] = ()
    busy: float | None = None
    stages_s: dict[str, float] = field(default_factory=dict)

    @property
    def fps(self) -> float:
        """Pictures or frames per second."""
        return self.written / self.seconds if self.seconds > 0 else 0.0


def stylize(
    bundle: Bundle,
    source: Path,
    target: Path,
    *,
    options: StylizeOptions,
    progress: Progress,
    opener: Opener | None = None,
    stop: threading.Event | None = None,
) -> Summary:
    """Stylize ``source`` into ``target``: picture to picture, folder to folder, video to video.

    What the source is, its content says, not its name. A target that is a folder takes a file
    under the name it had. ``opener`` replaces the choice of backend.

    Raises:
        FrameError: the source is missing, damaged, too large, or of no kind known here.
        OutputError: the target exists already, is the source, or cannot be written to.
        BackendError: no backend can run the bundle, or a video is named and PyAV is missing.
    """
    work = _Stylizing(bundle, options, progress, opener or _chooser(bundle, options, progress))
    work.stop, work.style = stop or work.stop, chosen_style(bundle, options.style)
    work.values = port_values(bundle, options.ports)
    if source.is_dir():
        return work.folder(source, target)
    check_file(source)
    kind = picture_kind(source)
    if target.is_dir():
        target = target / (written_name(source.name) if kind else source.name)
    _check_target(source, target, overwrite=options.overwrite)
    if kind and (not kind.animated or target.suffix.lower() in WRITABLE):
        return work.picture(source, target)
    return work.video(source, target)


def _chooser(bundle: Bundle, options: StylizeOptions, progress: Progress) -> Opener:
    def open_chosen(wanted: EngineOptions) -> Engine:
        cache = Cache(options.cache) if options.cache else None
        if options.backend is not None:
            return ready(bundle, options.backend, options=wanted, cache=cache, progress=progress)
        size = wanted.size or USUAL_SIZE
        _, engine = fastest(bundle, size=size, options=wanted, cache=cache, progress=progress)
        return engine

    return open_chosen


@dataclass(frozen=True, slots=True)
class _Page:
    """One picture of a folder on its way: where from, where to, and what was read or why not."""

    source: Path
    target: Path
    content: Picture | StylepressError


@dataclass(slots=True)
class _Stylizing:
    """The three jobs, with what they have in common."""

    bundle: Bundle
    options: StylizeOptions
    progress: Progress
    opener: Opener
    stop: threading.Event = field(default_factory=threading.Event)
    warnings: list[str] = field(default_factory=list)
    style: Mapping[str, Array] = field(default_factory=dict)
    values: PortValues = field(default_factory=PortValues)

    def picture(self, source: Path, target: Path) -> Summary:
        """Stylize one picture, with all cores on it."""
        writable_suffix(target)
        began = self.options.clocks.wall()
        picture = read_picture(source, limit_pixels=self.options.limit_pixels)
        height, width = picture.pixels.shape[:2]
        with (
            closing(self._engine(1, (height, width))) as engine,
            _told(self.progress, source, 1),
        ):
            stylized = replace(picture, pixels=self._styling(engine)(picture.pixels))
            lost = write_picture(target, stylized)
            self.progress.advance()
        self._note(source.name, *picture.warnings, *lost)
        seconds = self.options.clocks.wall() - began
        return Summary("picture", target, 1, seconds, warnings=tuple(self.warnings))

    def folder(self, source: Path, target: Path) -> Summary:
        """Stylize every picture below a folder; one that fails is told and skipped."""
        plan, others = planned(source, target, overwrite=self.options.overwrite)
        began, lanes = self.options.clocks.wall(), self._lanes()
        written, skipped, reason = 0, 0, ""
        with (
            closing(self._engine(lanes, None)) as engine,
            _told(self.progress, source, len(plan)),
        ):
            make = _page_maker(self._styling(engine))
            try:
                with ordered(
                    self._read(plan), make, workers=lanes, ahead=lanes + SPARE_PICTURES
                ) as pages:
                    for page in pages:
                        name = page.source.relative_to(source).as_posix()
                        reason = self._write(page, name)
                        written, skipped = written + (not reason), skipped + bool(reason)
                        self.progress.advance(1, name)
            except KeyboardInterrupt:
                self.stop.set()
        if others:
            self._note(source.name, passed_over(others))
        stopped = self.stop.is_set() and written + skipped < len(plan)
        if stopped:
            self._note(source.name, f"stopped; {written} of {len(plan)} pictures are done")
        elif not written:
            raise FrameError(f"None of the {skipped} pictures in {source} can be used. {reason}")
        return Summary(
            kind="folder",
            target=target,
            written=written,
            seconds=self.options.clocks.wall() - began,
            skipped=skipped,
            passed_over=len(others),
            stopped=stopped,
            warnings=tuple(self.warnings),
        )

    def video(self, source: Path, target: Path) -> Summary:
        """Stylize one video, several frames at once."""
        video = _video_module(source)
        engines: list[Engine] = []

        def opener(height: int, width: int) -> Styling:
            engines.append(self._engine(self._lanes(), (height, width)))
            return self._styling(engines[0])

        options = self.options
        try:
            done = video.stylize_video(
                source,
                target,
                opener,
                options=video.VideoOptions(
                    quality=video.Quality(options.crf, options.preset),
                    limit_pixels=options.limit_pixels,
                    stream=options.stream,
                    deinterlace=options.deinterlace,
                    clocks=options.clocks,
                ),
                progress=self.progress,
                stop=self.stop,
            )
        finally:
            for engine in engines:
                engine.close()
        return Summary(
            kind="video",
            target=done.target,
            written=done.frames,
            seconds=done.seconds,
            stopped=done.stopped,
            warnings=done.warnings,
            busy=done.busy,
            stages_s=dict(done.stages_s),
        )

    def _lanes(self) -> int:
        return self.options.lanes or min(usable_cores(), MOST_LANES)

    def _engine(self, lanes: int, size: tuple[int, int] | None) -> Engine:
        if size is not None:
            least = self.bundle.least
            size = (max(size[0], least), max(size[1], least))
        return self.opener(EngineOptions(lanes=lanes, size=size))

    def _styling(self, engine: Engine) -> Styling:
        return Styling(
            engine,
            strength=self.options.strength,
            least=self.bundle.least,
            style=self.style,
            beside=partial(self.values.feeds, self.bundle.graph()),
        )

    def _note(self, name: str, *warnings: str) -> None:
        for warning in warnings:
            self.progress.warn(f"{name}: {warning}.")
            self.warnings.append(f"{name}: {warning}")

    def _read(self, plan: Mapping[Path, Path]) -> Iterator[_Page]:
        for source, target in plan.items():
            if self.stop.is_set():
                return
            yield _read_page(source, target, self.options.limit_pixels)

    def _write(self, page: _Page, name: str) -> str:
        """Write a page; return why it was skipped, or nothing."""
        try:
            if isinstance(page.content, StylepressError):
                raise page.content
            self._note(name, *page.content.warnings, *write_picture(page.target, page.content))
        except (FrameError, OutputError, BackendError) as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in FULL:
                raise  # the next one would not fit either
            self._note(name, f"skipped. {str(error).rstrip('.')}")
            return str(error)
        return ""


@contextmanager
def _told(progress: Progress, source: Path, total: int) -> Iterator[None]:
    progress.start(f"Stylizing {source.name}", total)
    try:
        yield
    finally:
        progress.finish()


def _read_page(source: Path, target: Path, limit_pixels: int) -> _Page:
    try:
        return _Page(source, target, read_picture(source, limit_pixels=limit_pixels))
    except FrameError as error:
        return _Page(source, target, error)


def _page_maker(styling: Styling) -> Callable[[_Page], _Page]:
    def make(page: _Page) -> _Page:
        if isinstance(page.content, StylepressError):
            return page
        try:
            styled = styling(page.content.pixels)
        except BackendError as error:  # perhaps only this one is too large for it
            return replace(page, content=error)
        return replace(page, content=replace(page.content, pixels=styled))

    return make


def _check_target(source: Path, target: Path, *, overwrite: bool) -> None:
    if not target.exists():
        return
    if target.samefile(source):
        raise OutputError(f"{target} is the file that is read.", "Name another file to write to.")
    if not overwrite:
        raise OutputError(
            f"{target} exists already.", "Name another file, or replace it with `--overwrite`."
        )


def _video_module(source: Path) -> ModuleType:
    try:
        from stylepress.runtime.media import video
    except ImportError as error:
        raise BackendError(
            f"{source} is no picture, and videos need the package av ({error}).",
            "Install it with `pip install 'stylepress[video]'`.",
        ) from error
    return video
