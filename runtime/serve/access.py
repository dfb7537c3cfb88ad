"""Who may do what: one middleware that every request passes, whatever its route."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from stylepress.runtime.serve.config import Configuration, Tokens

Scope = Literal["open", "read", "control", "metrics"]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
COOKIE = "stylepress"
SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; style-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Access:
    """The rules: names it may be called by, tokens, and the scope of every handler."""

    def __init__(self, configuration: Configuration) -> None:
        self.tokens: Tokens = configuration.tokens
        self.hosts = {"localhost", socket.gethostname().lower(), configuration.host.lower()}
        self.hosts |= {host.lower() for host in configuration.hosts}
        self.scopes: dict[Handler, Scope] = {}

    def allow(self, handler: Handler, scope: Scope) -> Handler:
        """Note the scope of a handler; a handler without one is refused to everybody."""
        self.scopes[handler] = scope
        return handler

    def granted(self, request: web.Request) -> frozenset[Scope]:
        """Return the scopes that the request's token opens."""
        tokens = self.tokens
        if not tokens.control:
            return frozenset(("open", "read", "control", "metrics"))
        offered = _token(request)
        if _same(offered, tokens.control):
            return frozenset(("open", "read", "control", "metrics"))
        granted: set[Scope] = {"open"}
        if _same(offered, tokens.read):
            granted |= {"read", "metrics"}
        if _same(offered, tokens.metrics):
            granted.add("metrics")
        return frozenset(granted)

    def refusal(self, request: web.Request) -> web.Response | None:
        """Return the answer to a request that may not pass, None for one that may."""
        if not self._knows(request.headers.get("Host", "")):
            return _error(403, "The daemon does not know this host name. Add it to `hosts`.")
        if request.headers.get("Sec-Fetch-Site", "none") == "cross-site" and not _navigates(
            request
        ):
            return _error(403, "Another site may not use this daemon.")
        upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
        origin = request.headers.get("Origin")
        changes = upgrade or request.method not in SAFE_METHODS
        if changes and origin is not None and not _same_site(origin, request):
            return _error(403, "Another site may not use this daemon.")
        handler = request.match_info.handler
        if request.match_info.http_exception is not None:
            return None  # 404 and 405 say nothing that is not public
        scope = self.scopes.get(handler)
        if scope is None or scope not in self.granted(request):
            return _error(401, "This needs a token.", {"WWW-Authenticate": "Bearer"})
        return None

    def _knows(self, host: str) -> bool:
        # A name that an attacker's DNS answers for is refused; a bare address cannot be one.
        name = urlsplit(f"//{host}").hostname or ""
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name.lower() in self.hosts
        return True


def middleware(access: Access) -> Middleware:
    """Return the middleware that asks ``access`` about every request."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = access.refusal(request)
        if response is None:
            response = await handler(request)  # type: ignore[assignment]
        assert response is not None
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    return guard


def _token(request: web.Request) -> str:
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() == "basic":  # players know no other way: http://x:TOKEN@host/
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return request.cookies.get(COOKIE, "")


def _same(offered: str, token: str) -> bool:
    return bool(token) and hmac.compare_digest(offered.encode(), token.encode())


def _same_site(origin: str, request: web.Request) -> bool:
    return urlsplit(origin).netloc.lower() == request.headers.get("Host", "").lower()


def _navigates(request: web.Request) -> bool:
    return request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate"


def _error(status: int, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"error": text}, status=status, headers=headers)
