"""WebRTC by WHEP (out) and WHIP (the viewer's own camera in); needs the package aiortc.

A session is a POST of an offer and lives until its DELETE, or until the connection is lost. Every
viewer is encoded for on its own: for more than a few, push to a server that copies instead.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.video.frame import VideoFrame

from stylepress.runtime.media.colour import to_rgb
from stylepress.runtime.media.lanes import padded
from stylepress.runtime.serve.camera import PICTURE_PIXELS, Cameras
from stylepress.runtime.serve.control import bad_request, not_found, read_json, read_limited
from stylepress.runtime.serve.parts import Parts
from stylepress.runtime.serve.stream import Frame, Shown, Stream

SDP_BYTES = 64 << 10
CLOCK = Fraction(1, 90_000)
END_STATES = frozenset(("failed", "closed", "disconnected"))


@dataclass(slots=True)
class _Session:
    """One connection, the stream it sends when it sends one, and what is undone when it ends."""

    peer: RTCPeerConnection
    undo: Callable[[], Any]
    stream: Stream | None = None


class WebRtc:
    """The handlers, and the sessions that are open."""

    def __init__(self, parts: Parts, cameras: Cameras) -> None:
        self.parts, self.cameras = parts, cameras
        self.sessions: dict[str, _Session] = {}

    async def whep(self, request: web.Request) -> web.Response:
        """Answer an offer to watch a stream."""
        stream = self.parts.streams.get(request.match_info["stream"])
        if stream is None:
            raise not_found("stream")
        track = Track(asyncio.get_running_loop())
        peer = RTCPeerConnection()
        peer.addTrack(track)
        answer = await self._answer(request, peer, lambda: stream.detach(track.output))
        stream.attach(track.output)
        return answer

    async def whip(self, request: web.Request) -> web.Response:
        """Answer an offer to send a camera; the stream's name comes back in a header."""
        mine = [stream for stream in self.parts.streams.values() if stream.owner]
        if len(mine) >= self.parts.configuration.limits.cameras:
            raise web.HTTPServiceUnavailable(text='{"error": "Too many cameras are open."}')
        peer = RTCPeerConnection()
        stream = self.cameras.open_stream()

        @peer.on("track")
        def took(track: Any) -> None:
            if track.kind == "video":
                task = asyncio.ensure_future(_receive(track, stream))
                peer.once("close", task.cancel)

        def undo() -> None:
            self.cameras.close_stream(stream)

        try:
            answer = await self._answer(request, peer, undo, stream)
        except BaseException:
            undo()
            raise
        answer.headers["X-Stream"] = stream.name
        return answer

    async def change(self, request: web.Request) -> web.Response:
        """Change settings of the camera that a session sends: its address is known to its owner."""
        session = self.sessions.get(request.match_info["session"])
        if session is None or session.stream is None:
            raise not_found("session")
        await self.cameras.control.change(session.stream, await read_json(request))
        return web.json_response(session.stream.facts())

    async def delete(self, request: web.Request) -> web.Response:
        """End a session."""
        session = self.sessions.get(request.match_info["session"])
        if session is None:
            raise not_found("session")
        await self._end(request.match_info["session"])
        return web.Response()

    async def close(self) -> None:
        """End every session."""
        await asyncio.gather(*(self._end(name) for name in tuple(self.sessions)))

    async def _answer(
        self,
        request: web.Request,
        peer: RTCPeerConnection,
        undo: Callable[[], Any],
        stream: Stream | None = None,
    ) -> web.Response:
        if len(self.sessions) >= self.parts.configuration.limits.viewers:
            raise web.HTTPServiceUnavailable(text='{"error": "Too many viewers."}')
        if request.content_type != "application/sdp":
            raise bad_request("An offer is application/sdp. Send one.")
        offer = (await read_limited(request, SDP_BYTES)).decode("utf-8", "replace")
        try:
            await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            await peer.setLocalDescription(await peer.createAnswer())
        except Exception as error:  # its parser raises whatever it stumbles over
            await peer.close()
            raise bad_request(
                "The offer cannot be used. Send one with H.264 or VP8 video."
            ) from error
        name = secrets.token_urlsafe(16)
        self.sessions[name] = _Session(peer, undo, stream)

        @peer.on("connectionstatechange")
        async def changed() -> None:
            if peer.connectionState in END_STATES:
                await self._end(name)

        return web.Response(
            status=201, text=peer.localDescription.sdp, content_type="application/sdp",
            headers={"Location": f"/webrtc/{name}"},
        )  # fmt: skip

    async def _end(self, name: str) -> None:
        session = self.sessions.pop(name, None)
        if session is not None:
            await asyncio.to_thread(session.undo)
            await session.peer.close()


class _Newest:
    """The output of a stream that keeps the newest frame for a track."""

    name = "webrtc"

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.event = loop, asyncio.Event()
        self.latest: Shown | None = None
        self.offered = self.delivered = 0
        self.dropped: Counter[str] = Counter()

    def offer(self, shown: Shown) -> None:
        """Take a frame; the one that waits gives way."""
        try:
            self.loop.call_soon_threadsafe(self._put, Shown(shown.number, shown.captured_ns, shown.pixels))  # fmt: skip
        except RuntimeError:  # the loop is over
            return
        self.offered += shown.number > 0

    def _put(self, shown: Shown) -> None:
        if self.latest is not None and self.latest.number:
            self.dropped["slow_reader"] += 1
        self.latest = shown
        self.event.set()

    def facts(self) -> dict[str, Any]:
        """Return the counts."""
        return {
            "offered": self.offered, "delivered": self.delivered, "dropped": dict(self.dropped),
        }  # fmt: skip

    def close(self) -> None:
        """Do nothing: the session ends by itself."""


class Track(VideoStreamTrack):
    """Pictures for one viewer, as fast as it takes them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.output = _Newest(loop)
        self._begin_ns = time.monotonic_ns()

    async def recv(self) -> VideoFrame:
        """Wait for the newest frame."""
        output = self.output
        while output.latest is None:
            output.event.clear()
            await output.event.wait()
        shown, output.latest = output.latest, None
        output.delivered += shown.number > 0
        frame = VideoFrame.from_ndarray(padded(shown.pixels, 2, multiple=2), format="rgb24")
        frame.pts = round((time.monotonic_ns() - self._begin_ns) * 90_000 / 1e9)
        frame.time_base = CLOCK
        return frame


async def _receive(track: Any, stream: Stream) -> None:
    number = 0
    try:
        while True:
            frame = await track.recv()
            captured_ns = time.monotonic_ns()
            if frame.width * frame.height > PICTURE_PIXELS:
                continue
            number += 1
            pixels = await asyncio.to_thread(_rgb, frame)
            stream.become("live")
            stream.put(Frame(number, captured_ns, pixels))
    except MediaStreamError:
        stream.become("ended", "The camera was closed.")


def _rgb(frame: VideoFrame) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.ascontiguousarray(to_rgb(frame, width=frame.width, height=frame.height))
