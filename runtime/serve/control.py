"""What can be changed while the daemon runs: settings of streams, masks, and who is let in."""

from __future__ import annotations

import asyncio
import io
import json
import warnings
from collections.abc import Mapping
from importlib import util
from typing import Annotated, Any

import numpy as np
from aiohttp import WSMsgType, web
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, ValidationError

from stylepress import __version__
from stylepress.errors import FrameError, RecipeError, StylepressError
from stylepress.runtime.serve.access import COOKIE, Access
from stylepress.runtime.serve.config import Name, Settings, Share
from stylepress.runtime.serve.engines import Look
from stylepress.runtime.serve.parts import Parts
from stylepress.runtime.serve.stream import Stream
from stylepress.section import Section

STATE_S = 1.0
MASK_BYTES = 4 << 20
MASK_PIXELS = 4096 * 2304
JSON_BYTES = 64 << 10
JSON_DEPTH = 32
BODY_S = 30.0


class Change(Section):
    """A wish to change some settings of a stream; what is left out stays."""

    style: Name | Mapping[Name, Annotated[float, Field(ge=0)]] | None = None
    strength: Share | None = None
    smoothing: Annotated[float, Field(ge=0, le=0.98)] | None = None
    enabled: bool | None = None
    controls: Mapping[str, float] | None = None
    fade_s: Annotated[float, Field(ge=0, le=60)] = 0.0


class Control:
    """The handlers that steer, and tell how things stand."""

    def __init__(self, parts: Parts, access: Access) -> None:
        self.parts, self.access = parts, access
        self.webrtc = util.find_spec("aiortc") is not None

    def state(self) -> dict[str, Any]:
        """Return everything that the page shows."""
        parts = self.parts
        return {
            "version": __version__,
            "ready": parts.warm and not parts.stopping,
            "reload_error": parts.reload_error,
            "streams": [stream.facts() for stream in tuple(parts.streams.values())],
            "styles": [_look_facts(look) for look in parts.engines.looks.values()],
            "engines": parts.engines.facts(),
            "limits": {"cameras": parts.configuration.limits.cameras},
            "webrtc": self.webrtc,
        }

    async def get_state(self, request: web.Request) -> web.Response:
        """Send the state."""
        granted = self.access.granted(request)
        return web.json_response(self.state() | {"may_control": "control" in granted})

    async def patch(self, request: web.Request) -> web.Response:
        """Change settings of a stream; the answer comes when they are in force."""
        stream = self._stream(request.match_info["stream"])
        await self.change(stream, await read_json(request))
        return web.json_response(stream.facts())

    async def change(self, stream: Stream, values: Any) -> None:
        """Check a wish and put it in force with the next frame, its engines loaded before.

        Raises:
            web.HTTPBadRequest: it asks for what is not there.
        """
        try:
            wish = Change.model_validate(values)
            settings = _changed(stream.settings, wish)
            looks = _looks(settings, self.parts.engines.looks)
            _check_controls(settings, looks)
        except (ValidationError, RecipeError) as error:
            raise bad_request(_sentence(error)) from error
        size = stream.size
        try:
            for look in looks if size is not None else ():
                if self.parts.engines.get(look, size) is None:
                    await asyncio.to_thread(self.parts.engines.open_now, look, size)
        except StylepressError as error:
            raise bad_request(str(error)) from error
        stream.change(settings, wish.fade_s)

    async def put_mask(self, request: web.Request) -> web.Response:
        """Take a painted mask as a PNG: white is stylized, black is left as it is."""
        stream = self._stream(request.match_info["stream"])
        data = await read_limited(request, MASK_BYTES)
        try:
            stream.mask = await asyncio.to_thread(read_mask, data)
        except FrameError as error:
            raise bad_request(str(error)) from error
        return web.json_response(stream.facts())

    async def delete_mask(self, request: web.Request) -> web.Response:
        """Stylize everything again."""
        stream = self._stream(request.match_info["stream"])
        stream.mask = None
        return web.json_response(stream.facts())

    async def events(self, request: web.Request) -> web.WebSocketResponse:
        """Send the state every second, and at once after a change; take changes from who may."""
        socket = web.WebSocketResponse(heartbeat=20, max_msg_size=JSON_BYTES, compress=False)
        await socket.prepare(request)
        may_control = "control" in self.access.granted(request)

        async def tell() -> None:
            while True:
                await socket.send_str(json.dumps(self.state() | {"may_control": may_control}))
                await asyncio.sleep(STATE_S)

        task = asyncio.ensure_future(tell())
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                await self._wish(socket, message.data, may_control=may_control)
        finally:
            task.cancel()
        return socket

    async def _wish(self, socket: web.WebSocketResponse, text: str, *, may_control: bool) -> None:
        try:
            if not may_control:
                raise web.HTTPForbidden(text='{"error": "This token may only look."}')
            values = parse_json(text)
            stream = self._stream(str(values.get("stream")))
            await self.change(stream, values.get("change"))
        except web.HTTPException as error:
            await socket.send_str(error.text or "{}")
        except (ValueError, AttributeError):
            await socket.send_str('{"error": "That is no JSON object."}')

    async def thumbnail(self, request: web.Request) -> web.Response:
        """Send the picture of a style: the one that was named, else a golden picture."""
        look = self.parts.engines.looks.get(request.match_info["style"])
        if look is None:
            raise not_found("style")
        data = await asyncio.to_thread(_thumbnail, look)
        return web.Response(
            body=data, content_type="image/jpeg", headers={"Cache-Control": "max-age=3600"}
        )

    async def login(self, request: web.Request) -> web.Response:
        """Keep a token in a cookie that no script can read."""
        values = await read_json(request)
        token = values.get("token") if isinstance(values, dict) else None
        tokens = self.access.tokens
        known = [word for word in (tokens.control, tokens.read) if word]
        import hmac

        if not isinstance(token, str) or not any(
            hmac.compare_digest(token.encode(), word.encode()) for word in known
        ):
            await asyncio.sleep(0.5)  # so that guessing is slow
            raise web.HTTPUnauthorized(text='{"error": "That token opens nothing."}')
        response = web.json_response({})
        response.set_cookie(COOKIE, token, httponly=True, samesite="Strict", secure=request.secure)
        return response

    def _stream(self, name: str) -> Stream:
        stream = self.parts.streams.get(name)
        if stream is None:
            raise not_found("stream")
        return stream


