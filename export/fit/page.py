"""The page of a search: what was tried, drawn as time against drift, in one HTML file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from stylepress.export.fit.candidate import Candidate, presets
from stylepress.export.fit.result import Finalist, Fit, front
from stylepress.export.fit.study import Trial

WIDTH, HEIGHT = 860, 460
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 16, 52

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#6a737d;--page:#fff;--line:#d0d7de;
--short:#8c959f;--front:#0969da;--final:#bc4c00;--in:#1a7f3722}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#8b949e;--page:#0d1117;--line:#30363d;
--short:#6e7681;--front:#58a6ff;--final:#f0883e;--in:#3fb95022}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);
max-width:900px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}svg{width:100%;height:auto}text{fill:var(--dim);font-size:12px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:.25rem .6rem;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left}th{cursor:pointer;color:var(--dim)}
tr.on td{background:var(--in)}circle,path.mark{cursor:pointer}
.key span{margin-right:1.2rem;white-space:nowrap}
.dot{display:inline-block;width:.7em;height:.7em;border-radius:50%;margin-right:.4em}
"""

SCRIPT = """
const rows=[...document.querySelectorAll('tbody tr')];
document.querySelectorAll('[data-at]').forEach(mark=>mark.addEventListener('click',()=>{
 rows.forEach(row=>row.classList.toggle('on',row.dataset.of===mark.dataset.at));
 const row=rows.find(row=>row.dataset.of===mark.dataset.at);
 if(row)row.scrollIntoView({block:'center',behavior:'smooth'});}));
document.querySelectorAll('th').forEach((head,column)=>head.addEventListener('click',()=>{
 const body=document.querySelector('tbody'),up=head.dataset.up!=='1';head.dataset.up=up?'1':'0';
 const value=row=>{const text=row.children[column].dataset.v;return text===''?Infinity:+text};
 const named=row=>row.children[column].textContent;
 rows.slice().sort((a,b)=>{const d=column?value(a)-value(b):named(a).localeCompare(named(b));
  return up?d:-d}).forEach(row=>body.append(row));}));
"""


