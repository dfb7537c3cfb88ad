"""The clock of a recording: one time line from 0, whatever its counters do."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from fractions import Fraction

from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

WRAP_S = Fraction(1 << 33, 90_000)
"""The time stamps of MPEG streams are counters of 33 bits at 90 kHz: they begin anew each 26.5 h."""
BROADCAST = frozenset({"mpegts", "mpeg"})
"""Formats whose clocks may jump in the middle, also forward: they are cut out of transmissions."""
BACK_S, AHEAD_S = Fraction(1, 2), Fraction(10)
EMPTY_BYTES = 19
"""MPEG-4 in AVI: a packet up to this size says that the last picture stays; FFmpeg's own limit."""


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
        self._reached: dict[int, Fraction] = {}
        self._taken: dict[int, Fraction] = {}

    def settle(self, packet: Packet[Stream]) -> None:
        """Put the times of a packet on the line, in place."""
        index, base = packet.stream.index, packet.time_base
        if base is None:
            return
        if packet.dts is not None:
            shift = self._shift(index, packet.dts * base, (packet.duration or 0) * base)
            self._taken[index] = shift
            self._reached[index] = packet.dts * base + shift
            packet.dts += round(shift / base)
        if packet.pts is not None:
            packet.pts += round(self._taken.get(index, self._shifts[0]) / base)

    def _shift(self, index: int, time: Fraction, lasts: Fraction) -> Fraction:
        reached = self._reached.get(index)
        if reached is None:
            return self._shifts[0]
        for shift in self._shifts:
            if self._follows(time + shift - reached):
                return shift
        behind = reached - (time + self._shifts[0])
        wraps = round(behind / WRAP_S)
        if wraps > 0 and self._follows(wraps * WRAP_S - behind):
            new = self._shifts[0] + wraps * WRAP_S
        else:
            self.restarts += 1
            new = reached + lasts - time
        self._shifts = [new, self._shifts[0]]
        return new

    def _follows(self, step: Fraction) -> bool:
        return step >= -BACK_S and (step <= AHEAD_S or not self._broadcast)


class Slots:
    """The times of frames in AVI and ASF, which name none: the first one out has the first slot.

    FFmpeg guesses them, and is late by as many frames as the decoder reorders. A slot is a packet
    that holds a picture. Pictures packed two in one (as VfW wrote MPEG-4) are unpacked first.
    """

    def __init__(self, pictures: VideoStream) -> None:
        """Take the picture stream."""
        self._mpeg4 = pictures.codec_context.name == "mpeg4"
        self._unpacker = (
            BitStreamFilterContext("mpeg4_unpack_bframes", pictures) if self._mpeg4 else None
        )
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
        least = EMPTY_BYTES if self._mpeg4 else 0
        if packet is not None and packet.dts is not None and packet.size > least:
            heapq.heappush(self._waiting, packet.dts)

    def lost(self, packet: Packet[Stream] | None) -> None:
        """Take back a packet that the decoder refused."""
        if packet is not None and packet.dts in self._waiting:
            self._waiting.remove(packet.dts)
            heapq.heapify(self._waiting)

    def next(self) -> int | None:
        """Return the time of the frame that came out, in units of the stream."""
        return heapq.heappop(self._waiting) if self._waiting else None
