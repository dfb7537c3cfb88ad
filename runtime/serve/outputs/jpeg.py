"""JPEG pictures for web viewers: each frame encoded once, each viewer given only the newest."""

from __future__ import annotations

import asyncio
import io
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from PIL import Image

from stylepress.picture import Pixels
from stylepress.runtime.serve.stream import Shown

View = Literal["after", "both"]


@dataclass(frozen=True, slots=True)
class Jpeg:
    """One encoded picture; number 0 is a slate."""

    number: int
    captured_ns: int
    data: bytes
    style: str = ""


@dataclass(slots=True, eq=False)
class Viewer:
    """Somebody who looks: the newest picture waits here, an older one gives way and is counted."""

    view: View
    protocol: str
    loop: asyncio.AbstractEventLoop
    offered: int = 0
    delivered: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    _latest: Jpeg | None = None
    _event: asyncio.Event = field(default_factory=asyncio.Event)
    _closed: bool = False

    async def next(self) -> Jpeg | None:
        """Wait for the newest picture; None when the stream is over."""
        while self._latest is None:
            if self._closed:
                return None
            self._event.clear()
            await self._event.wait()
        picture, self._latest = self._latest, None
        return picture

    def sent(self, picture: Jpeg) -> None:
        """Count a picture that went out."""
        self.delivered += picture.number > 0

    def put(self, picture: Jpeg) -> None:
        """Take a picture, in the loop's thread."""
        if self._latest is not None and self._latest.number:
            self.dropped["slow_reader"] += 1
        self._latest = picture
        self._event.set()

    def close(self) -> None:
        """Wake it up to leave, in the loop's thread."""
        self._closed = True
        self._event.set()

    def leave(self) -> None:
        """Count what it leaves behind."""
        if self._latest is not None and self._latest.number:
            self.dropped["left"] += 1
        self._latest = None


class JpegOutput:
    """The thread that encodes the pictures of one stream, while anybody looks."""

    name = "web"

    def __init__(self, stream: str, quality: int) -> None:
        """Take the stream's name and JPEG's quality, 30..95."""
        self.quality = quality
        self.viewers: tuple[Viewer, ...] = ()
        self._gone = Viewer("after", "", asyncio.new_event_loop())
        self._gone.loop.close()
        self._pending: tuple[Shown, tuple[Viewer, ...]] | None = None
        self._ready = threading.Condition()
        self._left = False
        self._thread = threading.Thread(target=self._work, name=f"jpeg {stream}", daemon=True)
        self._thread.start()

    def add(self, viewer: Viewer) -> None:
        """Let a viewer look."""
        with self._ready:
            self.viewers = (*self.viewers, viewer)

    def remove(self, viewer: Viewer) -> None:
        """Let a viewer leave; what became of its pictures is kept in the sums."""
        with self._ready:
            self.viewers = tuple(other for other in self.viewers if other is not viewer)
            viewer.leave()
            self._gone.offered += viewer.offered
            self._gone.delivered += viewer.delivered
            missing = viewer.offered - viewer.delivered - sum(viewer.dropped.values())
            self._gone.dropped.update(viewer.dropped)
            self._gone.dropped["left"] += missing  # was being encoded or sent when it left

    def offer(self, shown: Shown) -> None:
        """Take a frame; the one that waits to be encoded gives way."""
        viewers = self.viewers
        if not viewers:
            return
        if shown.before is not None:
            shown.before.hold()
        with self._ready:
            old, self._pending = self._pending, (shown, viewers)
            if shown.number:
                for viewer in viewers:
                    viewer.offered += 1
            self._ready.notify()
        if old is not None:
            self._dropped(*old)

    def facts(self) -> dict[str, Any]:
        """Return the sums over all viewers, those that left among them."""
        everyone = (self._gone, *self.viewers)
        dropped: Counter[str] = Counter()
        for viewer in everyone:
            dropped.update(viewer.dropped)
        return {
            "viewers": len(self.viewers),
            "offered": sum(viewer.offered for viewer in everyone),
            "delivered": sum(viewer.delivered for viewer in everyone),
            "dropped": {reason: count for reason, count in dropped.items() if count},
        }

    def close(self) -> None:
        """End the thread and wake every viewer to leave."""
        self._left = True
        with self._ready:
            self._ready.notify()
        for viewer in self.viewers:
            _soon(viewer, viewer.close)
        self._thread.join(2.0)

    def _dropped(self, shown: Shown, viewers: tuple[Viewer, ...]) -> None:
        if shown.before is not None:
            shown.before.release()
        if shown.number:
            for viewer in viewers:
                viewer.dropped["busy"] += 1

    def _work(self) -> None:
        while True:
            with self._ready:
                while self._pending is None and not self._left:
                    self._ready.wait()
                work, self._pending = self._pending, None
            if work is None or self._left:
                if work is not None:
                    self._dropped(*work)
                return
            shown, viewers = work
            encoded: dict[View, Jpeg] = {}
            for viewer in viewers:
                if viewer.view not in encoded:
                    encoded[viewer.view] = self._encode(shown, viewer.view)
                _soon(viewer, viewer.put, encoded[viewer.view])
            if shown.before is not None:
                shown.before.release()

    def _encode(self, shown: Shown, view: View) -> Jpeg:
        pixels = shown.pixels
        if view == "both":
            before = pixels if shown.before is None else shown.before.pixels
            pixels = np.concatenate([before, pixels], axis=1)
        data = encode_jpeg(pixels, self.quality)
        return Jpeg(shown.number, shown.captured_ns, data, shown.style)


def encode_jpeg(pixels: Pixels, quality: int) -> bytes:
    """Encode (H, W, 3) uint8 RGB."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _soon(viewer: Viewer, call: Any, *arguments: Any) -> None:
    with suppress(RuntimeError):  # the loop is over, and the viewer with it
        viewer.loop.call_soon_threadsafe(call, *arguments)
