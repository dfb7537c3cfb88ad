"""A video file as it is read: upright frames, their times from 0, and the sound beside them."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame

from stylepress.runtime.media.clock import Clock, Slots
from stylepress.runtime.media.colour import HDR_CURVES, PEAK_CD_M2, PQ, PRIMARIES, peak_of
from stylepress.runtime.media.lanes import Stages
from stylepress.runtime.media.streams import STILLS, Clip
from stylepress.runtime.media.upright import Upright

Sound: TypeAlias = "Packet[Stream]"

DECLARED = ("mov", "matroska", "avi")  # their header says how long they are
UNTIMED = frozenset(("avi", "asf"))  # they count packets as they are decoded
EARLY_S = 0.5


@dataclass(frozen=True, slots=True)
class Shot:
    """One upright frame and when it is shown, in units of the clip's time base."""

    frame: VideoFrame
    pts: int
    duration: int


class Reader:
    """Read a clip once: its frames, upright and in time, and between them its other packets.

    Time runs from 0, where the first frame or sound is. What is damaged is passed over and counted;
    when the file ends early, what came until then counts as all. ``complete`` tells whether the end
    was reached, and not stopped before.
    """

    def __init__(
        self, clip: Clip, *, stop: threading.Event, stages: Stages, deinterlace: bool = True
    ) -> None:
        """Take an opened clip; ``stop`` ends the reading before the next packet."""
        self.clip, self.stop, self.stages = clip, stop, stages
        self.path, self.expected = clip.path, clip.frames
        self.rate, self.time_base, self.aspect = clip.rate, clip.time_base, clip.aspect
        self.complete = False
        self.frames = self.damaged = self.jumps = 0
        self.begin = Fraction(0)
        self.trouble = ""
        self.peak = PEAK_CD_M2
        self._curve: int | None = None
        self._gamut: int | None = None
        self._step = max(1, round(1 / (clip.rate * clip.time_base)))
        self._clock = Clock(clip.container.format.name)
        self._most = self._clock.most_ahead(clip.time_base)
        self._last: int | None = None
        self._begins: dict[int, int] = {}
        self._slots = Slots(clip.pictures) if clip.container.format.name in UNTIMED else None
        self.upright = Upright(deinterlace=deinterlace)
        self._deinterlace = deinterlace

    def __iter__(self) -> Generator[Shot | Sound, None, None]:
        """Yield shots and packets in the order of the file; a shot lasts until the next begins."""
        early: list[Sound] | None = []
        held: Shot | None = None
        for item in self._items():
            if isinstance(item, Packet):
                if early is not None:
                    early.append(item)
                elif self._from_zero(item):
                    yield item
                continue
            if early is not None:
                self.begin = self._beginning(item)
                yield from filter(self._from_zero, early)
                early = None
            shot = self._timed(item)
            if held is not None:
                yield Shot(held.frame, held.pts, shot.pts - held.pts)
            held = shot
        if held is not None:
            yield held

    @property
    def sideways(self) -> bool:
        """Whether the frames were turned by a quarter, and with them the shape of their pixels."""
        return self.upright.sideways

    def _items(self) -> Iterator[VideoFrame | Sound]:
        clip = self.clip
        packets = clip.container.demux(clip.pictures, *clip.tracks)
        while not self.stop.is_set():
            try:
                packet = next(packets, None)
            except (FFmpegError, IndexError) as error:
                self.trouble = str(getattr(error, "strerror", error))
                packet = None
            if packet is None:
                yield from self._decoded(None)
                yield from self.upright.rest()
                self.complete = True
                return
            ours = packet.stream.index == clip.pictures.index
            if not packet.size:
                continue  # a frame left out, or the end of one stream: all are flushed together
            self._clock.settle(packet)
            if ours:
                yield from self._decoded(packet)
            elif packet.dts is not None or Disposition(packet.stream.disposition) & STILLS:
                yield packet

    def _beginning(self, first: VideoFrame) -> Fraction:
        """Return where 0 lies: at the first frame, or at the sound that begins before it."""
        clip = self.clip
        times = [
            track.start_time * track.time_base
            for track in clip.tracks
            if track.type == "audio" and track.start_time is not None and track.time_base
        ]
        if first.pts is not None:
            times.append(first.pts * clip.time_base)
        return min(times, default=Fraction(0))

    def _from_zero(self, packet: Sound) -> bool:
        """Count the times of a packet from 0, in place; False for a subtitle that ends before."""
        if self.begin:
            begin = self._begins.get(packet.stream.index)
            if begin is None and packet.time_base:
                begin = self._begins[packet.stream.index] = round(self.begin / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - (begin or 0)
            packet.dts = None if packet.dts is None else packet.dts - (begin or 0)
        if packet.stream.type != "subtitle" or packet.pts is None or packet.pts >= 0:
            return True
        left = packet.pts + (packet.duration or 0)
        packet.pts = packet.dts = 0
        packet.duration = max(0, left)
        return left > 0

    def _decoded(self, packet: Sound | None) -> Iterator[VideoFrame]:
        slots = self._slots
        for single in slots.unpacked(packet) if slots else (packet,):
            with self.stages.inside("decode"):
                if slots:
                    slots.sent(single)
                try:
                    frames = self.clip.decoder.decode(single)
                except FFmpegError:
                    self.damaged += 1
                    if slots:
                        slots.lost(single)
                    continue
            for frame in frames:
                if slots:
                    frame.pts = slots.next()
                yield from self._prepared(frame)

    def _prepared(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        self.damaged += frame.is_corrupt
        if self._curve is None and frame.color_trc in HDR_CURVES:
            self._curve = frame.color_trc
            self.peak = peak_of(frame) if self._curve == PQ else self.peak
        if frame.color_primaries in PRIMARIES:
            self._gamut = frame.color_primaries
        yield from self.upright(frame)

    def _timed(self, frame: VideoFrame) -> Shot:
        self.frames += 1
        pts = frame.pts
        if pts is not None and self.begin:
            pts -= round(self.begin / self.time_base)
        if self._last is not None and not self._follows(pts, self._last):
            self.jumps += pts is not None
            pts = self._last + self._step
        self._last = pts or 0
        return Shot(frame, self._last, frame.duration or self._step)

    def _follows(self, pts: int | None, last: int) -> bool:
        return pts is not None and last < pts <= last + self._most

    def findings(self) -> list[str]:
        """Tell in one sentence each what was wrong with the clip, after it was read."""
        findings = [*self.clip.remarks]
        said = self.clip.seconds
        declared = self.clip.container.format.name.startswith(DECLARED)
        if self.complete and self.trouble:
            findings.append(f"reading ended with an error ({self.trouble})")
        if self.complete and said is not None and declared and self._clock.end_s < said - EARLY_S:
            findings.append(
                f"the file ends early, it is cut off: {self.frames} frames ({self._clock.end_s:.1f} s "
                f"of {said:.1f} s) were there and are kept"
            )
        if self.damaged:
            findings.append(f"{self.damaged} damaged packets or frames were passed over or patched")
        if restarts := self._clock.restarts:
            findings.append(f"its clock began anew {restarts} times; the parts follow each other")
        if self.jumps:
            findings.append(
                f"{self.jumps} frames had times that run backwards or far ahead; "
                f"they follow each other at the usual rate instead"
            )
        return findings + self._conversions()

    def _conversions(self) -> list[str]:
        conversions = []
        if self.upright.odd_angle:
            conversions.append("its rotation is no quarter turn and was left out")
        if self.upright.interlaced and self._deinterlace:
            conversions.append(
                "it is interlaced and was deinterlaced; `--no-deinterlace` leaves it"
            )
        elif self.upright.interlaced:
            conversions.append("it is interlaced and became progressive as it is, with its combs")
        if self._curve is not None:
            conversions.append(f"it is HDR ({HDR_CURVES[self._curve]}) and was tone-mapped to SDR")
        elif self._gamut is not None:
            conversions.append("its wide colours (BT.2020 or P3) were converted to BT.709")
        return conversions
