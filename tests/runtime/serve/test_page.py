"""The daemon's page in headless Chromium: what a viewer does, and what then changes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.runtime.serve.browser import BROWSER, browsing
from tests.runtime.serve.running import Daemon

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome")
COLOUR = """
(() => {
  const canvas = document.querySelector("#picture"), context = canvas.getContext("2d");
  const data = context.getImageData(0, canvas.height - 6, canvas.width, 4).data;
  let sum = 0; for (let i = 2; i < data.length; i += 4) sum += data[i];
  return sum / (data.length / 4) + 1;
})()
"""
"""The mean blue of the rows in which nothing moves, plus 1 so that it is true."""


def test_a_click_on_a_style_changes_the_pixels(daemon: Daemon, tmp_path: Path) -> None:
    async def visit() -> tuple[float, float, float]:
        async with browsing(daemon.url, tmp_path) as page:
            await page.until("document.querySelector('#age').textContent.includes('ms old')")
            tint = await page.run(COLOUR)
            await page.run("document.querySelector('.style input[value=conv]').click()")
            await page.until("document.querySelector('.style input[value=conv]').checked")
            await asyncio.to_thread(
                daemon.until, "test", lambda facts: facts["mix"] == {"conv": 1.0}
            )
            await asyncio.sleep(0.5)
            conv = await page.run(COLOUR)
            await page.run("document.querySelector('#enabled').click()")
            await asyncio.to_thread(
                daemon.until, "test", lambda facts: not facts["settings"]["enabled"]
            )
            await asyncio.sleep(0.5)
            return tint, conv, await page.run(COLOUR)

    try:
        tint, conv, plain = asyncio.run(visit())
        assert abs(tint - plain) > 2
        assert abs(conv - plain) > 2
    finally:
        daemon.ask("PATCH", "/api/v1/streams/test", {"style": "tint", "enabled": True})


def test_brush_comparison_and_phone_work(daemon: Daemon, tmp_path: Path) -> None:
    async def visit() -> dict[str, object]:
        async with browsing(daemon.url, tmp_path) as page:
            await page.size(390, 800, phone=True, dark=True)
            await page.until("document.querySelector('#age').textContent.includes('ms old')")
            found: dict[str, object] = {
                "wide": await page.run("document.documentElement.scrollWidth"),
                "names": await page.run(
                    "[...document.querySelectorAll('button, input')].filter(e => !e.closest('[hidden]')"
                    " && !(e.labels?.length || e.textContent.trim() || e.ariaLabel)).length"
                ),
            }
            await page.run("document.querySelector('#tool-compare').click()")
            found["cut"] = await page.until("document.querySelector('#cut').style.left")
            await page.run("document.querySelector('#tool-brush').click()")
            await page.run(
                "(() => { const c = document.querySelector('#paint'), b = c.getBoundingClientRect();"
                "c.setPointerCapture = () => {};"
                "for (const [kind, x] of [['down', 5], ['move', 60], ['up', 60]])"
                "c.dispatchEvent(new PointerEvent('pointer' + kind, {clientX: b.left + x, clientY: b.top + 20, pointerId: 1})); })()"
            )
            await asyncio.to_thread(daemon.until, "test", lambda facts: facts["mask"])
            await page.run("document.querySelector('#brush-clear').click()")
            await asyncio.to_thread(daemon.until, "test", lambda facts: not facts["mask"])
            return found

    found = asyncio.run(visit())
    assert found["wide"] == 390
    assert found["names"] == 0
    assert found["cut"]


@pytest.mark.parametrize("way", ["WebRTC", "JPEG"])
def test_a_viewers_camera_comes_back_stylized(daemon: Daemon, tmp_path: Path, way: str) -> None:
    async def visit() -> tuple[str, str]:
        async with browsing(daemon.url, tmp_path) as page:
            await page.until("document.querySelector('#age').textContent.includes('ms old')")
            if way == "JPEG":
                await page.run("delete window.RTCPeerConnection")
            await page.run("document.querySelector('#own').click()")
            await page.until("document.querySelectorAll('.tile').length == 2")
            await page.until(
                "[...document.querySelectorAll('.tile b')].some(b => b.textContent == 'my camera')"
            )
            text = await page.until(
                "document.querySelector('#picture').width == 640"
                " && document.querySelector('#age').textContent.includes('ms old')"
                " && document.querySelector('#age').textContent"
            )
            sent_by = await page.until("document.querySelector('#own').title")
            await page.run("document.querySelector('#own').click()")
            await page.until("document.querySelectorAll('.tile').length == 0")
            return str(text), str(sent_by)

    if way == "WebRTC":
        pytest.importorskip("aiortc")
    text, sent_by = asyncio.run(visit())
    assert "ms old" in text
    assert sent_by == f"It is sent by {way}."
