"""What a report says, as sentences and tables in the order a reader asks: the look first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from stylepress.benchmarks.check import Check, signed
from stylepress.benchmarks.quality.gallery import SATURATION
from stylepress.benchmarks.quality.motion.steadiness import PUT_IN, WARPING
from stylepress.benchmarks.quality.study import Drift
from stylepress.benchmarks.report import Latency, Model, Report, against

NONE = "-"
SCENARIOS = {
    "service time": "Service time: one frame after the other",
    "response time": "Response time: frames that wait for nobody",
    "throughput": "Throughput: all frames at once",
}
"""What a scenario measures; two of them never share a table."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts under heads, and a title. The first column heads a row."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def filled(self) -> Table:
        """It without the columns in which no row has anything."""
        kept = [n for n in range(len(self.heads)) if any(row[n] != NONE for row in self.rows)]
        rows = [[row[n] for n in kept] for row in self.rows]
        return replace(self, heads=[self.heads[n] for n in kept], rows=rows)


def amount(value: float | None, unit: str = "") -> str:
    """Write a value with three digits and its unit; a dash for None.

    >>> amount(5.6234, "ms"), amount(1234.5, "ms"), amount(312.4, "MB"), amount(0.0123, "J")
    ('5.62 ms', '1234 ms', '312 MB', '12.3 mJ')
    >>> amount(99.04, "x"), amount(0.9996, "x"), amount(None)
    ('99.0x', '1.00x', '-')
    """
    if value is None:
        return NONE
    if unit == "J":
        return f"{1e3 * value:.3g} mJ" if abs(value) >= 1e-6 else "0 mJ"
    if unit in ("x", "MB"):
        text = f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"
        return f"{text}{'' if unit == 'x' else ' '}{unit}"
    return f"{value:.3g} {unit}".strip() if abs(value) < 999.5 else f"{value:.0f} {unit}".strip()


def pivot(title: str, checks: Iterable[Check], *, first: str) -> Table:
    """Lay figures out with a row a subject and a column a metric; a dash, or why there is none."""
    cells: dict[str, dict[str, str]] = {}
    for check in checks:
        text = (check.note or NONE) if check.new is None else amount(check.new, check.unit)
        cells.setdefault(check.subject, {})[check.metric] = text
    every = dict.fromkeys(metric for row in cells.values() for metric in row)
    metrics = [name for name in every if any(row.get(name, NONE) != NONE for row in cells.values())]
    rows = [[who, *(row.get(name, NONE) for name in metrics)] for who, row in cells.items()]
    return Table(title, [first, *metrics], rows if metrics else [])


def checks_table(title: str, checks: Sequence[Check], *, value: str = "new") -> Table:
    """Lay out checks a row each: what matters comes first, as a phone shows four columns."""
    several = len({check.subject for check in checks}) > 1
    rows = [
        [
            check.name if several else check.metric,
            signed(check.verdict) if check.verdict else NONE,
            check.change or NONE,
            check.written(check.new),
            check.limit_text or NONE,
            check.written(check.base),
            check.interval or NONE,
            check.remark or NONE,
        ]
        for check in checks
    ]
    heads = ["figure", "verdict", "worse by", value, "limit", "base", "95 % interval", "remark"]
    return Table(title, heads, rows).filled


def headline(report: Report) -> str:
    """Return the one sentence a reader should take along: the look first, then the speed."""
    bundles = [(model, report.best(model.name)) for model in report.of_role("bundle")]
    known = [(model, latency) for model, latency in bundles if latency is not None]
    if not known:
        return "Report"
    model, latency = min(known, key=lambda pair: pair[1].median_ms)
    scenario = report.scenario
    speed = f"{amount(latency.median_ms, 'ms')} a frame at {scenario.width}x{scenario.height}"
    verdicts = [shown.verdict for shown in report.drifts if shown.compressed == model.name]
    look = ""
    for other, found in _likeness(report, model):
        level = found["psnr"]
        near = "equal to" if level is None else f"{level:.1f} dB from"
        look = look or f"pictures {near} {other.name}'s, "
    if "FAIL" in verdicts:
        look = f"its pictures FAIL against {report.drifts[0].original}; {look}"
    return f"{model.name}: {look}{speed}"


def looks(report: Report) -> list[str]:
    """Say how like its originals each bundle's pictures are."""
    nothing = "No original was given (`--teacher`, `--student`), so nothing tells what changed."
    said = [
        _look(report, model, other, found)
        for model in report.of_role("bundle")
        for other, found in _likeness(report, model)
    ]
    return said or [nothing]


def _likeness(report: Report, model: Model) -> Iterator[tuple[Model, dict[str, float | None]]]:
    """Yield each original that a model is held against, and how like its pictures are, by figure."""
    for other in (*report.of_role("teacher"), *report.of_role("student")):
        subject = against(model.name, other.name)
        found = {one.metric: one.new for one in report.looks if one.subject == subject}
        if found:
            yield other, found


