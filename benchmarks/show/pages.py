"""What the templates of reports and comparisons ask for, beside the tables and the plots."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from stylepress.benchmarks.check import Check, Verdict, signed
from stylepress.benchmarks.machine.record import Machine
from stylepress.benchmarks.machine.watch import Validity
from stylepress.benchmarks.quality.gallery import EQUAL, original_of
from stylepress.benchmarks.report import Report, Shown
from stylepress.benchmarks.show import tables
from stylepress.benchmarks.show.tables import Table, amount
from stylepress.benchmarks.verdict.comparison import Comparison, Side

UNITS = {"mhz": "MHz", "gib": "GiB", "mib": "MiB", "w": "W", "s": "s", "c": "°C", "percent": "%"}
"""How a field's name ends, and what it is in."""
LOOKS = {"✗": "bad", "✓": "good", "?": "open"}
"""How what begins with a verdict's sign looks."""
SLID = 2
"""Pairs of pictures that are shown under a divider."""
Numbered = Sequence[tuple[int, Shown]]
"""Pictures by their number on the page, by which sliders borrow them."""


class Slider(NamedTuple):
    """Two pictures of the page under a divider that a finger or the arrow keys move."""

    left: tuple[int, Shown]
    right: tuple[int, Shown]
    caption: str


def reasons_of(document: Report | Comparison, verdict: Verdict) -> list[str]:
    """Say why each figure of that verdict has it, in a sentence."""
    return [check.reason for check in document.gated if check.verdict == verdict]


def look(text: str) -> str:
    """Return the CSS class of what begins with a verdict's sign, nothing of other texts."""
    return LOOKS.get(text[:1], "")


def facts(document: Report | Comparison) -> list[tuple[str, str]]:
    """Say what is known of the machine, and of what was measured on it."""
    lines = list(machine_facts(document.machine))
    if isinstance(document, Comparison):
        told = ((title, facts.items()) for title, facts in document.engines.items())
        return [*lines, *((title, ", ".join(f"{k} {v}" for k, v in own)) for title, own in told)]
    return lines + ([("meanwhile", meanwhile(document.validity))] if document.validity else [])


def silent(document: Report | Comparison) -> list[tuple[str, str]]:
    """Say what the machine does not tell, and why."""
    absent = {"not told": reasons(document.machine.missing)}
    if isinstance(document, Report) and document.validity is not None:
        absent["not watched"] = reasons(document.validity.missing)
    return [(name, why) for name, why in absent.items() if why]


