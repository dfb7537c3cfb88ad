"""The TCP side of the web server: how many connections there may be, and how long one may stall."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Any

from aiohttp import web

FIRST_REQUEST_S = 10.0
"""A connection that has sent no whole request after so long is cut: it only holds a place."""


class Doorway:
    """Accepts connections for a server, up to a limit."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.open: set[asyncio.BaseTransport] = set()
        self.asked: weakref.WeakSet[Any] = weakref.WeakSet()
        self._server: asyncio.Server | None = None

    async def listen(self, handlers: Callable[[], Any], host: str, port: int) -> int:
        """Listen; return the port.

        Raises:
            OSError: the place is taken, or may not be used.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Guest(self, handlers()), host, port)
        place: int = self._server.sockets[0].getsockname()[1]
        return place

    def middleware(self) -> Any:
        """Return the middleware that notes which connections have sent a whole request."""

        @web.middleware
        async def note(request: web.Request, handler: Any) -> web.StreamResponse:
            if request.transport is not None:
                self.asked.add(request.transport)
            response: web.StreamResponse = await handler(request)
            return response

        return note

    def check(self, transport: asyncio.Transport) -> None:
        """Cut a connection that has asked for nothing."""
        if transport in self.open and transport not in self.asked:
            transport.abort()

    def close(self) -> None:
        """Accept nobody any more."""
        if self._server is not None:
            self._server.close()


class _Guest(asyncio.Protocol):
    """One connection: passes everything on to aiohttp's handler, if it was let in."""

    def __init__(self, doorway: Doorway, handler: Any) -> None:
        self.doorway, self.handler = doorway, handler
        self.transport: asyncio.Transport | None = None
        self.data_received = handler.data_received  # type: ignore[method-assign]
        self.eof_received = handler.eof_received  # type: ignore[method-assign]
        self.pause_writing, self.resume_writing = handler.pause_writing, handler.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if len(self.doorway.open) >= self.doorway.most:
            transport.abort()
            return
        self.transport = transport
        self.doorway.open.add(transport)
        loop = asyncio.get_running_loop()
        loop.call_later(FIRST_REQUEST_S, self.doorway.check, transport)
        self.handler.connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self.transport is not None:
            self.doorway.open.discard(self.transport)
            self.handler.connection_lost(error)
