"""Rows for other people's dashboards: github-action-benchmark, Bencher, change-point tools."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stylepress.benchmarks.report import Report, mean_of
from stylepress.benchmarks.report_figures import MEGABYTE, Figure, report_figures
from stylepress.benchmarks.verdict.comparison import Comparison, Judgement
from stylepress.errors import OutputError
from stylepress.replace import replacing_file

NANOSECONDS, BYTES = 1e6, 1e6


def figures_of(document: Comparison | Report) -> tuple[Figure, ...]:
    """Take the figures of the new arm, or of every bundle of a report."""
    if isinstance(document, Comparison):
        return tuple(_figure(one) for one in document.judgements if one.new is not None)
    return tuple(_of_report(document))


def github_action_benchmark(document: Comparison | Report) -> dict[str, str]:
    """Return its two files, as one file has one direction: name of the tool to its JSON.

    That action divides by the last value, so figures that are 0, negative or not finite are left
    out.
    """
    found = [one for one in figures_of(document) if one.plottable]
    return {
        "customSmallerIsBetter": _json([_action(one) for one in found if one.smaller_is_better]),
        "customBiggerIsBetter": _json([_action(one) for one in found if not one.smaller_is_better]),
    }


def bencher(document: Comparison | Report) -> str:
    """Return Bencher Metric Format: latency in nanoseconds, sizes in bytes, bounds as intervals."""
    made: dict[str, dict[str, dict[str, float]]] = {}
    for one in figures_of(document):
        if not math.isfinite(one.value):
            continue
        scale = {"ms": NANOSECONDS, "MB": BYTES}.get(one.unit, 1.0)
        metric = {"value": one.value * scale}
        if one.low is not None and one.high is not None:
            metric |= {"lower_value": one.low * scale, "upper_value": one.high * scale}
        made.setdefault(one.subject, {})[_slug(one.metric)] = metric
    return _json(made)


def dashboards(document: Comparison | Report) -> dict[str, str]:
    """Return what dashboards take, by the name of its file."""
    action = github_action_benchmark(document)
    return {
        "github-smaller-is-better.json": action["customSmallerIsBetter"],
        "github-bigger-is-better.json": action["customBiggerIsBetter"],
        "bencher.json": bencher(document),
    }


def rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """Yield one flat row a figure, for tables and change-point tools."""
    for one in comparison.judgements:
        yield {
            "time": comparison.created,
            "tool": comparison.tool,
            "mode": comparison.mode,
            "base_digest": comparison.base.digest,
            "new_digest": comparison.new.digest,
            "subject": one.subject,
            "metric": one.metric,
            "unit": one.unit,
            "base": one.base,
            "new": one.new,
            "worse": one.worse,
            "low": one.low,
            "high": one.high,
            "confidence": one.confidence,
            "pairs": one.pairs,
            "p_holm": one.p_holm,
            "gated": one.gated,
            "verdict": one.verdict,
        }


def json_lines(comparison: Comparison) -> str:
    """Return the rows as JSON lines."""
    return "".join(
        json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows(comparison)
    )


def csv_rows(comparison: Comparison) -> str:
    """Return the rows as CSV with a head; an unknown value is an empty cell."""
    return _csv(list(rows(comparison)))


def append_history(comparison: Comparison, path: Path) -> bool:
    """Add one line to a CSV history: a time, the digest, and a column a figure of the new arm.

    That is the form change-point tools read (Apache Otava: ``time_column: time``). The ratio to
    the base is in it too, which a change of machine moves much less than the time itself. A trend
    gives all its figures; what was not compared gives nothing, and False is returned.

    Raises:
        OutputError: the file's columns are others, or it cannot be read or written.
    """
    row: dict[str, Any] = {"time": comparison.created, "digest": comparison.new.digest}
    known = len(row)
    for one in comparison.judgements:
        if comparison.mode == "trend" or (one.kind == "paired" and one.gated):
            row[f"{one.name} {one.unit}"] = one.new
            row[f"{one.name} ratio"] = one.worse
    if len(row) == known:
        return False
    text = _csv([row])
    before = _history(path)
    head, _, body = text.partition("\n")
    if before and before.partition("\n")[0] != head:
        raise OutputError(
            f"{path} has other columns than this comparison. "
            f"Name another history, or compare in the same backends on the same figures."
        )
    with replacing_file(path) as beside:
        beside.write_text(before + body if before else text, encoding="utf-8")
    return True


def _history(path: Path) -> str:
    """Read a history, empty where there is none; its last line ends as the others do."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(
            f"{path} cannot be read as a history ({error}). Name another file."
        ) from error
    return text if not text or text.endswith("\n") else f"{text}\n"


def _figure(one: Judgement) -> Figure:
    low, high = None, None
    if one.base is not None and one.low is not None and one.high is not None:
        # The interval is of "times as bad"; for throughput that is base over new.
        ends = (one.low, one.high) if one.larger_is_worse else (1 / one.high, 1 / one.low)
        low, high = one.base * ends[0], one.base * ends[1]
    assert one.new is not None
    return Figure(one.subject, one.metric, one.unit, one.new, low, high, one.larger_is_worse)


def _of_report(report: Report) -> Iterator[Figure]:
    for latency in report.latencies:
        yield Figure(latency.name, "latency p50", "ms", latency.median_ms)
        if latency.p90_ms is not None:
            yield Figure(latency.name, "latency p90", "ms", latency.p90_ms)
    for model in report.of_role("bundle"):
        yield Figure(model.name, "all files", "MB", model.size_bytes / MEGABYTE)
        psnr = mean_of(report.qualities, model.name, "psnr_db")
        if psnr is not None:
            yield Figure(model.name, "psnr", "dB", psnr, smaller_is_better=False)
    yield from report_figures(report)


def _action(one: Figure) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": one.name, "unit": one.unit or "1", "value": one.value}
    if one.low is not None and one.high is not None:
        entry["range"] = f"{one.low:.4g} to {one.high:.4g}"
    return entry


def _slug(text: str) -> str:
    """Name a measure as Bencher does.

    >>> _slug("latency p99, pooled")
    'latency-p99-pooled'
    """
    kept = "".join(letter if letter.isalnum() else " " for letter in text.lower())
    return "-".join(kept.split())


def _csv(table: Sequence[Mapping[str, Any]]) -> str:
    file = io.StringIO()
    names: Iterable[str] = table[0] if table else ("time",)
    writer = csv.DictWriter(file, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return file.getvalue()


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