def cards(report: Report) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The few numbers that matter, large, for each bundle."""
    for model in report.of_role("bundle"):
        best = report.best(model.name)
        if best is None:
            continue
        own = [
            (
                amount(best.median_ms, "ms"),
                f"a frame in {best.backend}, {1000 / best.median_ms:.0f} a second",
            ),
            *(
                (amount(each.new, "x"), f"as fast as {each.metric}")
                for each in report.speedups
                if each.subject == best.name
            ),
            (amount(model.weights_bytes / 1e6, "MB"), "of weights"),
        ]
        for drift in report.drifts:
            if drift.compressed == model.name and drift.judged:
                far = [check.verdict for check in drift.checks if check.key == "drift_benign_times"]
                few = "; too few photos for distances between sets" if far == [None] else ""
                words = f"what compression lost of {drift.original}{few}"
                own.append((tables.verdict_word(drift), words))
        yield model.name, own


def sliders(report: Report) -> Iterator[Slider]:
    """The first photo: what the user approved beside what ships, then what compression did."""
    if not report.gallery:
        return
    _, numbered = next(photos(report.gallery))
    after = next((each for each in numbered if each[1].column == "bundle"), None)
    if after is None:
        return
    model = next((each for each in report.models if each.name == after[1].title), None)
    original = original_of(model, report.models) if model else None
    wanted: list[tuple[str, str | None, str]] = [("teacher", None, "the teacher")]
    if original is not None and original.role == "student":
        wanted.append(("student", original.name, f"{original.name}, which it was made from"))
    wanted.append(("content", None, "the photo"))
    for column, title, words in wanted:
        own = (each for each in numbered if each[1].column == column)
        left = next((each for each in own if title in (None, each[1].title)), None)
        if left is not None:
            yield Slider(left, after, f"Left {words}, right {after[1].title}.")


def photos(pictures: Iterable[Shown]) -> Iterator[tuple[str, Numbered]]:
    """Yield the pictures of each photo, numbered."""
    for photo, group in groupby(enumerate(pictures), key=lambda each: each[1].photo):
        yield photo, list(group)


def arm(side: Side) -> str:
    """Say what one of both arms is."""
    label, size = f"{side.label}: " if side.label else "", amount(side.weights_bytes / 1e6, "MB")
    return f"{label}{side.name}, {side.precision}, {size}, {side.digest[:12]}"


def verdict_look(comparison: Comparison) -> str:
    looks = {"TREND": "TREND", "NOT COMPARABLE": "open", "NO BASELINE": "open"}
    return looks.get(comparison.verdict) or look(signed(comparison.verdict))


def others(comparison: Comparison) -> list[str]:
    """Return the reasons that are of no figure."""
    of_figures = {check.reason for check in comparison.gated}
    return [reason for reason in comparison.reasons if reason not in of_figures]


def skipped(document: Report | Comparison) -> list[str]:
    """Say what was not measured, and why, where no reason of the verdict does."""
    in_verdict = "; ".join(document.reasons) if isinstance(document, Comparison) else ""
    return [f"{part.what}: {part.why}" for part in document.skipped if part.why not in in_verdict]


def unjudged(comparison: Comparison) -> list[str]:
    return [f"{part.what} ({part.why})" for part in comparison.unjudged]


def differing(comparison: Comparison) -> list[list[str]]:
    return [[field, str(a), str(b)] for field, (a, b) in comparison.differing.items()]


def judged(comparison: Comparison) -> Table:
    return tables.checks_table("What the verdict rests on", comparison.gated)


def shown(comparison: Comparison) -> Table:
    title = "Both reports" if comparison.mode == "trend" else "Measured, not judged"
    rest = [check for check in comparison.checks if check.verdict is None and check.new is not None]
    return tables.checks_table(title, rest)


def arms_sliders(comparison: Comparison) -> list[Slider]:
    """Return base and new of the photos on which they differ most."""
    dividers = []
    for title, numbered in photos(comparison.gallery):
        arms = {each[1].title: each for each in numbered}
        if not title.endswith(EQUAL) and {"base", "new"} <= set(arms):
            caption = f"{title.rpartition(':')[0]}: left base, right new."
            dividers.append(Slider(arms["base"], arms["new"], caption))
    return dividers[:SLID]


def discarded(comparison: Comparison) -> list[str]:
    """Say how many runs do not count, by the reason."""
    counts = Counter(reason for run in comparison.runs for reason in run.invalid)
    return [f"{n} {'run' if n == 1 else 'runs'}: {why}" for why, n in counts.most_common()]


def backends(comparison: Comparison) -> Iterator[tuple[str, list[Check]]]:
    """Yield each subject of runs with its judged figures."""
    paired = [one for one in comparison.checks if one.kind == "paired" and one.values]
    for subject in dict.fromkeys(one.subject for one in paired):
        yield subject, [one for one in paired if one.subject == subject and one.verdict]


def strip(check: Check) -> dict[str, Any]:
    """Return where ratios, estimate, interval, 1 and limit stand, in percent of a logarithmic scale."""
    worse = [n / b if check.larger_is_worse else b / n for b, n in check.values]
    limit = 1 + (check.limit or 0)
    ends = [*worse, 1.0, limit, check.low or 1.0, check.high or 1.0]
    low, high = min(ends), max(ends)

    def place(value: float) -> float:
        share = math.log(value / low) / math.log(high / low) if high > low else 0.5
        return round(4 + 92 * share, 2)

    rules = [(place(1.0), "equal", "same", 14)]
    if check.limit:
        rules.append((place(limit), f"limit +{100 * check.limit:g} %", "limit", 28))
    point = check.worse or 1.0
    return {
        "rules": rules,
        # Rows of a fixed pattern part the dots that stand on each other, the same on every draw.
        "dots": [
            (place(ratio), 44 + 12 * (n % 4), f"pair {n + 1}: {100 * (ratio - 1):+.2f} %")
            for n, ratio in enumerate(worse)
        ],
        "span": tuple(map(place, (check.low or point, point, check.high or point))),
        "ends": [f"{100 * (end - 1):+.1f} %" for end in (low, high)],
    }


def reasons(missing: Mapping[str, str]) -> str:
    """Tell what is missing by the reason, each once.

    >>> reasons({"turbo": "no file", "clocks_mhz": "no file", "board": "no Jetson"})
    'turbo, clocks: no file; board: no Jetson'
    """
    names: dict[str, list[str]] = {}
    for field, why in missing.items():
        names.setdefault(why, []).append(_field(field)[0])
    return "; ".join(f"{', '.join(each)}: {why}" for why, each in names.items())


def machine_line(machine: Machine) -> str:
    """Name the machine in a few words."""
    gpus = [str(gpu["name"]) for gpu in machine.gpus or () if gpu["name"]]
    board = str(machine.board["model"] or "") if machine.board else ""
    cores = f"{machine.cores} cores" if machine.cores else ""
    return ", ".join(filter(None, (board or machine.cpu, cores, *gpus)))


def machine_facts(machine: Machine) -> Iterator[tuple[str, str]]:
    """Yield what is known of a machine, a name and a value each."""
    for field, value in machine.model_dump(exclude_none=True, exclude={"missing"}).items():
        name, unit = _field(field)
        for part in value if field == "gpus" else (value,):
            if text := _value(part):
                yield name.removesuffix("s") if field == "gpus" else name, f"{text} {unit}".strip()


def meanwhile(validity: Validity) -> str:
    """Say what was seen of the machine while the turns were measured."""
    load = validity.foreign_load
    sightings = [] if load is None else [f"others used {load:.0%} of the processor"]
    sightings += [event.what for event in validity.events if event.kind != "foreign load"]
    return "; ".join(sightings) or "nothing was seen"


def _field(field: str) -> tuple[str, str]:
    """Part a field's name into words and its unit.

    >>> _field("power_limit_w"), _field("cpu")
    (('power limit', 'W'), ('cpu', ''))
    """
    name, _, end = field.rpartition("_")
    if name and end in UNITS:
        return name.replace("_", " "), UNITS[end]
    return field.replace("_", " "), ""


def _value(value: Any) -> str:
    """Write a field's value.

    >>> _value(((800.0, 3700.0),)), _value(("avx2", "fma")), _value(True), _value({"fan": 0.5})
    ('800 to 3700', 'avx2 fma', 'yes', 'fan 0.5')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        known = ((name.replace("_", " "), item) for name, item in value.items() if item is not None)
        return ", ".join(f"{name} {_value(item)}" for name, item in known)
    if isinstance(value, tuple):
        if len(value) == 2 and all(isinstance(item, float) for item in value):
            return f"{value[0]:g} to {value[1]:g}"
        return (", " if any(isinstance(item, tuple) for item in value) else " ").join(
            map(_value, value)
        )
    return f"{value:g}" if isinstance(value, float) else str(value)
