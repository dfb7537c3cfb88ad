"""The clock of a recording: one time line from 0, whatever its counters do."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from stylepress.runtime.media.vop import PictureHeaders

WRAP_S = Fraction(1 << 33, 90_000)
"""The time stamps of MPEG streams are counters of 33 bits at 90 kHz: they begin anew each 26.5 h."""
BROADCAST = frozenset({"mpegts", "mpeg"})
"""Formats whose clocks may jump in the middle, also forward: they are cut out of transmissions."""
BACK_S, AHEAD_S = Fraction(1, 2), Fraction(10)
ENDLESS = 1 << 62  # ticks


@dataclass(slots=True)
class _Line:
    """Where one stream is, in ticks of its own: plain numbers, for this is done for every packet."""

    base: Fraction
    shift: int
    reached: int
    least: int
    most: int
    jumps: int
    end: int = 0


class Clock:
    """Let time run on where the counters of a file begin anew or jump; not safe for threads.

    A jump is seen first in one stream, while packets of another still come from before it, so the
    two latest shifts are both tried.
    """

    def __init__(self, container: str) -> None:
        """Take FFmpeg's name of the container."""
        self.restarts = 0
        self._broadcast = container in BROADCAST
        self._shifts = [Fraction(0)]
        self._jumps = 0
        self._lines: dict[int, _Line] = {}

    @property
    def end_s(self) -> float:
        """The latest time that a packet lasts to."""
        return max((float(line.end * line.base) for line in self._lines.values()), default=0.0)

    def most_ahead(self, base: Fraction) -> int:
        """Return the longest step of time that is no jump, in ticks of ``base`` seconds."""
        return math.ceil(AHEAD_S / base) if self._broadcast else ENDLESS

    def settle(self, packet: Packet[Stream]) -> None:
        """Put the times of a packet on the line, in place."""
        line = self._lines.get(packet.stream.index) or self._line(packet)
        if line is None:
            return
        dts, pts = packet.dts, packet.pts
        if dts is not None:
            step = dts + line.shift - line.reached
            if line.jumps != self._jumps or not line.least <= step <= line.most:
                self._place(line, dts, packet.duration or 0)
            line.reached = dts + line.shift
        if line.shift:
            packet.dts = None if dts is None else dts + line.shift
            packet.pts = None if pts is None else pts + line.shift
        shown = dts if pts is None else pts
        if shown is not None:
            line.end = max(line.end, shown + line.shift + (packet.duration or 0))

    def _line(self, packet: Packet[Stream]) -> _Line | None:
        base = packet.time_base
        if base is None or packet.dts is None:
            return None
        shift = round(self._shifts[0] / base)
        most, least = self.most_ahead(base), -int(BACK_S / base)
        line = _Line(base, shift, packet.dts + shift, least, most, self._jumps)
        self._lines[packet.stream.index] = line
        return line

    def _place(self, line: _Line, dts: int, lasts: int) -> None:
        """Choose the shift of a stream whose time jumps, or after a jump of another stream."""
        time, reached = dts * line.base, line.reached * line.base
        for shift in self._shifts:
            if self._follows(time + shift - reached):
                break
        else:
            shift = self._new_shift(time, reached, lasts * line.base)
        line.shift = round(shift / line.base)
        if shift == self._shifts[0]:
            line.jumps = self._jumps

    def _new_shift(self, time: Fraction, reached: Fraction, lasts: Fraction) -> Fraction:
        behind = reached - (time + self._shifts[0])
        wraps = round(behind / WRAP_S)
        if wraps > 0 and self._follows(wraps * WRAP_S - behind):
            shift = self._shifts[0] + wraps * WRAP_S
        else:
            self.restarts += 1
            shift = reached + lasts - time
        self._shifts = [shift, self._shifts[0]]
        self._jumps += 1
        return shift

    def _follows(self, step: Fraction) -> bool:
        return step >= -BACK_S and (step <= AHEAD_S or not self._broadcast)


class Slots:
    """The times of frames in AVI and ASF, which name none: the first one out has the first slot.

    FFmpeg guesses them, and is late by as many frames as the decoder reorders. A slot is a packet
    that holds a picture. Pictures packed two in one (as VfW wrote MPEG-4) are unpacked first.
    """

    def __init__(self, pictures: VideoStream) -> None:
        """Take the picture stream."""
        self._unpacker: BitStreamFilterContext | None = None
        self._headers: PictureHeaders | None = None
        if pictures.codec_context.name == "mpeg4":
            self._unpacker = BitStreamFilterContext("mpeg4_unpack_bframes", pictures)
            self._headers = PictureHeaders(pictures.codec_context.extradata)
        self._waiting: list[int] = []

    def unpacked(self, packet: Packet[Stream] | None) -> Iterator[Packet[Stream] | None]:
        """Yield a packet for each picture, then None when the end was given."""
        if self._unpacker is None:
            yield packet
            return
        stream = packet.stream if packet is not None else None
        for single in self._unpacker.filter(packet):
            if stream is not None:
                single.stream = stream
            yield single
        if packet is None:
            yield None

    def sent(self, packet: Packet[Stream] | None) -> None:
        """Note a packet that the decoder is given."""
        if packet is None or packet.dts is None or not packet.size:
            return
        if self._headers is None or self._headers.picture(bytes(packet)):
            heapq.heappush(self._waiting, packet.dts)

    def lost(self, packet: Packet[Stream] | None) -> None:
        """Take back a packet that the decoder refused."""
        if packet is not None and packet.dts in self._waiting:
            self._waiting.remove(packet.dts)
            heapq.heapify(self._waiting)

    def next(self) -> int | None:
        """Return the time of the frame that came out, in units of the stream."""
        return heapq.heappop(self._waiting) if self._waiting else None
