"""Live pictures over HTTP: MJPEG for any player, a WebSocket for the page."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections.abc import Mapping

from aiohttp import WSMsgType, web

from stylepress.runtime.serve.outputs.jpeg import Jpeg, JpegOutput, View, Viewer
from stylepress.runtime.serve.parts import Parts

BOUNDARY = "stylepress-frame"
WRITE_TIMEOUT_S = 15.0
HEADER = struct.Struct("<IdI")
"""Of a picture by WebSocket: frame number, age in ms when it was sent, bytes of the name before it."""


class Views:
    """The handlers of live pictures."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.open: set[Viewer] = set()

    async def mjpeg(self, request: web.Request) -> web.StreamResponse:
        """Send one stream as MJPEG until the viewer or the stream leaves."""
        output = self._output(request.match_info["stream"])
        viewer = self._viewer(request, "mjpeg")
        response = web.StreamResponse(
            headers={
                "Content-Type": f"multipart/x-mixed-replace; boundary={BOUNDARY}",
                "Cache-Control": "no-store",
            }
        )
        await response.prepare(request)
        output.add(viewer)
        self.open.add(viewer)
        try:
            while (picture := await viewer.next()) is not None:
                head = (
                    f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n"
                    f"Content-Length: {len(picture.data)}\r\nX-Frame: {picture.number}\r\n"
                    f"X-Captured-Ns: {picture.captured_ns}\r\nX-Style: {picture.style}\r\n\r\n"
                )
                writing = response.write(head.encode() + picture.data + b"\r\n")
                await asyncio.wait_for(writing, WRITE_TIMEOUT_S)
                viewer.sent(picture)
        except (ConnectionError, asyncio.TimeoutError):
            pass
        finally:
            self.open.discard(viewer)
            output.remove(viewer)
        return response

    async def picture(self, request: web.Request) -> web.Response:
        """Send the next picture of a stream as one JPEG."""
        output = self._output(request.match_info["stream"])
        viewer = self._viewer(request, "jpeg")
        output.add(viewer)
        try:
            picture = await asyncio.wait_for(viewer.next(), 10.0)
            if picture is None:
                raise web.HTTPServiceUnavailable(text='{"error": "The stream is over."}')
            viewer.sent(picture)
        except asyncio.TimeoutError as error:
            raise web.HTTPServiceUnavailable(text='{"error": "No picture came."}') from error
        finally:
            output.remove(viewer)
        return web.Response(body=picture.data, content_type="image/jpeg")

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        """Send pictures of the streams that the page asks for, one on its way of each at a time.

        The page answers each picture with its stream's name; only then the next is sent, so a
        slow line shows fewer pictures, and never old ones.
        """
        socket = web.WebSocketResponse(heartbeat=20, max_msg_size=4096, compress=False)
        await socket.prepare(request)
        lines: dict[str, _Line] = {}
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                wish = json.loads(message.data)
                if "next" in wish and wish["next"] in lines:
                    lines[wish["next"]].ready.set()
                elif "watch" in wish:
                    views: dict[str, View] = dict.fromkeys(map(str, wish.get("tiles", ())), "after")
                    view: View = "both" if wish.get("view") == "both" else "after"
                    views |= dict.fromkeys(map(str, wish["watch"]), view)
                    self._watch(socket, lines, views)
        except (ValueError, TypeError, AttributeError):
            await socket.close(code=1003)
        finally:
            for line in lines.values():
                line.end()
        return socket

    def _watch(
        self, socket: web.WebSocketResponse, lines: dict[str, _Line], views: Mapping[str, View]
    ) -> None:
        wanted = {name: view for name, view in views.items() if name in self.parts.streams}
        for name in [name for name, line in lines.items() if wanted.get(name) != line.view]:
            lines.pop(name).end()
        for name, view in wanted.items():
            if name not in lines and len(self.open) < self.parts.configuration.limits.viewers:
                viewer = Viewer(view, "ws", asyncio.get_running_loop())
                lines[name] = _Line(name, self._output(name), viewer, socket, self.open)

    def close(self) -> None:
        """Let every viewer go."""
        for viewer in tuple(self.open):
            viewer.close()

    def _output(self, name: str) -> JpegOutput:
        pictures = self.parts.pictures.get(name)
        if pictures is None:
            raise web.HTTPNotFound(text='{"error": "There is no such stream."}')
        return pictures

    def _viewer(self, request: web.Request, protocol: str) -> Viewer:
        if len(self.open) >= self.parts.configuration.limits.viewers:
            raise web.HTTPServiceUnavailable(text='{"error": "Too many viewers."}')
        view: View = "both" if request.query.get("view") == "both" else "after"
        return Viewer(view, protocol, asyncio.get_running_loop())


class _Line:
    """One stream on one WebSocket."""

    def __init__(
        self, name: str, output: JpegOutput, viewer: Viewer, socket: web.WebSocketResponse,
        everyone: set[Viewer],
    ) -> None:  # fmt: skip
        self.name, self.output, self.viewer, self.socket = name, output, viewer, socket
        self.view = viewer.view
        self.ready = asyncio.Event()
        self.ready.set()
        self._everyone = everyone
        everyone.add(viewer)
        output.add(viewer)
        self._task = asyncio.ensure_future(self._run())

    def end(self) -> None:
        """Stop sending."""
        self._task.cancel()
        self._everyone.discard(self.viewer)
        self.output.remove(self.viewer)

    async def _run(self) -> None:
        try:
            while True:
                await self.ready.wait()
                picture = await self.viewer.next()
                if picture is None:
                    break
                self.ready.clear()
                await self.socket.send_bytes(_packed(self.name, self.view, picture))
                self.viewer.sent(picture)
        except ConnectionError:
            pass


def _packed(name: str, view: View, picture: Jpeg) -> bytes:
    age_ms = (time.monotonic_ns() - picture.captured_ns) / 1e6
    words = json.dumps({"stream": name, "view": view, "style": picture.style}).encode()
    return HEADER.pack(picture.number, age_ms, len(words)) + words + picture.data
