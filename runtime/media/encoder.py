"""The file that a stylized video is written into: one encoded picture stream, all else as it came."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import AttachmentStream, Stream
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from stylepress.errors import OutputError, RecipeError
from stylepress.picture import Pixels, laid_on_white
from stylepress.runtime.media.colour import CONVERTERS
from stylepress.runtime.media.formats import (
    FORMATS,
    FRONT,
    Format,
    muxer_options,
    needs_free_tags,
    own_tags,
    video_suffix,
)
from stylepress.runtime.media.lanes import padded
from stylepress.runtime.media.sound import Carriage, SoundEncoder, add_sound, carriage

Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
]

PIXELS, PIXELS_ALPHA = "yuv420p", "yuva420p"
BT709 = 1  # the same number for matrix, transfer curve and primaries, and in libswscale
FRAME_DURATION = 1 << 8  # AV_CODEC_FLAG_FRAME_DURATION: packets last as long as their frames
# libswscale's AREA, FULL_CHR_H_INP and ACCURATE_RND: the mean of the pixels that share a sample.
TO_YUV = 0x20 | 0x4000 | 0x40000
PRIMING_S = 0.03  # packets of sound that end longer before 0 are no start that decoders need
COVERS = {"mjpeg": "jpeg", "png": "png"}


@dataclass(frozen=True, slots=True)
class Quality:
    """What the encoder aims at.

    ``crf`` 1..51 is the quality (lower is better and larger), ``preset`` x264's trade of time
    for size. Measured on stylized 1280x720, per frame of one core: superfast 11.5 ms 39 KiB,
    veryfast 23.5 ms 29 KiB, ultrafast 6.1 ms 84 KiB, all at crf 20 and 38.4..39.3 dB.
    """

    crf: int = 20
    preset: Preset = "superfast"

    def __post_init__(self) -> None:
        if not 1 <= self.crf <= 51:
            raise RecipeError(
                f"The crf is {self.crf}, outside 1..51.", "Try 18 (fine) to 28 (small)."
            )
        if self.preset not in Preset.__args__:  # type: ignore[attr-defined]
            known = ", ".join(Preset.__args__)  # type: ignore[attr-defined]
            raise RecipeError(f"There is no preset {self.preset!r}.", f"Choose one of {known}.")

    def options(self, encoder: str) -> dict[str, str]:
        """Return the options of libx264, or the nearest that libvpx has."""
        if encoder == "libx264":
            return {"crf": str(self.crf), "preset": self.preset}
        return {
            "crf": str(min(63, self.crf + 11)),
            "deadline": "realtime",
            "cpu-used": "7",
            "row-mt": "1",
        }


@dataclass(frozen=True, slots=True)
class Look:
    """Size in pixels, clock, pixel shape and transparency of the pictures of a video."""

    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    aspect: Fraction | None = None
    alpha: bool = False


class Film:
    """One video file being written; not safe for two threads at once, ``to_yuv`` is."""

    def __init__(
        self, container: OutputContainer, look: Look, *, form: Format, free_tags: bool = False
    ) -> None:
        """Take an opened, empty container; ``free_tags`` says that it keeps tags of any name."""
        self.look, self.form = look, form
        self.width, self.height = (side + side % 2 for side in (look.width, look.height))
        self.laid_on_white = False
        self._free_tags = free_tags
        self._container = container
        self._tracks: dict[int, Stream] = {}
        self._sounds: dict[int, SoundEncoder] = {}
        self._reached: dict[int, int] = {}
        self._begin: int | None = None
        self._first_dts: int | None = None
        self._end = self._refused = 0

    @property
    def damaged_sound(self) -> int:
        """How many packets of sound could not be decoded, encoded or written."""
        return self._refused + sum(sound.damaged for sound in self._sounds.values())

    def add_pictures(
        self, quality: Quality, *, threads: int, tags: Mapping[str, str], disposition: int = 0
    ) -> None:
        """Declare the picture stream; sides are made even by repeating the last row or column."""
        look, encoder = self.look, self.form.picture
        stream = self._container.add_stream(encoder, rate=look.rate)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.width, context.height = self.width, self.height
        context.pix_fmt = PIXELS_ALPHA if self._keeps_alpha else PIXELS
        context.time_base = stream.time_base = look.time_base
        context.sample_aspect_ratio = look.aspect or Fraction(1, 1)
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = ColorRange.MPEG
        context.thread_count = threads
        context.flags |= FRAME_DURATION
        context.options = quality.options(encoder)
        if self._keeps_alpha:
            context.options |= {"auto-alt-ref": "0"}  # libvpx refuses both together
            stream.metadata["alpha_mode"] = "1"
        stream.metadata.update(own_tags(tags, self.form))
        stream.disposition = disposition  # type: ignore[assignment]
        self._pictures = stream
        self.threads = threads

    def add_track(self, track: Stream) -> Carriage:
        """Declare sound, subtitles or a cover: copied if the container takes it, else encoded."""
        fate = carriage(track, self.form)
        if fate.how == "dropped":
            return fate
        if fate.how == "copied":
            stream = self._container.add_stream_from_template(track)
        else:
            assert isinstance(track, AudioStream)
            stream = add_sound(self._container, self.form.sound, fate.rate, fate.layout)
            self._sounds[track.index] = SoundEncoder(track, stream)
        stream.metadata.update(own_tags(track.metadata, self.form))
        stream.disposition = track.disposition
        self._tracks[track.index] = stream
        return fate

    def add_cover(self, cover: Stream, data: bytes) -> bool:
        """Put in a still picture that stands for the video; say whether the container holds it."""
        if self.form.attachments:
            kind = COVERS.get(cover.codec_context.name)
            if kind is not None:
                self._container.add_attachment(f"cover.{kind}", f"image/{kind}", data)
            return kind is not None
        # MP4 has a place for it in the same list as for the tags of fixed names.
        holds = self.form.muxer == "mp4" and not self._free_tags
        return holds and self.add_track(cover).how == "copied"

    def add_attachments(self, attachments: Sequence[AttachmentStream]) -> list[str]:
        """Put files in; return the names of those that the container cannot hold."""
        if not self.form.attachments:
            return [each.name or "?" for each in attachments]
        for each in attachments:
            self._container.add_attachment(
                each.name or "?", each.mimetype or "application/octet-stream", each.data
            )
        return []

    def add_chapters(self, container: InputContainer, begin: Fraction) -> None:
        """Take over the chapters of a source whose time 0 was at ``begin``, in seconds."""
        chapters = container.chapters()
        for chapter in chapters:
            late = round(begin / (chapter["time_base"] or 1))
            chapter["start"] = max(0, chapter["start"] - late)
            chapter["end"] = max(0, chapter["end"] - late)
        if chapters:
            self._container.set_chapters(chapters)

    @property
    def _keeps_alpha(self) -> bool:
        return self.look.alpha and self.form.alpha

    def to_yuv(self, pixels: Pixels, alpha: Pixels | None = None) -> VideoFrame:
        """Turn (H, W, 3) uint8 sRGB into a frame for the encoder: 4:2:0, BT.709, 16..235.

        ``alpha``, (H, W) uint8, is kept where the container holds it; elsewhere white is behind.
        """
        if alpha is not None and not self._keeps_alpha:
            pixels, self.laid_on_white = laid_on_white(pixels, alpha), True
        even = np.ascontiguousarray(padded(pixels, 1, multiple=2))
        frame = CONVERTERS.reformatter.reformat(
            VideoFrame.from_numpy_buffer(even, format="rgb24"),
            format=PIXELS,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            dst_colorspace=BT709,
            interpolation=TO_YUV,
            threads=1,
        )
        if self._keeps_alpha:
            frame = _with_alpha(frame, alpha)
        frame.colorspace = frame.color_primaries = frame.color_trc = BT709
        return frame

    def write(self, frame: VideoFrame, *, pts: int, duration: int) -> None:
        """Encode a frame of ``to_yuv``; times in units of ``look.time_base``."""
        frame.time_base, frame.pts, frame.duration = self.look.time_base, pts, duration
        self._begin = pts if self._begin is None else self._begin
        self._end = pts + duration
        self._mux(self._pictures.encode(frame))

    def _mux(self, packets: Sequence[Packet[VideoStream]]) -> None:
        if packets and self._first_dts is None:
            self._first_dts = packets[0].dts
        self._container.mux(packets)

    def carry(self, packet: Packet[Stream]) -> None:
        """Put in a packet of a declared track, with its times."""
        index = packet.stream.index
        track = self._tracks.get(index)
        if track is None:
            return
        if sound := self._sounds.get(index):
            for encoded in sound(packet):
                self._put(encoded, track)
            return
        if packet.pts is not None and packet.time_base:
            end = packet.pts + (packet.duration or 0)
            if end < 0 and end * packet.time_base < -PRIMING_S:
                return  # cut off by the source; Matroska would put all other tracks later instead
        packet.stream = track
        self._put(packet, track)

    def _put(self, packet: Packet[Any], track: Stream) -> None:
        self._forward(packet, track)
        try:
            self._container.mux(packet)
        except FFmpegError as error:
            if isinstance(error, OSError):  # a full disk, not a damaged packet
                raise
            self._refused += 1

    def _forward(self, packet: Packet[Any], track: Stream) -> None:
        # Muxers refuse a track whose time does not run forward, in ticks of their own.
        if packet.dts is None or not packet.time_base or not track.time_base:
            return
        tick = math.ceil(track.time_base / packet.time_base)
        late = self._reached.get(track.index, packet.dts - tick) + tick - packet.dts
        if late > 0:
            packet.dts += late
            packet.pts = None if packet.pts is None else max(packet.pts, packet.dts)
        self._reached[track.index] = packet.dts

    def finish(self) -> None:
        """Encode what is still under way."""
        for index, sound in self._sounds.items():
            for encoded in sound(None):
                self._put(encoded, self._tracks[index])
        last = self._pictures.encode(None)
        if last and self.form.muxer in FRONT:
            self._stretch(last[-1])
        self._mux(last)

    def _stretch(self, packet: Packet[VideoStream]) -> None:
        # These containers are as long as their decoding times, which B-frames put ahead.
        if packet.dts is None or self._first_dts is None or self._begin is None:
            return
        packet.duration = max(1, self._end - self._begin - (packet.dts - self._first_dts))


def _with_alpha(frame: VideoFrame, alpha: Pixels | None) -> VideoFrame:
    """Copy a 4:2:0 frame into one with a fourth plane; None is opaque."""
    both = VideoFrame(frame.width, frame.height, PIXELS_ALPHA)
    opacity = np.full((frame.height, frame.width), 255, np.uint8)
    if alpha is not None:
        opacity = padded(alpha[..., None], 1, multiple=2)[..., 0]
    for plane, source in zip(both.planes, (*frame.planes, None), strict=True):
        rows = opacity
        if source is not None:
            rows = np.frombuffer(memoryview(source), np.uint8).reshape(-1, source.line_size)[
                :, : source.width
            ]
        wide = np.zeros((plane.height, plane.line_size), np.uint8)
        wide[:, : plane.width] = rows[: plane.height]
        plane.update(wide.tobytes())
    return both


@contextmanager
def filming(path: Path, look: Look, *, tags: Mapping[str, str], target: Path) -> Iterator[Film]:
    """Open a video file for writing and close it with its index, also when the block fails.

    ``target`` is the name that it will have; its suffix names the format.

    Raises:
        OutputError: the suffix is none of FORMATS, or FFmpeg cannot write there.
    """
    form, kept = FORMATS[video_suffix(target)], own_tags(tags)
    free_tags = needs_free_tags(form, kept)
    options = muxer_options(form, free_tags=free_tags)
    with (
        translated(target),
        av.open(f"file:{path}", "w", format=form.muxer, options=options) as container,
    ):
        container.metadata.update(kept)
        yield Film(container, look, form=form, free_tags=free_tags)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn FFmpeg's refusals to encode or write into an OutputError; a full disk stays OSError."""
    try:
        yield
    except FFmpegError as error:
        if isinstance(error, OSError) and error.errno:
            raise
        other = ".mp4" if path.suffix.lower() == ".mkv" else ".mkv"
        raise OutputError(
            f"{path} cannot be encoded ({error.strerror}).",
            f"Try another suffix, e.g. {path.with_suffix(other).name}.",
        ) from error
