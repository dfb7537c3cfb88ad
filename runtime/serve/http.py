"""The web server: every route with its scope, and the limits around all of them."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from importlib import import_module
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from stylepress.runtime.serve.access import Access, Handler, Scope, middleware
from stylepress.runtime.serve.camera import Cameras
from stylepress.runtime.serve.control import Control
from stylepress.runtime.serve.doorway import Doorway
from stylepress.runtime.serve.health import Health
from stylepress.runtime.serve.infer.routes import Inference
from stylepress.runtime.serve.infer.waiting import Waiting
from stylepress.runtime.serve.metrics import Metrics
from stylepress.runtime.serve.parts import Parts
from stylepress.runtime.serve.views import Views

PAGE = Path(__file__).parent / "page"
PAGE_FILES = ("app.css", "app.js", "brush.js", "camera.js", "live.js", "plot.js")
STREAM = r"{stream:[A-Za-z0-9][A-Za-z0-9._-]{0,63}}"

log = logging.getLogger("stylepress.serve.http")


class Server:
    """The application and the handlers behind it."""

    def __init__(self, parts: Parts, doorway: Doorway) -> None:
        self.parts = parts
        self.access = Access(parts.configuration)
        self.views, self.control = Views(parts), Control(parts, self.access)
        self.health, self.waiting = (
            Health(parts),
            Waiting(parts.configuration.batching, parts.inference.wake),
        )
        parts.inference.requests = self.waiting
        limit = int(parts.configuration.limits.body_mb * (1 << 20))
        self.app = web.Application(
            middlewares=[doorway.middleware(), _tidy, middleware(self.access)],
            client_max_size=limit,
        )
        self._route("GET", "/", _page(PAGE / "index.html"), "open")
        for name in PAGE_FILES:
            self._route("GET", f"/{name}", _page(PAGE / name), "open")
        self._routes()
        self._protocol(Inference(parts, self.waiting))
        metrics = Metrics(parts, self.waiting)
        self._route("GET", "/metrics", metrics.own, "metrics")
        self._route("GET", "/metrics/triton", metrics.triton, "metrics")

    def _routes(self) -> None:
        control, views, health = self.control, self.views, self.health
        api, stream = "/api/v1", f"/api/v1/streams/{STREAM}"
        self._route("POST", f"{api}/login", control.login, "open")
        self._route("GET", f"{api}/state", control.get_state, "read")
        self._route("GET", f"{api}/events", control.events, "read")
        self._route("GET", f"{api}/live", views.socket, "read")
        cameras = Cameras(self.parts, control)
        self._route("GET", f"{api}/camera", cameras.socket, "read")
        self._sessions(cameras)
        self._route("PATCH", stream, control.patch, "control")
        self._route("PUT", f"{stream}/mask", control.put_mask, "control")
        self._route("DELETE", f"{stream}/mask", control.delete_mask, "control")
        style = STREAM.replace("stream", "style")
        self._route("GET", f"{api}/styles/{style}/thumbnail", control.thumbnail, "read")
        self._route("GET", f"/streams/{STREAM}.mjpeg", views.mjpeg, "read")
        self._route("GET", f"/streams/{STREAM}.jpg", views.picture, "read")
        for place in ("/v2/health/live", "/healthz"):
            self._route("GET", place, health.live, "open")
        for place in ("/v2/health/ready", "/readyz"):
            self._route("GET", place, health.ready, "open")

    def _sessions(self, cameras: Cameras) -> None:
        """Add WebRTC where its package is; that is loaded with the first offer, for it is large."""
        if not self.control.webrtc:
            return
        opened: list[Any] = []

        async def webrtc() -> Any:
            module = await asyncio.to_thread(import_module, "stylepress.runtime.serve.webrtc")
            if not opened:
                opened.append(module.WebRtc(self.parts, cameras))
            return opened[0]

        def handler(name: str) -> Handler:
            async def handle(request: web.Request) -> web.StreamResponse:
                response: web.StreamResponse = await getattr(await webrtc(), name)(request)
                return response

            return handle

        async def close(app: web.Application) -> None:
            for sessions in opened:
                await sessions.close()

        session = "/webrtc/{session:[A-Za-z0-9_-]{8,64}}"
        self._route("POST", f"/streams/{STREAM}/whep", handler("whep"), "read")
        self._route("POST", "/whip", handler("whip"), "read")
        self._route("DELETE", session, handler("delete"), "read")
        self._route("PATCH", session, handler("change"), "read")
        self.app.on_shutdown.append(close)

    def _protocol(self, infer: Inference) -> None:
        style = STREAM.replace("stream", "style")
        self._route("GET", "/v2", infer.server, "read")
        self._route("GET", "/v2/models/stats", infer.statistics, "read")
        self._route("POST", "/v2/repository/index", infer.index, "read")
        for model in (f"/v2/models/{style}", f"/v2/models/{style}/versions/{{version:[0-9]+}}"):
            self._route("GET", model, infer.metadata, "read")
            self._route("GET", f"{model}/config", infer.config, "read")
            self._route("GET", f"{model}/ready", infer.ready, "read")
            self._route("GET", f"{model}/stats", infer.statistics, "read")
            self._route("POST", f"{model}/infer", infer.infer, "read")
        self._route("POST", f"/infer/{style}", infer.picture, "read")

    def _route(self, method: str, place: str, handler: Handler, scope: Scope) -> None:
        self.app.router.add_route(method, place, self.access.allow(handler, scope))


def _page(path: Path) -> Handler:
    kinds = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}

    async def handler(request: web.Request) -> web.Response:
        return web.Response(
            body=path.read_bytes(), content_type=kinds[path.suffix], charset="utf-8",
            headers={"Cache-Control": "no-cache"},
        )  # fmt: skip

    return handler


@web.middleware
async def _tidy(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error as JSON that names no path, no address and no code of ours."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        text = error.text or ""
        body = text if text.startswith("{") else json.dumps({"error": f"{error.reason}."})
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return web.Response(
            status=error.status, text=body, content_type="application/json", headers=headers
        )
    except ConnectionError:  # the client is gone: nobody reads this
        return web.Response(status=400)
    except (HttpProcessingError, web.RequestPayloadError):
        return web.json_response({"error": "The body is not what its headers say."}, status=400)
    except Exception:
        mark = secrets.token_hex(4)
        log.exception("request %s failed", mark)
        return web.json_response(
            {"error": f"It went wrong here; the log has it as {mark}."}, status=500
        )
