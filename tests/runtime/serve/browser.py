"""Chromium, driven through its own protocol: opens a page, runs script in it, takes pictures."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.processes import bound
from tests.runtime.serve.running import PATIENCE_S

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--no-first-run", "--mute-audio",
)  # fmt: skip


class Page:
    """One page of a browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._number = socket, 0

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its result."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json(timeout=PATIENCE_S)
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    async def run(self, script: str) -> Any:
        """Evaluate an expression, or await it, and return its value."""
        found = await self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, script: str) -> Any:
        """Wait until an expression is true; return it."""
        until = time.monotonic() + PATIENCE_S
        careful = f"(() => {{ try {{ return {script} }} catch {{ return null }} }})()"
        while not (value := await self.run(careful)):
            assert time.monotonic() < until, f"never: {script}"
            await asyncio.sleep(0.1)
        return value

    async def size(
        self, width: int, height: int, *, phone: bool = False, dark: bool = False
    ) -> None:
        """Show the page on a screen of this size."""
        await self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=phone,
        )  # fmt: skip
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.ask("Emulation.setEmulatedMedia", features=scheme)

    async def photograph(self, path: Path) -> None:
        """Write a picture of the whole page."""
        found = await self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))


@asynccontextmanager
async def browsing(url: str, folder: Path) -> AsyncIterator[Page]:
    """Open a page in a browser of its own."""
    assert BROWSER is not None
    home = folder / "browser"
    process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
        bound([BROWSER, *FLAGS, f"--user-data-dir={home}", url]),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port = await _port(home / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            place = await _page(session, port, url)
            async with session.ws_connect(place, max_msg_size=0) as socket:
                yield Page(socket)
    finally:
        process.kill()
        process.wait()


async def _port(path: Path) -> int:
    until = time.monotonic() + PATIENCE_S
    while not (path.is_file() and path.read_text().strip()):
        assert time.monotonic() < until
        await asyncio.sleep(0.1)
    return int(path.read_text().splitlines()[0])


async def _page(session: aiohttp.ClientSession, port: int, url: str) -> str:
    until = time.monotonic() + PATIENCE_S
    while True:
        async with session.get(f"http://127.0.0.1:{port}/json") as answer:
            pages = json.loads(await answer.text())
        for page in pages:
            if page["type"] == "page" and page["url"].startswith(url):
                return str(page["webSocketDebuggerUrl"])
        assert time.monotonic() < until
        await asyncio.sleep(0.1)
