"""A video from file to file: decoded, stylized and encoded at the same time, frame for frame."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from av.packet import Packet
from av.video.frame import VideoFrame

from stylepress.errors import FrameError
from stylepress.picture import LIMIT_PIXELS, animation, picture_kind
from stylepress.progress import Progress
from stylepress.replace import replacing_file, with_word
from stylepress.runtime.machine import usable_cores
from stylepress.runtime.media.animation import AnimationReader
from stylepress.runtime.media.colour import alpha_of, to_rgb
from stylepress.runtime.media.decoder import Reader, Shot, Sound
from stylepress.runtime.media.encoder import Film, Look, Quality, filming
from stylepress.runtime.media.formats import video_suffix
from stylepress.runtime.media.lanes import Clocks, Stages, Styling, ordered
from stylepress.runtime.media.streams import cover_bytes, is_cover, opened

# Frames in memory beyond those being stylized: enough that a slow one delays nobody.
SPARE_FRAMES = 4
POLL_S = 0.1

Opener = Callable[[int, int], Styling]
"""Opens the engine for frames of a height and width, once the first frame is there."""


@dataclass(frozen=True, slots=True)
class VideoSummary:
    """What became of a video.

    ``seconds`` run from the first frame to the closed file, without loading the engine. ``busy`` is
    processor time over wall time times cores, 0..1. ``stages_s`` is how long the threads were
    inside each stage, in seconds of wall time, all threads together. When the work was ``stopped``
    the playable part stands under ``target``, beside the name asked for.
    """

    target: Path
    frames: int
    seconds: float
    busy: float
    stages_s: Mapping[str, float]
    warnings: tuple[str, ...]
    stopped: bool

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """How a video is read and written.

    Attributes:
        quality: what the encoder aims at.
        limit_pixels: the largest frame.
        stream: the number of the picture stream to take; None for the default or largest one.
        deinterlace: make whole frames of interlaced ones.
        clocks: where time is read from.
    """

    quality: Quality = field(default_factory=Quality)
    limit_pixels: int = LIMIT_PIXELS
    stream: int | None = None
    deinterlace: bool = True
    clocks: Clocks = field(default_factory=Clocks)


def stylize_video(
    source: Path,
    target: Path,
    opener: Opener,
    *,
    options: VideoOptions,
    progress: Progress,
    stop: threading.Event | None = None,
) -> VideoSummary:
    """Stylize every frame of a video or moving picture; its times, sound and tags stay as they are.

    Frames are turned upright and deinterlaced, the output is H.264 4:2:0 BT.709 (VP9 in WebM) with
    even sides. Ctrl-C, or setting ``stop``, ends the reading: what was begun is finished, and the
    playable part is kept as ``<stem>.partial<suffix>``; a second Ctrl-C throws it away. An input
    that ends early is kept as far as it goes, with a warning.

    Raises:
        FrameError: the input is no video, holds no frame, or is too large.
        OutputError: the target's suffix is unknown or its place cannot be written; nothing is left.
    """
    stop = stop or threading.Event()
    stages = Stages(options.clocks.wall)
    with _reading(source, stop, stages, options) as reader:
        video_suffix(target)
        with closing(iter(reader)) as items:
            before, first = _first_shot(items)
            if first is None:
                raise FrameError(
                    f"Not one frame of {source} can be decoded.", "Check that it plays elsewhere."
                )
            with stages.inside("open engine"):
                styling = opener(first.frame.height, first.frame.width)
            job = _Job(reader, first, styling, options=options, stages=stages)
            return job.run(chain(before, [first], items), target, progress)


@contextmanager
def _reading(
    source: Path, stop: threading.Event, stages: Stages, options: VideoOptions
) -> Iterator[Reader | AnimationReader]:
    """Open a moving picture by Pillow, any other video by FFmpeg."""
    kind, limit = picture_kind(source), options.limit_pixels
    if kind is not None and kind.animated:
        with animation(source, limit_pixels=limit) as moving:
            yield AnimationReader(moving, stop=stop, stages=stages)
        return
    with opened(source, limit_pixels=limit, stream=options.stream) as clip:
        yield Reader(clip, stop=stop, stages=stages, deinterlace=options.deinterlace)


def _first_shot(items: Iterator[Shot | Sound]) -> tuple[list[Shot | Sound], Shot | None]:
    before: list[Shot | Sound] = []
    for item in items:
        if isinstance(item, Shot):
            return before, item
        before.append(item)
    return before, None


@dataclass(frozen=True, slots=True)
class _Print:
    """A stylized frame, ready for the encoder."""

    frame: VideoFrame
    pts: int
    duration: int


class _UnfinishedError(Exception):
    """Leaves the block that would give the file its final name."""


class _AbandonedError(Exception):
    """Ends the thread that encodes, when nobody wants what it writes."""


class _Job:
    """The threads of one video: a reader, the lanes, an encoder; and this one, which reports."""

    def __init__(
        self,
        reader: Reader | AnimationReader,
        first: Shot,
        styling: Styling,
        *,
        options: VideoOptions,
        stages: Stages,
    ) -> None:
        self.reader, self.styling, self.options, self.stages = reader, styling, options, stages
        self.height, self.width = first.frame.height, first.frame.width
        self.look = _look(reader, first)
        self.written = self.reported = self.resized = 0
        self.place: Path | None = None
        self.warnings: list[str] = []
        self.abandoned = threading.Event()

    def run(self, items: Iterator[Shot | Sound], target: Path, progress: Progress) -> VideoSummary:
        clocks = self.options.clocks
        wall, processor = clocks.wall(), clocks.processor()
        progress.start(f"Stylizing {self.reader.path.name}", self.reader.expected)
        try:
            with ThreadPoolExecutor(1) as pool:
                try:
                    self._report(pool.submit(self._write, items, target), progress)
                finally:
                    self.abandoned.set()  # when it was left by an exception: end the threads too
        finally:
            progress.finish()
        seconds = clocks.wall() - wall
        busy = (clocks.processor() - processor) / (seconds * usable_cores()) if seconds else 0.0
        self._conclude()
        for warning in self.warnings:
            progress.warn(f"{self.reader.path.name}: {warning}.")
        return VideoSummary(
            target=self.place or target,
            frames=self.written,
            seconds=seconds,
            busy=busy,
            stages_s=dict(self.stages.spent_s),
            warnings=tuple(self.warnings),
            stopped=self.place is not None,
        )

    def _write(self, items: Iterator[Shot | Sound], target: Path) -> None:
        """Write the file and give it its name; in a thread of its own, where no Ctrl-C comes."""
        try:
            with replacing_file(target) as beside:
                self._film(items, beside, target)
                if self.reader.stop.is_set() and not self.reader.complete:
                    # Beside it, where a link as target may lead.
                    self.place = beside.with_name(with_word(target, "partial").name)
                    beside.replace(self.place)
                    raise _UnfinishedError
        except _UnfinishedError:
            pass

    def _film(self, items: Iterator[Shot | Sound], beside: Path, target: Path) -> None:
        """Encode all items into the file beside."""
        workers = self.styling.engine.lanes + 1
        reader = self.reader
        tags = reader.clip.container.metadata if isinstance(reader, Reader) else {}
        with filming(beside, self.look, tags=tags, target=target) as film:
            self._declare(film)
            with ordered(
                items,
                self._print_with(film),
                workers=workers,
                ahead=workers + SPARE_FRAMES,
                light=lambda item: isinstance(item, Packet),
            ) as prints:
                for item in prints:
                    if self.abandoned.is_set():
                        raise _AbandonedError
                    with self.stages.inside("encode"):
                        if isinstance(item, Packet):
                            film.carry(item)
                        else:
                            film.write(item.frame, pts=item.pts, duration=item.duration)
                            self.written += 1
            with self.stages.inside("encode"):
                film.finish()
        if film.damaged_sound:
            self.warnings.append(f"{film.damaged_sound} damaged packets of sound were passed over")
        if film.laid_on_white:
            self.warnings.append(
                f"{target.suffix} holds no transparency here, so it was laid on white; "
                f"WebM keeps it"
            )

    def _declare(self, film: Film) -> None:
        quality, threads = self.options.quality, usable_cores()
        if isinstance(self.reader, Reader):
            clip = self.reader.clip
            film.add_pictures(
                quality,
                threads=threads,
                tags=clip.pictures.metadata,
                disposition=clip.pictures.disposition,
            )
            for track in clip.tracks:
                if is_cover(track):
                    if not film.add_cover(track, cover_bytes(clip, track)):
                        self.warnings.append("its cover picture does not fit and was dropped")
                elif remark := film.add_track(track).remark(track, film.form):
                    self.warnings.append(remark)
            film.add_chapters(clip.container, self.reader.begin)
            if lost := film.add_attachments(clip.attachments):
                self.warnings.append(
                    f"its attached files ({', '.join(lost)}) only fit into .mkv and were dropped"
                )
        else:
            film.add_pictures(quality, threads=threads, tags={})
        if (film.width, film.height) != (self.width, self.height):
            self.warnings.append(
                f"its {self.width}x{self.height} pixels became {film.width}x{film.height}, "
                f"because H.264 needs even sides; the last row or column is repeated"
            )

    def _print_with(self, film: Film) -> Callable[[Shot | Sound], _Print | Sound]:
        def make(item: Shot | Sound) -> _Print | Sound:
            if isinstance(item, Packet):
                return item
            width, height = self.width, self.height
            with self.stages.inside("to rgb"):
                if (item.frame.width, item.frame.height) != (width, height):
                    self.resized += 1
                pixels = to_rgb(item.frame, width=width, height=height, peak=self.reader.peak)
                alpha = alpha_of(item.frame, width=width, height=height)
            with self.stages.inside("stylize"):
                styled = self.styling(pixels)
            with self.stages.inside("to yuv"):
                return _Print(film.to_yuv(styled, alpha), item.pts, item.duration)

        return make

    def _report(self, job: Future[None], progress: Progress) -> None:
        """Tell how far it is until the job ends."""
        begun = self.options.clocks.wall()
        while not self._ended(job, progress, begun):
            pass

    def _ended(self, job: Future[None], progress: Progress, begun: float) -> bool:
        """Wait and report; False after a Ctrl-C, of which the second one throws all away."""
        try:
            while not job.done():
                wait([job], timeout=POLL_S)
                written = self.written
                steps, self.reported = written - self.reported, written
                if steps:
                    rate = self.reported / max(self.options.clocks.wall() - begun, 1e-9)
                    left = self._left(self.reported, rate)
                    progress.advance(steps, f"{rate:.1f} frames/s{left}")
            job.result()
        except _AbandonedError as error:
            raise KeyboardInterrupt from error
        except KeyboardInterrupt:
            if self.reader.stop.is_set():
                self.abandoned.set()
            self.reader.stop.set()
            return False
        return True

    def _left(self, done: int, rate: float) -> str:
        total = self.reader.expected
        if total is None or total <= done:
            return ""
        minutes, seconds = divmod(round((total - done) / rate), 60)
        return f", {minutes}:{seconds:02d} left"

    def _conclude(self) -> None:
        self.warnings += self.reader.findings()
        if self.resized:
            self.warnings.append(
                f"{self.resized} frames were of another size and were scaled to "
                f"{self.width}x{self.height}, the size of the first"
            )
        if self.place is not None:
            self.warnings.append(
                f"stopped; the {self.written} frames until then are in {self.place}"
            )


def _look(reader: Reader | AnimationReader, first: Shot) -> Look:
    aspect = reader.aspect
    if aspect and reader.sideways:
        aspect = 1 / aspect
    return Look(
        first.frame.width,
        first.frame.height,
        reader.time_base,
        reader.rate,
        aspect,
        alpha=any(part.is_alpha for part in first.frame.format.components),
    )
