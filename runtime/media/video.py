"""A video from file to file: decoded, stylized and encoded at the same time, frame for frame."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from av.packet import Packet
from av.video.frame import VideoFrame

from stylepress.errors import FrameError
from stylepress.progress import Progress
from stylepress.replace import replacing_file
from stylepress.runtime.machine import usable_cores
from stylepress.runtime.media.decoder import Clip, Reader, Shot, Sound, opened, to_rgb
from stylepress.runtime.media.encoder import Film, Look, Quality, filming, video_suffix
from stylepress.runtime.media.images import LIMIT_PIXELS
from stylepress.runtime.media.lanes import Clocks, Stages, Styling, ordered

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
    """How a video is written, and how large its frames may be."""

    quality: Quality = field(default_factory=Quality)
    limit_pixels: int = LIMIT_PIXELS
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
    """Stylize every frame of a video; its times, sound and subtitles stay as they are.

    Frames are turned upright, the output is H.264 4:2:0 BT.709 (VP9 in WebM) with even sides.
    Ctrl-C, or setting ``stop``, ends the reading: what was begun is finished, and the playable part
    is kept as ``<stem>.partial<suffix>``; a second Ctrl-C throws it away. An input that ends early
    is kept as far as it goes, with a warning.

    Raises:
        FrameError: the input is no video, holds no frame, or is too large.
        OutputError: the target's suffix is unknown or its place cannot be written; nothing is left.
    """
    stop = stop or threading.Event()
    stages = Stages(options.clocks.wall)
    with opened(source, limit_pixels=options.limit_pixels) as clip:
        video_suffix(target)
        reader = Reader(clip, stop=stop, stages=stages)
        with closing(iter(reader)) as items:
            before, first = _first_shot(items)
            if first is None:
                raise FrameError(
                    f"Not one frame of {source} can be decoded. Check that it plays elsewhere."
                )
            with stages.inside("open engine"):
                styling = opener(first.frame.height, first.frame.width)
            job = _Job(reader, first, styling, options=options, stages=stages)
            return job.run(chain(before, [first], items), target, progress)


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


class _Job:
    """The threads of one video: a reader, the lanes, an encoder; and this one, which reports."""

    def __init__(
        self,
        reader: Reader,
        first: Shot,
        styling: Styling,
        *,
        options: VideoOptions,
        stages: Stages,
    ) -> None:
        self.reader, self.styling, self.options, self.stages = reader, styling, options, stages
        self.height, self.width = first.frame.height, first.frame.width
        self.look = _look(reader, first)
        self.written = self.resized = 0
        self.warnings: list[str] = []
        self.abandoned = threading.Event()

    def run(self, items: Iterator[Shot | Sound], target: Path, progress: Progress) -> VideoSummary:
        clocks, stop = self.options.clocks, self.reader.stop
        wall, processor = clocks.wall(), clocks.processor()
        place, stopped = target, False
        progress.start(f"Stylizing {self.reader.clip.path.name}", self.reader.clip.frames)
        try:
            with replacing_file(target) as beside, ThreadPoolExecutor(1) as pool:
                try:
                    self._report(pool.submit(self._film, items, beside, target), progress)
                finally:
                    self.abandoned.set()  # when it was left by an exception: end the threads too
                stopped = stop.is_set() and not self.reader.complete
                if stopped:
                    place = target.with_name(f"{target.stem}.partial{target.suffix}")
                    beside.replace(place)
                    raise _UnfinishedError
        except _UnfinishedError:
            pass
        finally:
            progress.finish()
        seconds = clocks.wall() - wall
        busy = (clocks.processor() - processor) / (seconds * usable_cores()) if seconds else 0.0
        self._conclude(place if stopped else None)
        for warning in self.warnings:
            progress.warn(f"{self.reader.clip.path.name}: {warning}.")
        return VideoSummary(
            target=place,
            frames=self.written,
            seconds=seconds,
            busy=busy,
            stages_s=dict(self.stages.spent_s),
            warnings=tuple(self.warnings),
            stopped=stopped,
        )

    def _film(self, items: Iterator[Shot | Sound], beside: Path, target: Path) -> None:
        """Encode all items into the file beside; runs in a thread of its own."""
        clip, workers = self.reader.clip, self.styling.engine.lanes + 1
        with filming(beside, self.look, tags=clip.container.metadata, target=target) as film:
            film.add_pictures(
                self.options.quality, threads=usable_cores(), tags=clip.pictures.metadata
            )
            self._declare(film, clip)
            with ordered(
                items, self._print_with(film), workers=workers, ahead=workers + SPARE_FRAMES
            ) as prints:
                for item in prints:
                    if self.abandoned.is_set():
                        raise KeyboardInterrupt
                    with self.stages.inside("encode"):
                        if isinstance(item, Packet):
                            film.carry(item)
                        else:
                            film.write(item.frame, pts=item.pts, duration=item.duration)
                            self.written += 1
            with self.stages.inside("encode"):
                film.finish()

    def _declare(self, film: Film, clip: Clip) -> None:
        for track in clip.tracks:
            carried = film.add_track(track)
            if carried != "copied":
                what = f"its {track.type} stream {track.index} ({track.codec_context.name})"
                self.warnings.append(f"{what} does not fit into the output and was {carried}")
        if (film.width, film.height) != (self.width, self.height):
            self.warnings.append(
                f"its {self.width}x{self.height} pixels became {film.width}x{film.height}, "
                f"because H.264 needs even sides; the last row or column is repeated"
            )

    def _print_with(self, film: Film) -> Callable[[Shot | Sound], _Print | Sound]:
        def make(item: Shot | Sound) -> _Print | Sound:
            if isinstance(item, Packet):
                return item
            with self.stages.inside("to rgb"):
                if (item.frame.width, item.frame.height) != (self.width, self.height):
                    self.resized += 1
                pixels = to_rgb(item.frame, width=self.width, height=self.height)
            with self.stages.inside("stylize"):
                styled = self.styling(pixels)
            with self.stages.inside("to yuv"):
                return _Print(film.to_yuv(styled), item.pts, item.duration)

        return make

    def _report(self, job: Future[None], progress: Progress) -> None:
        """Tell how far it is until the job ends."""
        begun, told = self.options.clocks.wall(), 0
        while not job.done():
            told = self._tell(job, progress, told=told, begun=begun)
        job.result()

    def _tell(self, job: Future[None], progress: Progress, *, told: int, begun: float) -> int:
        """Wait a moment and report; the first Ctrl-C ends the reading, the second one all."""
        try:
            wait([job], timeout=POLL_S)
            steps, told = self.written - told, self.written
            if steps:
                rate = told / max(self.options.clocks.wall() - begun, 1e-9)
                progress.advance(steps, f"{rate:.1f} frames/s{self._left(told, rate)}")
        except KeyboardInterrupt:
            if self.reader.stop.is_set():
                self.abandoned.set()
            self.reader.stop.set()
        return told

    def _left(self, told: int, rate: float) -> str:
        total = self.reader.clip.frames
        if total is None or total <= told:
            return ""
        minutes, seconds = divmod(round((total - told) / rate), 60)
        return f", {minutes}:{seconds:02d} left"

    def _conclude(self, part: Path | None) -> None:
        self.warnings += self.reader.findings()
        if self.resized:
            self.warnings.append(
                f"{self.resized} frames were of another size and were scaled to "
                f"{self.width}x{self.height}, the size of the first"
            )
        if part is not None:
            self.warnings.append(f"stopped; the {self.written} frames until then are in {part}")


def _look(reader: Reader, first: Shot) -> Look:
    clip = reader.clip
    aspect = clip.pictures.sample_aspect_ratio or None
    if aspect and reader.upright.sideways:
        aspect = 1 / aspect
    base = clip.pictures.time_base
    assert base is not None
    return Look(first.frame.width, first.frame.height, base, clip.rate, aspect)
