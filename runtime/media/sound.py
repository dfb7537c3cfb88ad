"""Sound and other tracks on their way into another container: copied, or encoded so that they fit."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import av
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec import Codec
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream

from stylepress.runtime.media.formats import Format

Carried = Literal["copied", "encoded", "dropped"]
SOUND_BITS, CHANNEL_BITS = 192_000, 64_000
# Where so many channels stand when a file names only their number: the order of WAVE.
UNNAMED = {
    1: "mono",
    2: "stereo",
    3: "3.0",
    4: "quad",
    5: "5.0",
    6: "5.1",
    7: "6.1",
    8: "7.1",
}
SIDE_TO_BACK = {"SL": "BL", "SR": "BR"}


@dataclass(frozen=True, slots=True)
class Carriage:
    """What becomes of a track; ``rate`` in Hz and ``layout`` are those of sound that is encoded."""

    how: Carried
    rate: int = 0
    layout: str = ""

    def remark(self, track: Stream, form: Format) -> str | None:
        """Tell in one sentence what does not stay as it is; None when all does."""
        if self.how == "copied":
            return None
        what = f"its {track.type} stream {track.index} ({track.codec_context.name}) does not fit"
        if not isinstance(track, AudioStream) or self.how == "dropped":
            return f"{what} into the output and was dropped"
        before = track.codec_context.layout.name, track.codec_context.sample_rate
        change = ""
        if before != (self.layout, self.rate):
            change = f", {before[0]} at {before[1]} Hz as {self.layout} at {self.rate} Hz"
        encoder = form.sound.removeprefix("lib")
        return f"{what} into the output and was encoded as {encoder}{change}"


def carriage(track: Stream, form: Format) -> Carriage:
    """Find out what a container does with a track, by asking its muxer for a header in memory."""
    name = track.codec_context.name
    refused = form.refuses is not None and name.startswith(form.refuses)
    if not refused and _accepted(form, lambda c: c.add_stream_from_template(track)):
        return Carriage("copied")
    if isinstance(track, AudioStream):
        rate = _rate(track.codec_context.sample_rate, form.sound)
        for layout in _layouts(track.codec_context.layout, form.layouts):
            if _accepted(form, lambda c, to=layout: add_sound(c, form.sound, rate, to)):  # type: ignore[misc]
                return Carriage("encoded", rate, layout)
    return Carriage("dropped")


def _accepted(form: Format, add: Callable[[OutputContainer], Stream]) -> bool:
    try:
        with av.open(io.BytesIO(), "w", format=form.muxer) as trial:
            add(trial)
            trial.start_encoding()
    except (FFmpegError, ValueError, TypeError):
        return False
    return True


def add_sound(container: OutputContainer, encoder: str, rate: int, layout: str) -> AudioStream:
    """Declare a stream of sound that is encoded."""
    stream = container.add_stream(encoder, rate=rate, layout=layout)
    assert isinstance(stream, AudioStream)
    channels = AudioLayout(layout).nb_channels
    stream.codec_context.bit_rate = max(SOUND_BITS, CHANNEL_BITS * channels)
    return stream


def _rate(rate: int, encoder: str) -> int:
    """Return the rate in Hz that the encoder takes and that loses least: the next higher one."""
    rates = Codec(encoder, "w").audio_rates
    return min((r for r in rates if r >= rate), default=max(rates)) if rates else rate


def _layouts(layout: AudioLayout, taken: Sequence[str] | None) -> list[str]:
    """Return layouts to try in turn: as it is, else those that keep most channels, small ones first.

    >>> _layouts(AudioLayout("5.1(side)"), None)[:2], _layouts(AudioLayout("4.0"), None)[1]
    (['5.1(side)', '5.1'], '5.0')
    """
    if not _is_named(layout):
        if layout.nb_channels not in UNNAMED:
            return []
        layout = AudioLayout(UNNAMED[layout.nb_channels])
    own = {channel.name for channel in layout.channels}
    if not own & {"BL", "BR"}:
        own = {SIDE_TO_BACK.get(name, name) for name in own}

    def lost(name: str) -> tuple[int, int]:
        kept = {channel.name for channel in AudioLayout(name).channels}
        if "BL" in kept:
            kept.add("BC")  # the resampler spreads it over both
        return len(own - kept), len(kept)

    names = [layout.name, *sorted(UNNAMED.values(), key=lost)]
    return [name for name in names if taken is None or name in taken]


def _is_named(layout: AudioLayout) -> bool:
    return not layout.name.endswith("channels")


class SoundEncoder:
    """Sound of one track, decoded and encoded again; what is damaged is passed over and counted."""

    def __init__(self, track: AudioStream, stream: AudioStream) -> None:
        """Take the track that is read and the stream to encode into."""
        self.damaged = 0
        self._track, self._stream = track, stream
        self._shape: tuple[object, ...] | None = None
        self._resampler: AudioResampler | None = None

    def __call__(self, packet: Packet[Stream] | None) -> Iterator[Packet[AudioStream]]:
        """Yield the packets that are ready; None is the end, and yields what is still inside."""
        try:
            frames = self._track.decode(packet)
        except FFmpegError:  # a gap in the sound
            self.damaged += 1
            frames = []
        for frame in frames:
            yield from self._encoded(frame)
        if packet is None:
            yield from self._encoded(None)

    def _encoded(self, frame: AudioFrame | None) -> list[Packet[AudioStream]]:
        try:
            packets = [p for fitted in self._fitted(frame) for p in self._stream.encode(fitted)]
            return packets if frame is not None else [*packets, *self._stream.encode(None)]
        except (FFmpegError, ValueError):
            self.damaged += 1
            return []

    def _fitted(self, frame: AudioFrame | None) -> Iterator[AudioFrame]:
        """Yield sound as the encoder takes it; a broadcast changes layout or rate on its way."""
        shape = None
        if frame is not None:
            shape = (frame.format.name, frame.layout.name, frame.sample_rate, frame.time_base)
        if shape != self._shape:
            if self._resampler is not None:
                yield from self._resampler.resample(None)
            wanted = self._stream.codec_context
            self._shape, self._resampler = (
                shape,
                AudioResampler(wanted.format, wanted.layout, wanted.sample_rate),
            )
        if frame is not None and self._resampler is not None:
            for named in _named(frame):
                yield from self._resampler.resample(named)


def _named(frame: AudioFrame) -> Iterator[AudioFrame]:
    """Yield sound of so many channels as that of the usual layout of so many."""
    if _is_named(frame.layout):
        yield frame
        return
    # PyAV 18 crashes on arrays of 8 planes, so that channels are interleaved first.
    for packed in AudioResampler(frame.format.packed).resample(frame):
        named = AudioFrame.from_ndarray(
            packed.to_ndarray(),
            format=packed.format.name,
            layout=UNNAMED[frame.layout.nb_channels],
        )
        named.sample_rate, named.pts = packed.sample_rate, packed.pts
        named.time_base = packed.time_base
        yield named
