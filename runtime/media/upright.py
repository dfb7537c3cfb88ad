"""Frames as they are meant to be seen: turned by their display matrix, and deinterlaced."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from av.error import BlockingIOError as FilterWaitsError
from av.error import EOFError as FilterEndError
from av.filter import Graph
from av.video.frame import VideoFrame

Turn = tuple[int, ...]
"""The signs of a display matrix: where (x, y) goes is (a x + c y, b x + d y)."""
STRAIGHT, LEFT, OVER, RIGHT = (1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0)
ODD: Turn = ()
ANGLES: dict[int, Turn] = {0: STRAIGHT, 90: LEFT, 180: OVER, 270: RIGHT}  # counter-clockwise
Filters = tuple[tuple[str, str | None], ...]
# The filters of libavfilter that turn a frame upright.
TURNS: dict[Turn, Filters] = {
    STRAIGHT: (),
    LEFT: (("transpose", "cclock"),),
    OVER: (("hflip", None), ("vflip", None)),
    RIGHT: (("transpose", "clock"),),
    (-1, 0, 0, 1): (("hflip", None),),
    (1, 0, 0, -1): (("vflip", None),),
    (0, 1, 1, 0): (("transpose", "cclock_flip"),),
    (0, -1, -1, 0): (("transpose", "clock_flip"),),
}
# One frame out for each one in, and only of those that are marked as interlaced.
BWDIF: Filters = (("bwdif", "mode=send_frame:parity=auto:deint=interlaced"),)
BWDIF_LEAST = 4  # pixels of a side


class Upright:
    """Send frames through libavfilter before they become RGB; most need no filter at all."""

    def __init__(self, *, deinterlace: bool = True) -> None:
        """Begin with no filter; a chain is built for each new size and kind of frame."""
        self.odd_angle = self.sideways = self.interlaced = False
        self._deinterlace = deinterlace
        self._turns: dict[int, Turn] = {}
        self._chain: _Chain | None = None

    def __call__(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        """Yield the frames that are ready: mostly this one, or the one before when deinterlacing."""
        turn = self.turn(frame)
        self.sideways = turn[:1] == (0,)
        filters = TURNS.get(turn)
        if filters is None:
            self.odd_angle = True
        self.interlaced |= frame.interlaced_frame
        if self._deinterlace and self.interlaced and min(frame.width, frame.height) >= BWDIF_LEAST:
            filters = BWDIF + (filters or ())
        key = (frame.width, frame.height, frame.format.name, filters or ())
        if self._chain is not None and self._chain.key != key:
            yield from self.rest()
        if not filters:
            yield frame
            return
        self._chain = self._chain or _Chain(frame, key)
        yield from self._chain.push(frame)

    def rest(self) -> Iterator[VideoFrame]:
        """Yield what is still inside, at the end."""
        if self._chain is not None:
            yield from self._chain.push(None)
        self._chain = None

    def turn(self, frame: VideoFrame) -> Turn:
        """Look up the display matrix; a mirror shows in it, but not in the angle.

        Only the first frame of each angle is asked for it: PyAV ties a frame whose side data was
        read into a cycle, so all of them would stay in memory until the garbage collector runs.
        """
        angle = frame.rotation
        if angle not in self._turns:
            self._turns[angle] = _matrix(frame)
        return self._turns[angle]


class _Chain:
    """One chain of filters for frames of one size and format."""

    def __init__(self, frame: VideoFrame, key: tuple[int, int, str, Filters]) -> None:
        self.key = key
        self._base = frame.time_base or Fraction(1, 1000)
        self._graph = _graph(frame, self._base, key[-1])
        self._like = frame

    def push(self, frame: VideoFrame | None) -> Iterator[VideoFrame]:
        """Give it a frame, None at the end, and yield what comes out, with the frame's own tags."""
        if frame is not None:
            self._like = frame
        self._graph.push(frame)
        while True:
            try:
                out = self._graph.pull()
            except (FilterWaitsError, FilterEndError):
                return
            assert isinstance(out, VideoFrame)
            like = self._like
            out.colorspace, out.color_range = like.colorspace, like.color_range
            out.color_primaries, out.color_trc = like.color_primaries, like.color_trc
            if out.pts is not None and out.time_base not in (None, self._base):
                out.pts = round(out.pts * out.time_base / self._base)  # bwdif counts in halves
            out.time_base, out.duration = self._base, like.duration
            yield out


def _matrix(frame: VideoFrame) -> Turn:
    try:
        matrix = bytes(frame.side_data["DISPLAYMATRIX"])  # type: ignore[typeddict-item]
    except KeyError:
        return STRAIGHT
    except ValueError:  # PyAV stumbles over kinds of side data that it does not know
        return ANGLES.get(frame.rotation % 360, ODD)
    values = np.frombuffer(matrix, np.int32)[[0, 1, 3, 4]]
    # 16.16 fixed point; a scale is not for us, so only the direction counts.
    return tuple(np.rint(values / max(1, np.abs(values).max())).astype(int).tolist())


def _graph(frame: VideoFrame, base: Fraction, filters: Filters) -> Graph:
    graph = Graph()
    last = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=base
    )
    for name, arguments in (*filters, ("buffersink", None)):
        added = graph.add(name, arguments)
        last.link_to(added)
        last = added
    graph.configure()
    return graph
