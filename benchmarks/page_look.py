"""What the pages of reports and comparisons share: skeleton, tables, pictures, look and script."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from html import escape

from stylepress.benchmarks.report import Shown

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
LONG = 30
"""Letters of a last cell above which it is broken into lines."""

STYLE = """
:root { color-scheme: light dark;
  --paper: #fbfaf8; --ink: #1d1c1a; --soft: #6b6862; --line: #dedad2; --card: #fff;
  --own: #0a7d5a; --base: #b9b3a7; --null: #dcd7cd; --warn: #fff3d6; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #171614; --ink: #ece9e3; --soft: #a19c92; --line: #3a3731; --card: #201e1b;
  --own: #3fc194; --base: #6f6a60; --null: #4a463f; --warn: #3b3018; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 24px 20px 60px; }
h1 { font-size: clamp(1.35rem, 4vw, 2.1rem); line-height: 1.2; margin: 0 0 4px;
  text-wrap: balance; }
h2 { font-size: 1.2rem; margin: 40px 0 12px; }
h3 { font-size: 1rem; margin: 24px 0 8px; }
p, footer { color: var(--soft); font-size: .9rem; margin: 8px 0; }
footer { margin-top: 48px; border-top: 1px solid var(--line); padding-top: 12px; }
.doubt { background: var(--warn); border-radius: 8px; padding: 10px 16px; margin: 16px 0;
  font-size: .9rem; }
.doubt ul { margin: 4px 0; padding-left: 20px; }
.cards { display: grid; gap: 12px; margin-top: 24px;
  grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.cards div { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 12px 14px; font-size: .8rem; color: var(--soft); overflow-wrap: anywhere; }
.cards b { display: block; font-size: 1.45rem; color: var(--ink); line-height: 1.25;
  font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .86rem; }
th, td { text-align: left; padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.why { white-space: normal; min-width: 8.5em; color: var(--soft); font-size: .78rem; }
@media (max-width: 699px) { .wide td:first-child { white-space: normal; min-width: 8em; } }
@media (min-width: 700px) { .wraps td:last-child { white-space: normal; min-width: 18em; } }
.prose td:last-child, .prose td.why { font-size: inherit; white-space: normal; min-width: 0; overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 500; white-space: nowrap; }
svg text { font-size: 13px; fill: var(--ink); }
svg .value { fill: var(--soft); }
svg .own { fill: var(--own); } svg .baseline { fill: var(--base); } svg .null { fill: var(--null); }
svg line { stroke: var(--ink); stroke-width: 1.5; opacity: .55; }
svg text.tick { font-size: 11px; fill: var(--soft); }
svg.time { display: block; margin: 10px 0 0; background: var(--card);
  border: 1px solid var(--line); border-radius: 8px; }
svg.time svg { overflow: visible; }
svg.time polyline { fill: none; stroke: var(--curve); stroke-width: 1.5;
  vector-effect: non-scaling-stroke; }
svg.time circle { fill: var(--curve); fill-opacity: .85; }
svg.time line { stroke: var(--line); opacity: 1; stroke-width: 1; }
.keys { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: .8rem; color: var(--soft);
  margin-top: 4px; }
.keys span::before { content: ""; display: inline-block; width: 9px; height: 9px;
  border-radius: 5px; margin-right: 6px; background: var(--curve); }
.k0 { --curve: #0a7d5a; } .k1 { --curve: #c2571a; } .k2 { --curve: #3b6fd4; }
.k3 { --curve: #9a4fb5; } .k4 { --curve: #8a7a1f; } .k5 { --curve: #6b6862; }
@media (prefers-color-scheme: dark) {
  .k0 { --curve: #3fc194; } .k1 { --curve: #f09a5b; } .k2 { --curve: #85a8f2; }
  .k3 { --curve: #cf93e6; } .k4 { --curve: #cbb84e; } .k5 { --curve: #a19c92; } }
img { display: block; max-width: 100%; height: auto; border-radius: 6px; }
.pictures { display: grid; gap: 12px; grid-template-columns: repeat(auto-fill, minmax(160px, 1fr)); }
@media (min-width: 700px) {
  .pictures { grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); } }
figure { margin: 0; } figure img { width: 100%; cursor: zoom-in; }
figure.large { grid-column: 1 / -1; } figure.large img { width: auto; cursor: zoom-out; } figcaption { font-size: .8rem; color: var(--soft); padding-top: 4px; }
.slider { position: relative; width: fit-content; max-width: 100%; overflow: hidden;
  border-radius: 8px; line-height: 0; }
.slider img { border-radius: 0; }
.slider .after { position: absolute; inset: 0; width: 100%; height: 100%;
  clip-path: inset(0 0 0 var(--cut)); }
.slider::after { content: ""; position: absolute; top: 0; bottom: 0; left: var(--cut); width: 2px;
  margin-left: -1px; background: #fff; box-shadow: 0 0 4px rgba(0, 0, 0, .6);
  pointer-events: none; }
.slider input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0;
  cursor: ew-resize; touch-action: pan-y; }
.slider:focus-within { outline: 3px solid var(--own); outline-offset: 2px; }
"""

SCRIPT = """
for (const slider of document.querySelectorAll('.slider')) {
  const input = slider.querySelector('input');
  const cut = () => slider.style.setProperty('--cut', input.value + '%');
  input.addEventListener('input', cut);
  cut();
}
for (const figure of document.querySelectorAll('figure')) {
  figure.addEventListener('click', () => figure.classList.toggle('large'));
}
"""


def document(title: str, body: str, *, look: str = "") -> str:
    """Return a whole page around a body; its own policy forbids the browser to fetch anything.

    ``title`` is text, ``body`` is HTML, ``look`` is CSS after the shared one.
    """
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}{look}</style></head>\n"
        f"<body><main>\n{body}\n</main><script>{SCRIPT}</script></body></html>\n"
    )


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    kind: str = "wide",
    *,
    mark: Callable[[str], str] = lambda cell: "",
) -> str:
    """Return a table of texts; ``mark`` gives the CSS class of a cell by what it says."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join(
        "<tr>" + "".join(f"<td{_class(cell, mark)}>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    top = f"<thead><tr>{head}</tr></thead>" if any(heads) else ""
    if any(len(row[-1]) > LONG for row in rows):
        kind += " wraps"
    return f'<div class="{kind}"><table>{top}<tbody>{body}</tbody></table></div>'


def image(shown: Shown, kind: str) -> str:
    """Return a picture that carries its own bytes."""
    data = base64.b64encode(shown.jpeg).decode("ascii")
    return (
        f'<img class="{kind}" alt="{escape(shown.title)} of {escape(shown.photo)}" '
        f'width="{shown.width}" height="{shown.height}" src="data:image/jpeg;base64,{data}">'
    )


def side_by_side(shown: Sequence[Shown]) -> str:
    """Return pictures side by side, each above its title."""
    made = "".join(
        f"<figure>{image(one, one.column)}<figcaption>{escape(one.title)}</figcaption></figure>"
        for one in shown
    )
    return f'<div class="pictures">{made}</div>'


def _class(cell: str, mark: Callable[[str], str]) -> str:
    """A reason stands where a value would: smaller, and broken into lines."""
    name = "why" if cell.startswith("none: ") else mark(cell)
    return f' class="{name}"' if name else ""
