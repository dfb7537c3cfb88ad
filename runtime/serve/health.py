"""Whether the daemon lives and is ready, told from the heartbeat of its frame path."""

from __future__ import annotations

import time

from aiohttp import web

from stylepress.runtime.serve.parts import Parts

STUCK_S = 20.0
"""An inference thread without a heartbeat for so long is stuck."""


class Health:
    """The handlers of the health endpoints."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    @property
    def is_alive(self) -> bool:
        """Whether the inference thread runs and moves."""
        inference = self.parts.inference
        return inference.is_alive() and time.monotonic() - inference.heartbeat_s < STUCK_S

    @property
    def is_ready(self) -> bool:
        """Whether engines are warm, the thread moves, and nobody asked the daemon to stop."""
        return self.is_alive and self.parts.warm and not self.parts.stopping

    async def live(self, request: web.Request) -> web.Response:
        """Answer 200 while the frame path moves, else 503."""
        return web.Response(status=200 if self.is_alive else 503)

    async def ready(self, request: web.Request) -> web.Response:
        """Answer 200 while requests are welcome, else 503."""
        return web.Response(status=200 if self.is_ready else 503)
