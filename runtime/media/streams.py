"""A video file as it is opened: which of its streams are taken, and what else it holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import AttachmentStream, Disposition, Stream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from stylepress.errors import FrameError
from stylepress.picture import LIMIT_PIXELS, check_file, check_size
from stylepress.runtime.machine import usable_cores
from stylepress.runtime.media.programmes import programmes

# Self-contained files only: a playlist names other files and hosts, and FFmpeg reads any text as
# a film of a terminal.
CONTAINERS = ",".join(
    (
        *("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "mpeg", "flv", "asf", "ogg"),
        *("gif", "apng", "h264", "hevc", "m4v", "mjpeg", "ivf", "obu", "yuv4mpegpipe", "mxf"),
        *("dv", "nut", "mpegvideo", "wtv", "rm"),
    )
)
# Tags that are no UTF-8: PyAV 19 keeps them as they are, before they were an error.
TAGS: dict[str, Any] = (
    {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}
)
STILLS = Disposition.attached_pic | Disposition.timed_thumbnails
DISCARD_ALL = 48  # AVDISCARD_ALL
# FFmpeg's own decoders of VP8 and VP9 leave out the second picture that is the alpha.
WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


@dataclass(frozen=True, slots=True)
class Clip:
    """An opened video: its picture stream, its decoder, and the tracks that go with it.

    ``tracks`` are the sound, subtitles and covers; ``remarks`` what of the file is left out.
    """

    path: Path
    container: InputContainer
    pictures: VideoStream
    decoder: VideoCodecContext
    tracks: tuple[Stream, ...]
    remarks: tuple[str, ...] = ()

    @property
    def rate(self) -> Fraction:
        """Frames per second, on average."""
        return self.pictures.average_rate or self.pictures.guessed_rate or Fraction(25)

    @property
    def time_base(self) -> Fraction:
        """The unit of the times of its frames, in seconds."""
        return self.pictures.time_base or Fraction(1, 1000)

    @property
    def aspect(self) -> Fraction | None:
        """Width over height of a stored pixel; None when nothing says so."""
        return self.pictures.sample_aspect_ratio or None

    @property
    def seconds(self) -> float | None:
        """The time of its end, as the header says; None when it does not say."""
        if self.container.duration is None:
            return None
        # Matroska counts from 0, the others from the first frame.
        from_zero = "matroska" in self.container.format.name
        start = 0 if from_zero else self.container.start_time or 0
        return (start + self.container.duration) / av.time_base

    @property
    def frames(self) -> int | None:
        """How many frames to expect; None when nobody knows."""
        if self.pictures.frames:
            return self.pictures.frames
        if self.container.duration is None:
            return None
        return max(1, round(self.container.duration / av.time_base * self.rate))

    @property
    def attachments(self) -> tuple[AttachmentStream, ...]:
        """Files that travel in it, e.g. the fonts of its subtitles."""
        return tuple(s for s in self.container.streams if isinstance(s, AttachmentStream))


@contextmanager
def opened(
    path: Path, *, limit_pixels: int = LIMIT_PIXELS, stream: int | None = None
) -> Iterator[Clip]:
    """Open a video by its content, whatever its name; only its header is read.

    ``stream`` is the number of the picture stream to take; by default the one marked as default,
    else the largest. Sound and subtitles are those of the same programme.

    Raises:
        FrameError: missing, empty, no video, no picture stream that can be decoded or none of that
            number, or more than ``limit_pixels`` in a frame.
    """
    check_file(path)
    try:
        container = av.open(
            f"file:{path}",
            container_options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"},
            **TAGS,
        )
    except (FFmpegError, ValueError) as error:
        raise FrameError(
            f"{path} is neither a picture nor a video known here "
            f"({getattr(error, 'strerror', error)}).",
            "Use a file that plays elsewhere; a video that was cut off may lack its index.",
        ) from error
    with container:
        films = _films(path, container)
        pictures = _chosen(path, films, stream)
        check_size(path, pictures.width, pictures.height, limit_pixels)
        tracks, remarks = _company(path, container, pictures)
        decoder = _decoder(pictures)
        decoder.thread_type = "AUTO"
        decoder.thread_count = usable_cores()
        yield Clip(
            path, container, pictures, decoder, tracks, (*_others(films, pictures), *remarks)
        )


def _films(path: Path, container: InputContainer) -> list[VideoStream]:
    films = [s for s in container.streams.video if not Disposition(s.disposition) & STILLS]
    if not films:
        kinds = sorted({s.type for s in container.streams if s.type != "video"})
        raise FrameError(
            f"{path} holds no video stream, only {' and '.join(kinds) or 'a still picture'}.",
            "Name a file with moving pictures in it.",
        )
    decodable = [s for s in films if s.codec_context is not None]
    if not decodable:
        raise FrameError(
            f"{path} is coded in a way that this FFmpeg does not decode.",
            "Convert it to H.264 first.",
        )
    return decodable


def _chosen(path: Path, films: Sequence[VideoStream], wanted: int | None) -> VideoStream:
    if wanted is None:
        return max(films, key=_rank)
    for film in films:
        if film.index == wanted:
            return film
    raise FrameError(
        f"{path} has no picture stream of number {wanted}.",
        f"Choose one of {', '.join(map(_named, films))} with `--stream`.",
    )


def _rank(film: VideoStream) -> tuple[bool, int]:
    return bool(Disposition(film.disposition) & Disposition.default), film.width * film.height


def _named(film: VideoStream) -> str:
    return f"{film.index} ({film.width}x{film.height})"


def _others(films: Sequence[VideoStream], pictures: VideoStream) -> Iterator[str]:
    if others := [film for film in films if film.index != pictures.index]:
        yield (
            f"of its {len(films)} picture streams number {_named(pictures)} is taken, and not "
            f"{', '.join(map(_named, others))}; `--stream` chooses another"
        )


def _company(
    path: Path, container: InputContainer, pictures: VideoStream
) -> tuple[tuple[Stream, ...], list[str]]:
    """Return the streams that go with the pictures, and what is left out."""
    remarks = []
    with_it = [s for s in container.streams if s.type in ("audio", "subtitle")]
    groups = programmes(path) if container.format.name == "mpegts" else []
    mine = next((group for group in groups if pictures.id in group), None)
    if mine is not None and len(groups) > 1:
        strangers = [s.index for s in with_it if s.id not in mine]
        with_it = [s for s in with_it if s.id in mine]
        if strangers:
            numbers = ", ".join(map(str, strangers))
            remarks.append(f"its streams {numbers} belong to other programmes and are left out")
    covers = [s for s in container.streams.video if s.disposition & Disposition.attached_pic]
    kept = [s for s in (*with_it, *covers) if s.codec_context is not None]
    unknown = [s for s in with_it if s.codec_context is None]
    # MP4's text of chapters is a track too, which FFmpeg reads as chapters and then discards.
    others = [s for s in container.streams if s.type in ("data", "unknown", None)]
    unknown += [s for s in others if not (container.chapters() and _discarded(s))]
    if unknown:
        listed = ", ".join(f"{s.index} ({s.type or 'unknown'})" for s in unknown)
        remarks.append(f"its streams {listed} are of kinds that are not carried over")
    return tuple(kept), remarks


def _discarded(stream: Stream) -> bool:
    return getattr(stream.discard, "value", stream.discard) >= DISCARD_ALL


def _decoder(pictures: VideoStream) -> VideoCodecContext:
    context = pictures.codec_context
    name = WITH_ALPHA.get(context.name)
    if name is None or tag(pictures.metadata, "alpha_mode") != "1":
        return context
    decoder = av.CodecContext.create(name, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.extradata = context.extradata
    decoder.colorspace, decoder.color_range = context.colorspace, context.color_range
    decoder.color_primaries, decoder.color_trc = context.color_primaries, context.color_trc
    return decoder


def cover_bytes(clip: Clip, cover: Stream) -> bytes:
    """Return the picture file that an attached cover is; read apart, for it is needed at once."""
    with av.open(f"file:{clip.path}", container_options={"format_whitelist": CONTAINERS}) as again:
        return bytes(next(again.demux(again.streams[cover.index]), b""))


def is_cover(track: Stream) -> bool:
    """Whether a track is a still picture that stands for the video."""
    return track.type == "video"


def tag(tags: dict[str, str], name: str) -> str | None:
    """Look a tag up; containers spell the same name in either case."""
    return next((value for key, value in tags.items() if key.lower() == name), None)
