"""A comparison for the page of a CI job: Markdown within its limits, and lines it annotates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stylepress.benchmarks.verdict.comparison import Comparison, Judgement
from stylepress.benchmarks.verdict.measures import p50_ms

SUMMARY_LIMIT_BYTES = 900_000
"""GitHub takes 1 MiB a step, and drops a longer summary whole."""
ANNOTATIONS_LIMIT = 10
"""GitHub shows so many of one kind a step."""
BARS = "▁▂▃▄▅▆▇█"
CUT = "\n\n*The rest was left out: a job summary must stay below {} kB. See comparison.json.*\n"


def job_summary(comparison: Comparison, *, limit_bytes: int = SUMMARY_LIMIT_BYTES) -> str:
    """Return the whole comparison as Markdown, cut at a line's end where it grows too long."""
    parts = [
        f"# stylepress compare\n\n{comparison.summary()}",
        *_pairs(comparison),
        *_folded("Runs", _runs(comparison)),
        *_folded("Machine", _machine(comparison)),
    ]
    return cut("\n".join(parts), limit_bytes)


def cut(text: str, limit_bytes: int) -> str:
    """Shorten Markdown to a number of UTF-8 bytes, at a line's end, and say so.

    >>> cut("one line", 900_000)
    'one line'
    """
    if len(text.encode()) <= limit_bytes:
        return text
    notice = CUT.format(limit_bytes // 1000)
    kept = text.encode()[: limit_bytes - len(notice.encode())].decode(errors="ignore")
    kept = kept.rpartition("\n")[0]
    # A fold that was cut open would swallow the notice.
    opened = kept.count("<details>") - kept.count("</details>")
    if opened > 0:
        kept = kept[: kept.rindex("<details>")]
    return kept.rstrip("\n") + notice


def workflow_commands(comparison: Comparison) -> tuple[str, ...]:
    """Return the workflow commands that mark what failed (errors) and what is open (warnings).

    At most ten of a kind; the last one tells how many more there are.
    """
    failed = [one for one in comparison.judgements if one.gated and one.verdict == "FAIL"]
    unsure = [one for one in comparison.judgements if one.gated and one.verdict == "INCONCLUSIVE"]
    return (*_commands("error", "regression", failed), *_commands("warning", "open", unsure))


def sparkline(ratios: Sequence[float]) -> str:
    """Draw one bar a value, the lowest value lowest.

    >>> sparkline([1.0, 1.1, 1.2])
    '▁▅█'
    """
    low, high = min(ratios), max(ratios)
    if high <= low:
        return BARS[3] * len(ratios)
    top = len(BARS) - 1
    return "".join(BARS[round(top * (ratio - low) / (high - low) + 1e-9)] for ratio in ratios)


def _commands(kind: str, what: str, found: Sequence[Judgement]) -> Iterator[str]:
    shown = found if len(found) <= ANNOTATIONS_LIMIT else found[: ANNOTATIONS_LIMIT - 1]
    for one in shown:
        text = f"{one.shown(one.base)} -> {one.shown(one.new)}, {one.change() or one.note}"
        yield f"::{kind} title={_property(f'{what}: {one.name}')}::{_data(text)}"
    if len(found) > len(shown):
        yield f"::{kind} title=stylepress::{len(found) - len(shown)} more, see the job summary"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _pairs(comparison: Comparison) -> Iterator[str]:
    for one in comparison.judgements:
        if one.gated and one.kind == "paired" and one.values:
            ratios = [new / base for base, new in one.values]
            yield (
                f"\n`{sparkline(ratios)}` {one.name}: new over base, pair by pair, "
                f"{min(ratios):.3f} to {max(ratios):.3f}"
            )


def _folded(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        body = "\n".join(lines)
        yield f"\n<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _runs(comparison: Comparison) -> list[str]:
    if not comparison.runs:
        return []
    lines = ["| # | part | pair | backend | arm | calls | p50 ms | settled | counts |"]
    lines += ["|--:|---|--:|---|---|--:|--:|---|---|"]
    for run in comparison.runs:
        lines.append(
            f"| {run.place} | {run.part} | {run.pair} | {run.backend} | {run.arm} | "
            f"{len(run.samples_ns)} | {p50_ms(run):.4g} | {'yes' if run.stable else 'no'} | "
            f"{'; '.join(run.invalid) or 'yes'} |"
        )
    return lines


def _machine(comparison: Comparison) -> list[str]:
    facts = {**comparison.machine.gating(), **dict(comparison.told_engines())}
    return [f"- {name}: {value}" for name, value in facts.items() if value is not None]