def _look(report: Report, model: Model, other: Model, found: Mapping[str, float | None]) -> str:
    level, change = found["psnr"], found[SATURATION] or 0.0
    if level is None:
        return f"{model.name} draws exactly what {other.name} draws."
    more = f"{abs(change):.0f} % {'more' if change > 0 else 'less'} colourful"
    parts = [
        f"PSNR {level:.1f} dB, SSIM {found['ssim']:.2f}",
        f"mean colour off by {found['colour cast']:.1f} of 255 levels",
        more if abs(change) >= 1 else "as colourful",
    ]
    style = {one.subject: one.new for one in report.looks if one.metric == "style distance"}
    mine, theirs = style.get(model.name), style.get(other.name)
    if mine is not None and theirs:
        parts.append(f"{amount(mine / theirs, 'x')} as far from the style picture")
    parts += [f"{name[:8]} {value:.2f}{name[8:]}" for name, value in found.items()
              if name.startswith("fidelity")]  # fmt: skip
    sentence = f"{against(model.name, other.name)}: {', '.join(parts)}."
    if other.role == "teacher" and level < 25:
        sentence += (
            " A student draws strokes of its own, so its picture is another look: judge by eye "
            "whether it is what you approved."
        )
    return sentence


def quality(report: Report) -> Table:
    title = f"Quality, mean of {len(report.scenario.photos)} photos"
    return pivot(title, report.looks, first="model")


def steadiness(report: Report) -> list[str]:
    """Say how much more each bundle flickers than its originals, or than the frames themselves."""
    errors = {
        one.subject: one.new for one in report.steadiness if one.metric == WARPING and one.new
    }
    floors = {one.subject: one.new for one in report.steadiness if one.metric == PUT_IN and one.new}
    originals = {
        one.name: f"those of {one.name}"
        for one in report.models
        if one.role != "bundle" and one.name in errors
    }
    sentences = []
    for model in (one.name for one in report.of_role("bundle") if one.name in errors):
        for other, words in (originals or {model: "the frames themselves"}).items():
            ratio = errors[model] / (errors[other] if originals else floors.get(model, 1e-12))
            much = "as little as" if 0.9 <= ratio <= 1.1 else f"{amount(ratio, 'x')} as much as"
            sentences.append(
                f"Along a moving camera the pictures of {model} change {much} {words}"
                f"{': it flickers more' if originals and ratio > 1.5 else ''}."
            )
    return sentences


def speeds(report: Report) -> Table:
    rows = [_speed(latency) for latency in report.latencies if latency.model]
    return Table("Latency of a frame", ["system", "median", "p90", "calls", "engine"], rows)


def _speed(latency: Latency) -> list[str]:
    """Write one system; the model's name has its precision."""
    tail = latency.at(0.9)
    p90 = tail.note if tail.new is None else amount(tail.new, "ms")
    version = str(latency.facts.get("version", "")).partition("-")[0]
    facts = {"version": version} | {k: v for k, v in latency.facts.items() if k != "version"}
    engine = ", ".join(
        f"{name.replace('_', ' ')} {value}"
        for name, value in facts.items()
        if name not in ("backend", "precision")
    )
    return [latency.name, amount(latency.median_ms, "ms"), p90, str(latency.timing.calls), engine]


def speedups(report: Report) -> Table:
    """Lay out how many times as fast each bundle is as the baselines."""
    rows = [
        [gain.subject, amount(gain.new, "x"), gain.metric, gain.interval or gain.note]
        for gain in report.speedups
    ]
    heads = ["bundle", "times as fast", "as", "95 % interval"]
    return Table("Against the baselines", heads, rows)


def models(report: Report) -> Table:
    rows = [
        [
            model.name,
            amount(model.weights_bytes / 1e6, "MB"),
            NONE if model.parameters is None else f"{model.parameters / 1e6:.3f} M",
            NONE if model.macs is None else f"{model.macs / 1e9:.2f} G",
            model.family,
            model.digest[:12],
        ]
        for model in report.models
    ]
    heads = ["model", "weights", "parameters", "MACs a frame", "family", "digest"]
    return Table("Models", heads, rows).filled


def scenes(report: Report, measures: str) -> Table:
    figures = [
        figure.model_copy(update={"subject": f"{scene.title} (does not count)"})
        if scene.doubts
        else figure
        for scene in report.scenes
        if scene.measures == measures
        for figure in scene.figures
    ]
    return pivot(SCENARIOS[measures], figures, first="system")


def energies(report: Report) -> Table:
    figures = [one for scene in report.scenes for one in scene.energies if one.new is not None]
    return pivot("Energy", figures, first="system")


def rails(report: Report) -> list[tuple[str, str]]:
    """Return what each source of energy summed."""
    every = [one for scene in report.scenes for one in scene.energies if one.of]
    return [*{one.metric.rpartition(", ")[2]: one.of for one in every}.items()]


def starts(report: Report) -> Table:
    return pivot("Start and memory, in a process of its own", report.starts, first="system")


def verdict_word(drift: Drift) -> str:
    return signed(drift.verdict) if drift.verdict else "not judged"


def study(drift: Drift) -> Table:
    """Lay out every figure of a study, with the verdict over all of them."""
    who = against(drift.compressed, drift.original)
    title = f"What compression lost, {who}: {verdict_word(drift)}"
    return checks_table(title, drift.checks, value="value")


def motion(report: Report) -> Table:
    return pivot("In motion", report.steadiness, first="model")
