"""Frames between processes: slots of shared memory, owned by whoever was sent the number last.

The writer (a source process) fills a free slot and sends its number; the reader sends the number
back when nobody looks at the frame any more. Both go through one socket, so there is nothing to
race for, and when no slot is free the writer drops the frame and counts it. Standard library and
NumPy only: sources run in interpreters that have little else.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from stylepress.picture import Pixels

SLOTS = 6
CHANNELS = 3
FRAME = struct.Struct("<cBxxIIQQQQ")
"""b"F", slot, width, height, number, captured ns, dropped for want of a slot, corrupt ones."""
MESSAGE_LIMIT = 16_384
Reply = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Sent:
    """What the writer says about one frame; the counts run since its process began."""

    slot: int
    width: int
    height: int
    number: int
    captured_ns: int
    crowded: int
    corrupt: int


class SlotMemory:
    """Shared memory for ``SLOTS`` frames of at most ``limit_pixels``; only what is used is real."""

    def __init__(self, limit_pixels: int, file: int | None = None) -> None:
        """Make the memory, or map that of the file descriptor that another process made."""
        self.limit_pixels = limit_pixels
        self.slot_bytes = -(-limit_pixels * CHANNELS // mmap.PAGESIZE) * mmap.PAGESIZE
        self.file = os.memfd_create("stylepress") if file is None else file
        if file is None:
            os.ftruncate(self.file, self.slot_bytes * SLOTS)
        self._map = mmap.mmap(self.file, self.slot_bytes * SLOTS)

    def frame(self, slot: int, height: int, width: int) -> Pixels:
        """Return the (height, width, 3) uint8 view of a slot.

        Raises:
            ValueError: there is no such slot, or a frame of that size does not fit.
        """
        if not 0 <= slot < SLOTS or not 0 < height * width <= self.limit_pixels:
            raise ValueError(f"slot {slot} of {width}x{height}")
        view = np.frombuffer(self._map, np.uint8, height * width * CHANNELS, slot * self.slot_bytes)
        return view.reshape(height, width, CHANNELS)

    def close(self) -> None:
        """Let the memory go; views that are still held keep it until they end."""
        os.close(self.file)
        with suppress(BufferError):  # the last view frees it
            self._map.close()


class SlotWriter:
    """The end of a source process: pictures and events out, free slots back in."""

    def __init__(self, memory: SlotMemory, line: socket.socket) -> None:
        """Take the mapped memory and the socket; all slots are free."""
        self.memory, self._line = memory, line
        self._free = list(range(SLOTS))
        self.number = self.crowded = self.corrupt = 0

    def slot(self) -> int | None:
        """Take a free slot for the next frame; None, counted, when there is none."""
        self.number += 1
        self._collect()
        if not self._free:
            self.crowded += 1
            return None
        return self._free.pop()

    def send(self, slot: int, height: int, width: int, captured_ns: int) -> None:
        """Hand over a slot that was filled; ``captured_ns`` is of the monotonic clock."""
        counts = (self.number, captured_ns, self.crowded, self.corrupt)
        self._line.send(FRAME.pack(b"F", slot, width, height, *counts))

    def write(self, pixels: Pixels, captured_ns: int) -> None:
        """Copy (H, W, 3) uint8 into a free slot and hand it over, or drop it."""
        slot = self.slot()
        if slot is not None:
            height, width = pixels.shape[:2]
            np.copyto(self.memory.frame(slot, height, width), pixels)
            self.send(slot, height, width, captured_ns)

    def tell(self, event: str, **facts: Any) -> None:
        """Send an event: ``opened``, ``lost``, ``ended``, with the counts up to now.

        The last frames of a source may find no slot, and no frame comes after them to say so.
        """
        counts = {"crowded": self.crowded, "corrupt": self.corrupt}
        text = json.dumps({"event": event, **counts, **facts})[: MESSAGE_LIMIT - 1]
        self._line.send(b"E" + text.encode())

    def wait_for_go(self) -> None:
        """Wait until the other side wants frames; leave when it is gone."""
        while (message := self._line.recv(16)) != b"G":
            if not message:
                raise SystemExit(0)

    def _collect(self) -> None:
        while True:
            try:
                message = self._line.recv(16, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            if not message:  # the daemon is gone
                raise SystemExit(0)
            if message[:1] == b"R":
                self._free.append(message[1])


class SlotReader:
    """The daemon's end: frames and events in, free slots back out."""

    def __init__(self, memory: SlotMemory, line: socket.socket) -> None:
        """Take the memory and the socket."""
        self.memory, self._line = memory, line

    def go(self) -> None:
        """Ask the source process to open its input."""
        self._line.send(b"G")

    def receive(self, timeout_s: float) -> Sent | dict[str, Any] | None:
        """Wait for a frame or an event; None when nothing came in time.

        Raises:
            EOFError: the source process is gone.
            ValueError: it sent what makes no sense.
        """
        self._line.settimeout(timeout_s)
        try:
            try:
                message = self._line.recv(MESSAGE_LIMIT)
            except ConnectionResetError:
                # It ended before it read the slots given back: Linux says so once, ahead of what
                # the process sent last.
                message = self._line.recv(MESSAGE_LIMIT)
        except TimeoutError:
            return None
        except OSError as error:
            raise EOFError from error
        if not message:
            raise EOFError
        if message[:1] == b"F" and len(message) == FRAME.size:
            return Sent(*FRAME.unpack(message)[1:])
        event = json.loads(message[1:])
        if message[:1] != b"E" or not isinstance(event, dict):
            raise ValueError("a message of no known kind")
        return event

    def release(self, slot: int) -> None:
        """Give a slot back; a process that is gone needs none."""
        with suppress(OSError):
            self._line.send(bytes((ord("R"), slot)), socket.MSG_DONTWAIT)

    def close(self) -> None:
        """Close the socket and the memory."""
        self._line.close()
        self.memory.close()


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets that keep messages apart."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