def page(result: Fit, title: str) -> str:
    """Return the whole page: a drawing, a key, a table to sort; no server, nothing to load."""
    names = {candidate.key: name for name, candidate in presets(("fp32", "int8"))}
    height, width = result.size
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>
<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>
<p>{escape(result.verdict())}</p>
<p>Frames of {width}x{height} on {escape(result.backend)}, one at a time. Drift is the distance of
the student's pictures to the teacher's over that of the photo: 0 is a copy.</p>
{_drawing(result, names)}
<p class="key"><span><i class="dot" style="background:var(--short)"></i>short training, time
predicted</span><span><i class="dot" style="background:var(--front)"></i>best of those</span><span>
<i class="dot" style="background:var(--final)"></i>trained in full, time measured</span><span>
<i class="dot" style="background:var(--in)"></i>inside the budget</span></p>
{_table(result, names)}
<script>{SCRIPT}</script>
<script type="application/json" id="data">{_data(result)}</script></body></html>
"""


def _drawing(result: Fit, names: Mapping[str, str]) -> str:
    trained = [trial for trial in result.tried if trial.drift is not None]
    times = [trial.latency_ms for trial in trained] + [f.measured_ms for f in result.finalists]
    drifts = [trial.drift or 0.0 for trial in trained] + [f.drift for f in result.finalists]
    most_ms = 1.1 * max([*times, result.budget.latency_ms])
    most_drift = 1.1 * max([*drifts, result.budget.drift])

    def x(value: float) -> float:
        return LEFT + value / most_ms * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - value / most_drift * (HEIGHT - TOP - BOTTOM)

    best = {trial.candidate.key for trial in front(result.tried)}
    within = (
        f'<rect x="{x(0):.1f}" y="{y(result.budget.drift):.1f}" fill="var(--in)" '
        f'width="{x(result.budget.latency_ms) - x(0):.1f}" '
        f'height="{y(0) - y(result.budget.drift):.1f}"/>'
    )
    parts = [within]
    for value in _ticks(most_ms):
        parts.append(_line(x(value), TOP, x(value), y(0)))
        parts.append(
            f'<text x="{x(value):.1f}" y="{y(0) + 18}" text-anchor="middle">{value:g}</text>'
        )
    for value in _ticks(most_drift):
        parts.append(_line(LEFT, y(value), WIDTH - RIGHT, y(value)))
        parts.append(
            f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">ms a frame</text>')
    parts.append(
        f'<text transform="translate(16 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">drift</text>'
    )
    for trial in trained:
        colour = "front" if trial.candidate.key in best else "short"
        said = (
            f"{trial.candidate.key}: {trial.latency_ms:.2f} ms "
            f"{'predicted' if trial.candidate.keep == 1 else 'timed'}, drift {trial.drift:.3f}"
        )
        parts.append(
            _mark(x(trial.latency_ms), y(trial.drift or 0.0), colour, trial.candidate, said, names)
        )
    for finalist in result.finalists:
        said = (
            f"{finalist.candidate.key}: {finalist.measured_ms:.2f} ms measured, "
            f"drift {finalist.drift:.3f}, in {finalist.bundle}"
        )
        at = (x(finalist.measured_ms), y(finalist.drift))
        parts.append(_mark(*at, "final", finalist.candidate, said, names))
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>'


def _mark(
    x: float, y: float, colour: str, candidate: Candidate, said: str, names: Mapping[str, str]
) -> str:
    name = names.get(candidate.key, "")
    label = f'<text x="{x + 9:.1f}" y="{y + 4:.1f}">{name}</text>' if name else ""
    radius = 6 if colour == "final" else 4
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="var(--{colour})" '
        f'data-at="{candidate.key}"><title>{escape(said)}</title></circle>{label}'
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="var(--line)"/>'


def _ticks(most: float) -> list[float]:
    """Return round values from 0 to ``most``, about six.

    >>> _ticks(7.3)
    [0, 1, 2, 3, 4, 5, 6, 7]
    """
    rough = most / 7
    power = 10 ** math.floor(math.log10(rough))
    step = min(s * power for s in (1, 2, 5, 10) if s * power >= rough * 0.9)
    return [round(number * step, 10) for number in range(int(most / step) + 1)]


def _table(result: Fit, names: Mapping[str, str]) -> str:
    finals = {finalist.candidate.key: finalist for finalist in result.finalists}
    rows = [_row(trial, finals.get(trial.candidate.key), names) for trial in _ordered(result.tried)]
    heads = ["student", "predicted ms", "short drift", "measured ms", "drift"]
    cells = "".join(f"<th>{head}</th>" for head in heads)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _row(trial: Trial, finalist: Finalist | None, names: Mapping[str, str]) -> str:
    key = trial.candidate.key
    name = f" ({names[key]})" if key in names else ""
    note = f" - {trial.note}" if trial.note else ""
    numbers = [
        (trial.latency_ms, 2),
        (trial.drift, 3),
        (finalist.measured_ms if finalist else None, 2),
        (finalist.drift if finalist else None, 3),
    ]
    cells = "".join(
        '<td data-v=""></td>' if value is None else f'<td data-v="{value}">{value:.{digits}f}</td>'
        for value, digits in numbers
    )
    return f'<tr data-of="{key}"><td>{escape(key + name + note)}</td>{cells}</tr>'


def _ordered(tried: Sequence[Trial]) -> list[Trial]:
    return sorted(tried, key=lambda trial: (trial.drift is None, trial.latency_ms))


def _data(result: Fit) -> str:
    """Return everything on the page as JSON, for who reads it by program."""
    return json.dumps(record(result)).replace("<", "\\u003c")


def record(result: Fit) -> dict[str, Any]:
    """Return a search as plain values."""
    return {
        "verdict": result.verdict(),
        "inside": result.best is not None,
        "budget": {"latency_ms": result.budget.latency_ms, "drift": result.budget.drift},
        "backend": result.backend,
        "size": list(result.size),
        "tried": [
            {
                **trial.candidate.values(),
                "key": trial.candidate.key,
                "latency_ms": trial.latency_ms,
                "drift": trial.drift,
                "note": trial.note,
            }
            for trial in result.tried
        ],
        "finalists": [
            {
                "key": finalist.candidate.key,
                "predicted_ms": finalist.predicted_ms,
                "measured_ms": finalist.measured_ms,
                "drift": finalist.drift,
                "bundle": str(finalist.bundle),
                "preset": finalist.preset,
            }
            for finalist in result.finalists
        ],
    }
