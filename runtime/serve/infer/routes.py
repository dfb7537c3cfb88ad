"""The handlers of the protocol: metadata, configuration, statistics, inference."""

from __future__ import annotations

import asyncio
import io
import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from aiohttp import web
from PIL import Image

from stylepress import __version__
from stylepress.errors import FrameError, StylepressError
from stylepress.ports import Port
from stylepress.runtime.backends import Engine
from stylepress.runtime.feeds import Array, complete
from stylepress.runtime.serve.control import bad_request, not_found, read_limited
from stylepress.runtime.serve.engines import MODERATE_BATCH, Look
from stylepress.runtime.serve.infer.tensors import NAMES, RESERVED, parse, respond
from stylepress.runtime.serve.infer.waiting import FullError, InferRequest, TooLateError, Waiting
from stylepress.runtime.serve.outputs.jpeg import encode_jpeg
from stylepress.runtime.serve.parts import Parts

HEADER_LENGTH = "Inference-Header-Content-Length"
EXTENSIONS = ["binary_tensor_data", "model_configuration", "statistics", "parameters"]
ANSWER_QUALITY = 92


class Inference:
    """The handlers; models are the styles."""

    def __init__(self, parts: Parts, waiting: Waiting) -> None:
        self.parts, self.waiting = parts, waiting

    @property
    def _limit(self) -> int:
        return int(self.parts.configuration.limits.body_mb * (1 << 20))

    async def server(self, request: web.Request) -> web.Response:
        """Send the server's metadata."""
        return web.json_response(
            {"name": "stylepress", "version": __version__, "extensions": EXTENSIONS}
        )

    async def metadata(self, request: web.Request) -> web.Response:
        """Send a model's metadata."""
        look = self._look(request)
        source, sink = _ports(look)
        return web.json_response(
            {
                "name": look.name, "versions": ["1"], "platform": "onnxruntime_onnx",
                "inputs": [_described(source)], "outputs": [_described(sink)],
            }
        )  # fmt: skip

    async def config(self, request: web.Request) -> web.Response:
        """Send a model's configuration."""
        look = self._look(request)
        source, sink = _ports(look)
        batching = self.parts.configuration.batching
        return web.json_response(
            {
                "name": look.name, "platform": "onnxruntime_onnx", "backend": "onnxruntime",
                "max_batch_size": batching.most or MODERATE_BATCH,
                "input": [_configured(source)], "output": [_configured(sink)],
                "dynamic_batching": {
                    "max_queue_delay_microseconds": int(1e3 * batching.delay_ms),
                    "default_queue_policy": {
                        "max_queue_size": batching.max_queue_size, "timeout_action": "REJECT",
                        "default_timeout_microseconds": int(1e3 * batching.timeout_ms),
                        "allow_timeout_override": True,
                    },
                },
            }
        )  # fmt: skip

    async def ready(self, request: web.Request) -> web.Response:
        """Answer 200 for a model that is there."""
        self._look(request)
        return web.Response()

    async def statistics(self, request: web.Request) -> web.Response:
        """Send the statistics of a model, or of all."""
        names = [request.match_info["style"]] if "style" in request.match_info else None
        if names is not None:
            self._look(request)
        models = [
            {"name": name, "version": "1", **self.waiting.of(name).record()}
            for name in names or self.parts.engines.looks
        ]
        return web.json_response({"model_stats": models})

    async def index(self, request: web.Request) -> web.Response:
        """Send the list of models."""
        return web.json_response(
            [{"name": n, "version": "1", "state": "READY"} for n in self.parts.engines.looks]
        )

    async def infer(self, request: web.Request) -> web.StreamResponse:
        """Run a model."""
        look = self._look(request)
        length = request.headers.get(HEADER_LENGTH)
        if length is not None and not (length.isascii() and length.isdigit() and len(length) < 12):
            raise bad_request("The length of the header is no number. Send it in bytes.")
        if length == "0":
            raise bad_request("A frame has two free sizes, so it cannot be raw. Send the header.")
        body = await read_limited(request, self._limit)
        try:
            asked = parse(body, None if length is None else int(length))
            results = await self._run(look, asked.inputs, asked.parameters)
            text, tensors, header = respond(look.name, results, asked)
        except FrameError as error:
            raise bad_request(str(error)) from error
        return await _send(request, text, tensors, header)

    async def picture(self, request: web.Request) -> web.Response:
        """Stylize one JPEG, PNG or WebP; controls are named in the query."""
        look = self._look(request)
        body = await read_limited(request, self._limit)
        limit = self.parts.configuration.limits.pixels
        source, sink = _ports(look)
        try:
            pixels = await asyncio.to_thread(_decoded, body, limit)
            controls = {k: _number(k, v) for k, v in request.query.items()}
            results = await self._run(look, {source.name: pixels[None]}, controls)
        except FrameError as error:
            raise bad_request(str(error)) from error
        data = await asyncio.to_thread(encode_jpeg, results[sink.name][0], ANSWER_QUALITY)
        return web.Response(body=data, content_type="image/jpeg")

    async def _run(
        self, look: Look, inputs: Mapping[str, Array], parameters: Mapping[str, Any]
    ) -> Mapping[str, Array]:
        source, _ = _ports(look)
        frame = inputs.get(source.name)
        if frame is None or frame.ndim != 4:
            raise FrameError(f"The input {source.name!r} lacks.", "Send uint8 of N, H, W, 3.")
        if (
            frame.shape[1] * frame.shape[2] * frame.shape[0]
            > self.parts.configuration.limits.pixels * 4
        ):
            raise FrameError("The frames have too many pixels.", "Send fewer, or smaller ones.")
        most = self.parts.configuration.batching.most or MODERATE_BATCH
        if frame.shape[0] > most:
            raise FrameError(
                f"{frame.shape[0]} frames are in one request, {most} may be.", "Split it."
            )
        try:
            engine, most = await self._engine(look, (frame.shape[1], frame.shape[2]))
            feeds = complete(
                engine.graph, {**inputs, **_controls(look, frame.shape[0], parameters)}
            )
        except FrameError:
            raise
        except StylepressError as error:
            raise web.HTTPServiceUnavailable(text=json.dumps({"error": "The model cannot be run here."})) from error  # fmt: skip
        return await self._answer(look, engine, feeds, most, parameters)

    async def _engine(self, look: Look, size: tuple[int, int]) -> tuple[Engine, int]:
        """Return the engine for a size if it is loaded, else the one for any size."""
        engines = self.parts.engines
        if (engine := engines.loaded(look, size)) is not None:
            return engine, engines.batch_of(engine, size)
        engine = engines.loaded(look, None)
        if engine is None:
            engine = await asyncio.to_thread(engines.open_now, look, None)
        return engine, engines.batch_of(engine, None)

    async def _answer(
        self, look: Look, engine: Engine, feeds: Mapping[str, Array], most: int,
        parameters: Mapping[str, Any],
    ) -> Mapping[str, Array]:  # fmt: skip
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Mapping[str, Array]] = loop.create_future()

        def done(result: Mapping[str, Array] | Exception) -> None:
            loop.call_soon_threadsafe(_settle, future, result)

        limit_s = self.parts.configuration.batching.timeout_ms / 1e3
        wanted = parameters.get("timeout")
        if isinstance(wanted, int) and not isinstance(wanted, bool) and wanted > 0:
            limit_s = min(limit_s, wanted / 1e6)
        rows = next(iter(feeds.values())).shape[0]
        asked = InferRequest(look.name, engine, feeds, max(most, rows), limit_s, done, rows)
        try:
            self.waiting.put(asked)
            return await future
        except asyncio.CancelledError:
            self.waiting.cancel(asked)
            raise
        except FullError as error:
            raise _unavailable("The queue is full. Ask again later.") from error
        except TooLateError as error:
            raise _unavailable("It waited too long. Ask again later.") from error

    def _look(self, request: web.Request) -> Look:
        look = self.parts.engines.looks.get(request.match_info["style"])
        if look is None or request.match_info.get("version", "1") != "1":
            raise not_found("model")
        return look


