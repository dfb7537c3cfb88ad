"""The viewer's own camera: JPEG pictures by WebSocket become one more stream, for as long as it is open."""

from __future__ import annotations

import asyncio
import io
import json
import secrets
import time
import warnings
from typing import Any

import numpy as np
from aiohttp import WSMsgType, web
from numpy.typing import NDArray
from PIL import Image

from stylepress.errors import FrameError
from stylepress.runtime.serve.config import StreamEntry
from stylepress.runtime.serve.control import Control, parse_json
from stylepress.runtime.serve.outputs.jpeg import JpegOutput
from stylepress.runtime.serve.parts import Parts
from stylepress.runtime.serve.stream import Frame, Stream

PICTURE_BYTES = 2 << 20
PICTURE_PIXELS = 1920 * 1080
IDLE_S = 20.0
WRONG_MOST = 20


class Cameras:
    """The handler of viewers' cameras."""

    def __init__(self, parts: Parts, control: Control) -> None:
        self.parts, self.control = parts, control

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        """Take pictures and settings from a viewer; the stylized ones go the way of all streams.

        First comes ``{"style": ...}``, then pictures as binary messages, each answered with
        ``{"taken": number}``, and now and then ``{"change": {...}}``.
        """
        socket = web.WebSocketResponse(
            heartbeat=20, max_msg_size=PICTURE_BYTES, compress=False, receive_timeout=IDLE_S
        )
        await socket.prepare(request)
        mine = [stream for stream in self.parts.streams.values() if stream.owner]
        if len(mine) >= self.parts.configuration.limits.cameras:
            await socket.send_str(json.dumps({"error": "Too many cameras are open. Try later."}))
            await socket.close()
            return socket
        stream = self.open_stream()
        try:
            await self._serve(socket, stream)
        except (asyncio.TimeoutError, ConnectionError):
            pass
        finally:
            await asyncio.shield(asyncio.to_thread(self.close_stream, stream))
        return socket

    def open_stream(self) -> Stream:
        """Make the stream of a viewer's camera, under a name that nobody guesses."""
        mark = secrets.token_hex(8)
        entry = StreamEntry(input="browser://", stale_ms=1000.0, slate=False)
        first = next(iter(self.parts.engines.looks))
        name = f"camera-{mark}"
        stream = Stream(name, entry, first, self.parts.inference.wake, owner=mark)
        pictures = JpegOutput(name, entry.quality)
        stream.attach(pictures)
        self.parts.pictures[name] = pictures
        self.parts.streams[name] = stream
        return stream

    def close_stream(self, stream: Stream) -> None:
        """Let a viewer's camera go."""
        self.parts.streams.pop(stream.name, None)
        self.parts.pictures.pop(stream.name, None)
        stream.close()

    async def _serve(self, socket: web.WebSocketResponse, stream: Stream) -> None:
        number = wrong = 0
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._wish(socket, stream, message.data)
            elif message.type is WSMsgType.BINARY:
                number += 1
                captured_ns = time.monotonic_ns()
                try:
                    pixels = await asyncio.to_thread(read_jpeg, message.data)
                    stream.become("live")
                    stream.put(Frame(number, captured_ns, pixels))
                except FrameError:
                    wrong += 1
                    stream.ledger.corrupt += 1
                    if wrong > WRONG_MOST:
                        return
                await socket.send_str(json.dumps({"taken": number}))

    async def _wish(self, socket: web.WebSocketResponse, stream: Stream, text: str) -> None:
        try:
            values: dict[str, Any] = parse_json(text)
            first = "style" in values
            await self.control.change(
                stream, {"style": values["style"]} if first else values["change"]
            )
            if first:
                await socket.send_str(json.dumps({"name": stream.name}))
        except web.HTTPException as error:
            await socket.send_str(error.text or "{}")
        except (ValueError, KeyError, TypeError):
            await socket.send_str('{"error": "That is no JSON object of the kind expected."}')


def read_jpeg(data: bytes) -> NDArray[np.uint8]:
    """Decode a JPEG as (H, W, 3) uint8 RGB.

    Raises:
        FrameError: it is none, damaged, or larger than 1920x1080.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
                if image.width * image.height > PICTURE_PIXELS:
                    raise ValueError(f"{image.width}x{image.height} pixels")
                return np.array(image.convert("RGB"), np.uint8)
    except (OSError, ValueError, SyntaxError, Warning, Image.DecompressionBombError) as error:
        raise FrameError("A picture of the camera cannot be read.", "Send JPEG.") from error
