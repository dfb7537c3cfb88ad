"""The pages in a real browser, at the width of a phone: nothing overflows, nothing overlaps."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.machine.record import Machine
from stylepress.benchmarks.report import Report
from stylepress.benchmarks.show.files import page
from stylepress.benchmarks.verdict.comparison import Comparison, Side

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome")

LOOK = """
const frame = document.querySelector('iframe'), page = frame.contentDocument;
const every = query => [...page.querySelectorAll(query)];
const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
for (const one of every('details')) one.open = true;
const overlaps = [];
for (const svg of every('svg:has(line.limit)')) {
  const boxes = [...svg.querySelectorAll('text')].map(text => text.getBoundingClientRect());
  boxes.forEach((a, i) => boxes.slice(i + 1).forEach(b => overlaps.push(meet(a, b))));
}
const slider = page.querySelector('.slider'), range = slider && slider.querySelector('input');
if (range) { range.value = 20; range.dispatchEvent(new Event('input')); }
const zoom = page.querySelector('.pictures figure:nth-child(2) input'), narrow = zoom && zoom.closest('figure');
const before = narrow && narrow.clientWidth;
if (zoom) zoom.click();
document.title = JSON.stringify({
  width: page.documentElement.scrollWidth,
  wide: every('.wide').filter(one => one.scrollWidth > one.clientWidth).length,
  overlaps: overlaps.filter(Boolean).length, pairs: overlaps.length,
  loaded: every('img').every(img => img.complete && img.naturalWidth > 0),
  cut: slider && slider.style.getPropertyValue('--cut'),
  larger: narrow && narrow.clientWidth > before,
});
"""


def looked_at(html: str, folder: Path, *, width: int = 390) -> dict[str, Any]:
    """Open a page in a frame of ``width`` pixels, and return what a browser made of it."""
    frame = f'<iframe style="width:{width}px;height:800px;border:0" srcdoc="{escape(html)}">'
    script = f"onload = () => setTimeout(() => {{{LOOK}}}, 200)"
    outer = folder / "outer.html"
    outer.write_text(
        f'<meta charset="utf-8">{frame}</iframe><script>{script}</script>', encoding="utf-8"
    )
    assert BROWSER is not None
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000"]
    made = subprocess.run(
        [BROWSER, *flags, f"--user-data-dir={folder / 'home'}", "--dump-dom", outer.as_uri()],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    title = re.search(r"<title>(.*?)</title>", made.stdout, re.DOTALL)
    assert title is not None, made.stderr[-500:]
    found: dict[str, Any] = json.loads(unescape(title[1]))
    return found


def compared(report: Report, machine: Machine) -> Comparison:
    """Gains and losses so large that equal and limit stand close together, at both ends."""
    side = Side(name="dots", digest="a" * 64, precision="int8", weights_bytes=474_000)
    checks = tuple(
        Check(
            subject="openvino", metric=f"latency p50, ratio {ratio:g}", unit="ms",
            kind="paired", base=10.0, new=10 * ratio, worse=ratio, low=0.9 * ratio,
            high=1.1 * ratio, confidence=0.95, pairs=6, limit=0.05, bound="worse by at most",
            verdict="FAIL" if ratio > 1 else "PASS",
            values=tuple((10.0, 10 * ratio * (1 + n / 50)) for n in range(6)),
        )
        for ratio in (0.05, 0.3, 0.97, 1.02, 1.2, 3.0, 20.0)
    )  # fmt: skip
    shown = tuple(
        each.__class__(each.photo, each.column, title, each.jpeg, each.height, each.width)
        for each, title in zip(report.gallery[1:3], ("base", "new"), strict=True)
    )
    return Comparison(
        tool="stylepress", created="", mode="fresh processes", base=side, new=side,
        verdict="FAIL", reasons=("it is slower",), settings=None, machine=machine,
        checks=checks, gallery=shown,
    )  # fmt: skip


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_pages_fit_the_screen_and_can_be_used_without_a_mouse(
    report: Report, tmp_path: Path, width: int
) -> None:
    seen = looked_at(page(report), tmp_path, width=width)
    assert seen["width"] <= width
    assert (seen["cut"], seen["loaded"]) == ("20%", True)
    assert seen["larger"]
    if width < 700:
        assert seen["wide"] > 0


@pytest.mark.parametrize("width", [320, 1200])
def test_a_comparison_fits_the_screen_and_its_labels_never_overlap(
    report: Report, tmp_path: Path, width: int
) -> None:
    seen = looked_at(page(compared(report, report.machine)), tmp_path, width=width)
    assert seen["width"] <= width
    assert (seen["overlaps"], seen["pairs"]) == (0, 7 * 10)
    assert (seen["cut"], seen["loaded"], seen["larger"]) == ("20%", True, True)