def _ports(look: Look) -> tuple[Port, Port]:
    graph = look.bundle.graph()
    assert graph.picture is not None
    assert graph.picture_out is not None
    return graph.picture, graph.picture_out


def _described(port: Port) -> dict[str, Any]:
    shape = [size if isinstance(size, int) else -1 for size in port.shape]
    return {"name": port.name, "datatype": NAMES[port.dtype], "shape": shape}


def _configured(port: Port) -> dict[str, Any]:
    dims = [size if isinstance(size, int) else -1 for size in port.shape[1:]]
    return {"name": port.name, "data_type": f"TYPE_{NAMES[port.dtype]}", "dims": dims}


def _controls(look: Look, rows: int, parameters: Mapping[str, Any]) -> dict[str, Array]:
    """Return the controls that a request's parameters name, one value for all its frames."""
    ports = {port.name: port for port in look.scalars}
    feeds: dict[str, Array] = {}
    for name, value in parameters.items():
        if name in RESERVED or name == "timeout" or name.startswith("triton_"):
            continue
        if name not in ports:
            raise FrameError(
                f"There is no control {name[:64]!r}.", f"Send {', '.join(ports) or 'none'}."
            )
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise FrameError(f"The control {name} is no number.", "Send one.")
        feeds[name] = np.full(rows, value, ports[name].dtype)
    return feeds


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise FrameError(f"The control {name[:64]!r} is no number.", "Send one.") from error


def _decoded(body: bytearray, limit: int) -> Array:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(body), formats=["JPEG", "PNG", "WEBP"]) as image:
                if image.width * image.height > limit:
                    raise ValueError(f"{image.width}x{image.height} pixels")
                return np.array(image.convert("RGB"), np.uint8)
    except (OSError, ValueError, SyntaxError, Warning, Image.DecompressionBombError) as error:
        raise FrameError("The picture cannot be read.", "Send a JPEG, PNG or WebP.") from error


async def _send(
    request: web.Request, text: bytes, tensors: list[memoryview], header: int | None
) -> web.StreamResponse:
    kind = "application/json" if header is None else "application/octet-stream"
    headers = {"Content-Type": kind}
    if header is not None:
        headers[HEADER_LENGTH] = str(header)
    response = web.StreamResponse(headers=headers)
    response.content_length = len(text) + sum(tensor.nbytes for tensor in tensors)
    await response.prepare(request)
    await response.write(text)
    for tensor in tensors:
        await response.write(tensor)
    await response.write_eof()
    return response


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


def _unavailable(text: str) -> web.HTTPServiceUnavailable:
    return web.HTTPServiceUnavailable(text=json.dumps({"error": text}))
