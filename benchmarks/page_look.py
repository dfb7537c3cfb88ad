"""What the pages of reports and comparisons share: skeleton, tables, pictures and script."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape

from stylepress.benchmarks.page_style import STYLE
from stylepress.benchmarks.report import Shown
from stylepress.benchmarks.wording import NEAR, SIGNS

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
LONG = 30
"""Letters of a cell above which it is broken into lines."""
ENLARGE = "A click on a picture makes it large; so does the space bar, once Tab has led there."
VERDICT = "verdict"
"""The head of the column whose signs colour a row."""
LOOKS: Mapping[str, str] = {
    SIGNS["FAIL"]: "bad",
    SIGNS["PASS"]: "good",
    SIGNS["INCONCLUSIVE"]: "open",
}
"""How what begins with a verdict's sign looks."""

SCRIPT = """
for (const slot of document.querySelectorAll('img[data-of]')) {
  slot.src = document.getElementById(slot.dataset.of).src;
}
for (const slider of document.querySelectorAll('.slider')) {
  const input = slider.querySelector('input');
  const cut = () => slider.style.setProperty('--cut', input.value + '%');
  input.addEventListener('input', cut);
  cut();
  slider.closest('section').hidden = false;
}
"""
"""Sliders borrow the pictures of the page, so that none is in it twice; they need this to move."""


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


def prose(text: str) -> str:
    """Return a text as HTML; what stands between backticks is code.

    >>> prose("a < b, see `--style`")
    'a &lt; b, see <code>--style</code>'
    """
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def listed(texts: Sequence[str]) -> str:
    """Return texts as a list."""
    return f"<ul>{''.join(f'<li>{prose(text)}</li>' for text in texts)}</ul>"


def look_of(text: str) -> str:
    """Return the CSS class of what begins with a verdict's sign, nothing of other texts.

    >>> look_of("✗ FAIL"), look_of("not judged")
    ('bad', '')
    """
    return LOOKS.get(text[:1], "")


def table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "wide", *, label: str
) -> str:
    """Return a table of texts, the first of each row its head; ``label`` tells what it is of.

    Without any heads it has no head row. What is too wide can be scrolled with the keyboard too.
    """
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in heads)
    top = f"<thead><tr>{head}</tr></thead>" if any(heads) else ""
    body = "".join(_row(heads, row) for row in rows)
    return (
        f'<div class="{kind}" role="region" tabindex="0" aria-label="{escape(label)}">'
        f"<table>{top}<tbody>{body}</tbody></table></div>"
    )


def image(shown: Shown, kind: str, *, name: str = "") -> str:
    """Return a picture that carries its own bytes; ``name`` is what others borrow it by."""
    data = base64.b64encode(shown.jpeg).decode("ascii")
    own = f' id="{name}"' if name else ""
    return f'<img{own} {_facts(shown, kind)} src="data:image/jpeg;base64,{data}">'


def side_by_side(shown: Sequence[Shown], *, first: int | None = None) -> str:
    """Return pictures side by side, each above its title; a click or a space makes one large.

    They are numbered from ``first`` on, so that sliders may borrow them.
    """
    made = "".join(
        f'<figure style="{_ratio(one)}"><label><input type="checkbox" '
        f'aria-label="enlarge {escape(one.title)} of {escape(one.photo)}"/>'
        f"{image(one, one.column, name='' if first is None else picture(first + number))}</label>"
        f"<figcaption>{escape(one.title)}</figcaption></figure>"
        for number, one in enumerate(shown)
    )
    return f'<div class="pictures">{made}</div>'


def picture(number: int) -> str:
    """Return the name of a picture of the page."""
    return f"picture-{number}"


def slider(left: tuple[int, Shown], right: tuple[int, Shown], caption: str) -> str:
    """Return two pictures of the page under a divider that a finger or the arrow keys move."""
    (one, before), (two, after) = left, right
    says = f"how much of {before.title} is seen, left of {after.title}, in percent"
    return (
        f'<figure><div class="slider" style="--cut:50%;{_ratio(before)}">'
        f'<img data-of="{picture(one)}" {_facts(before, "before")}>'
        f'<img data-of="{picture(two)}" {_facts(after, "after")}>'
        f'<input type="range" min="0" max="100" value="50" aria-label="{escape(says)}"/></div>'
        f"<figcaption>{prose(caption)}</figcaption></figure>"
    )


def sliders(title: str, made: Sequence[str]) -> str:
    """Return sliders as a section, which is hidden where no script may run."""
    return (
        f'<section hidden><h2>{escape(title)}</h2><div class="sliders">{"".join(made)}</div>'
        "<p>Draw the line, or move it with the arrow keys.</p></section>"
    )


def _facts(shown: Shown, kind: str) -> str:
    return (
        f'class="{kind}" alt="{escape(shown.title)} of {escape(shown.photo)}" '
        f'width="{shown.width}" height="{shown.height}"'
    )


def _ratio(shown: Shown) -> str:
    return f"--ratio:{shown.width}/{shown.height}"


def _row(heads: Sequence[str], row: Sequence[str]) -> str:
    verdict = row[heads.index(VERDICT)] if VERDICT in heads else ""
    look = look_of(verdict)
    cells = "".join(
        f"<td{_class(look if head == VERDICT else _kind(cell))}>{escape(cell)}</td>"
        for head, cell in zip(heads[1:], row[1:], strict=True)
    )
    mark = _class("failed" if look == "bad" else "")
    return f'<tr{mark}><th scope="row">{escape(row[0])}</th>{cells}</tr>'


def _kind(cell: str) -> str:
    """A reason stands where a value would: smaller, and broken into lines."""
    if cell.startswith("none: "):
        return "why"
    return "near" if cell.startswith(NEAR) else "long" if len(cell) > LONG else ""


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