def read_mask(data: bytes | bytearray) -> NDArray[np.uint8]:
    """Read a PNG as (h, w) uint8 gray.

    Raises:
        FrameError: it is no PNG, or too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
                if image.width * image.height > MASK_PIXELS:
                    raise ValueError(f"{image.width}x{image.height} pixels")
                return np.array(image.convert("L"), np.uint8)
    except (OSError, ValueError, SyntaxError, Warning, Image.DecompressionBombError) as error:
        raise FrameError(
            f"The mask cannot be read ({error}).", "Send a PNG of the frame."
        ) from error


async def read_json(request: web.Request) -> Any:
    """Read a small JSON body.

    Raises:
        web.HTTPBadRequest: it is no JSON, or nested too deep.
        web.HTTPRequestEntityTooLarge: it is too large.
    """
    data = await read_limited(request, JSON_BYTES)
    try:
        return parse_json(data.decode())
    except ValueError as error:
        raise bad_request("The body is no JSON, or nested too deep.") from error


async def read_limited(request: web.Request, limit: int) -> bytearray:
    """Read a body of at most ``limit`` bytes, whatever its length says, in a bounded time.

    Raises:
        web.HTTPRequestEntityTooLarge: it is larger.
    """
    if (request.content_length or 0) > limit:
        raise web.HTTPRequestEntityTooLarge(limit, request.content_length or 0)
    try:
        return await asyncio.wait_for(_gathered(request, limit), BODY_S)
    except asyncio.TimeoutError as error:
        raise web.HTTPRequestTimeout from error


async def _gathered(request: web.Request, limit: int) -> bytearray:
    data = bytearray()
    async for part in request.content.iter_any():
        data += part
        if len(data) > limit:
            raise web.HTTPRequestEntityTooLarge(limit, len(data))
    return data


def parse_json(text: str) -> Any:
    """Parse JSON of bounded depth, without NaN.

    Raises:
        ValueError: it is none.
    """
    depth = most = 0
    quoted = escaped = False
    for letter in text:
        if quoted:
            quoted, escaped = (escaped or letter != '"'), (letter == "\\" and not escaped)
            continue
        quoted = letter == '"'
        depth += (letter in "[{") - (letter in "]}")
        most = max(most, depth)
    if most > JSON_DEPTH:
        raise ValueError("nested too deep")
    return json.loads(text, parse_constant=_refuse_constant)


def bad_request(text: str) -> web.HTTPBadRequest:
    """Return a 400 that says why."""
    return web.HTTPBadRequest(text=json.dumps({"error": text}), content_type="application/json")


def not_found(what: str) -> web.HTTPNotFound:
    """Return a 404 that repeats nothing of the request."""
    text = json.dumps({"error": f"There is no such {what}."})
    return web.HTTPNotFound(text=text, content_type="application/json")


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _changed(settings: Settings, wish: Change) -> Settings:
    changes = {
        key: value
        for key, value in wish.model_dump(exclude={"fade_s"}).items()
        if value is not None
    }
    if "controls" in changes:
        changes["controls"] = {**settings.controls, **changes["controls"]}
    return settings.model_copy(update=changes)


def _looks(settings: Settings, looks: Mapping[str, Look]) -> list[Look]:
    style = settings.style
    names = [style] if isinstance(style, str) else list(style or ())
    for name in names:
        if name not in looks:
            raise RecipeError(f"There is no style {name!r}.", f"Choose one of {', '.join(looks)}.")
    if isinstance(style, Mapping) and sum(style.values()) <= 0:
        raise RecipeError("The mix of styles weighs nothing.", "Give one style a weight above 0.")
    return [looks[name] for name in names]


def _check_controls(settings: Settings, looks: list[Look]) -> None:
    ports = {port.name: port for look in looks for port in look.scalars}
    for name, value in settings.controls.items():
        port = ports.get(name)
        if port is None:
            continue  # of another style of this stream
        low = float("-inf") if port.low is None else port.low
        high = float("inf") if port.high is None else port.high
        if not low <= value <= high:
            raise RecipeError(
                f"{name} is {value:g}, outside {low:g}..{high:g}.", "Give a value between them."
            )


def _sentence(error: ValidationError | RecipeError) -> str:
    if isinstance(error, RecipeError):
        return str(error)
    first = error.errors()[0]
    return f"`{'.'.join(map(str, first['loc']))}`: {first['msg']}."


def _look_facts(look: Look) -> dict[str, Any]:
    controls = [
        {"name": p.name, "low": p.low, "high": p.high, "default": p.default, "meaning": p.meaning}
        for p in look.scalars
    ]
    return {"name": look.name, "digest": look.bundle.artifact.digest[:12], "controls": controls}


def _thumbnail(look: Look) -> bytes:
    from stylepress.runtime.serve.outputs.jpeg import encode_jpeg

    side = 192
    sink = look.bundle.graph().picture_out
    if look.style.picture is not None and look.style.picture.is_file():
        image = Image.open(look.style.picture).convert("RGB")
    else:
        pair = next(look.bundle.golden(), None)
        if pair is None or sink is None:
            image = Image.new("RGB", (side, side), (90, 90, 90))
        else:
            image = Image.fromarray(pair.results[sink.name][0])
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    image = image.crop((left, top, left + edge, top + edge)).resize((side, side))
    return encode_jpeg(np.asarray(image, np.uint8), 85)
