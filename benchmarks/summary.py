"""A report as Markdown: the tables, for a terminal, a README or a CI job's summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stylepress.benchmarks.machine.watch import Validity
from stylepress.benchmarks.report import Latency, Model, Report, Speedup, mean_of
from stylepress.benchmarks.sections import megabytes, milliseconds, quantile, sections

MEASURES = (
    ("style_distance", "style distance"),
    ("content_distance", "content distance"),
    ("grid_energy", "grid energy"),
    ("psnr_db", "PSNR dB"),
    ("ssim", "SSIM"),
)


def summary(report: Report) -> str:
    """Return the whole report as Markdown."""
    parts = [
        [f"# {headline(report)}", ""],
        [f"{scenario_line(report)}."],
        ["## Doubts", "", *(f"- {doubt}" for doubt in report.doubts())] if report.doubts() else [],
        ["## Latency", "", *_latency_table(report)],
        ["## Against the baselines", "", *_speedup_table(report)] if report.speedups else [],
        ["## Models", "", *_model_table(report)],
        ["## Quality", "", *_quality_table(report)],
        *(
            [f"## {one.title}", "", *table(one.heads, one.rows), "", one.note]
            for one in sections(report)
        ),
        ["## Machine", "", *(f"- {name}: {value}" for name, value in machine_lines(report))],
        ["## Not measured", "", *(f"- {each.what}: {each.why}" for each in report.skipped)]
        if report.skipped
        else [],
    ]
    return "\n\n".join("\n".join(part).strip() for part in parts if part) + "\n"


def headline(report: Report) -> str:
    """Return the one sentence a reader should take along."""
    bundles = [(model, report.best(model.name)) for model in report.of_role("bundle")]
    known = [(model, latency) for model, latency in bundles if latency is not None]
    if not known:
        return "Report"
    model, latency = min(known, key=lambda pair: pair[1].median_ms)
    against = [each for each in report.speedups if each.system == latency.name]
    text = f"{model.name}: {milliseconds(latency.median_ms)} a frame in {latency.backend}"
    if against:
        first = max(against, key=lambda each: each.ratio)
        slow = next(each for each in report.latencies if each.name == first.baseline)
        text += f", {times(first.ratio)} as fast as its teacher in {slow.backend}"
    return text


def scenario_line(report: Report) -> str:
    """Return size, threads and rounds in words."""
    scenario = report.scenario
    return (
        f"{scenario.width}x{scenario.height}, {scenario.name}, uint8 in and out, "
        f"{scenario.threads} threads, {scenario.rounds} rounds in turns, "
        f"{len(scenario.photos)} photos"
    )


def machine_lines(report: Report) -> Iterator[tuple[str, str]]:
    """Yield what is known of the machine, a name and a value each, unknown with its reason."""
    machine = report.machine
    facts = {
        "processor": machine.cpu,
        "features": " ".join(machine.flags or ()) or None,
        "cores": machine.cores,
        "quota": machine.quota_cores and f"{machine.quota_cores:g} cores",
        "memory": machine.memory_gib and f"{machine.memory_gib:g} GiB",
        "governor": machine.governor,
        "system": f"{machine.system} {machine.kernel} {machine.architecture}",
        "python": machine.python,
        "packages": ", ".join(f"{name} {v}" for name, v in machine.packages.items() if v),
        "load before": machine.load_average,
    }
    fields = {
        "processor": "cpu",
        "features": "flags",
        "quota": "quota_cores",
        "memory": "memory_gib",
        "load before": "load_average",
    }
    for name, value in facts.items():
        field = fields.get(name, name)
        reason = machine.missing.get(field, "not recorded")
        yield name, str(value) if value not in (None, "") else f"none: {reason}"
    for name, value in machine.thread_variables.items():
        yield name, value
    if report.validity is not None:
        yield from _meanwhile(report.validity)


def _meanwhile(validity: Validity) -> Iterator[tuple[str, str]]:
    """Yield what was seen of the machine while the turns were measured, and what was not."""
    load, waited = validity.foreign_load, validity.cpu_pressure
    seen = [] if load is None else [f"others used {load:.0%} of the processor"]
    seen += [] if waited is None else [f"some task waited for a core {waited:.0%} of the time"]
    seen += [event.what for event in validity.events if event.kind != "foreign load"]
    yield "meanwhile", "; ".join(seen) or "nothing was seen"
    if validity.missing:
        yield "not watched", "; ".join(f"{name}: {why}" for name, why in validity.missing.items())


def times(ratio: float) -> str:
    """Write a ratio with three digits.

    >>> times(123.4), times(99.04), times(0.9996)
    ('123x', '99.0x', '1.00x')
    """
    return f"{ratio:.{0 if ratio >= 100 else 1 if ratio >= 10 else 2}f}x"


def percentile(latency: Latency) -> str:
    """Write the 90th percentile, or why there is none."""
    return quantile(latency.at(0.9))


def engine_version(latency: Latency) -> str:
    """Write the version of the engine, without the build that OpenVINO adds to its own."""
    return str(latency.facts.get("version", "")).partition("-")[0]


def interval(speedup: Speedup) -> str:
    """Write the 95 % interval of a ratio, or that there is none."""
    if speedup.low is None or speedup.high is None:
        return f"no interval from {speedup.rounds} rounds"
    return f"{speedup.low:.3g} to {speedup.high:.3g}"


def quality_value(report: Report, model: Model, measure: str) -> str:
    """Write the mean of one measure over all photos; a dash where there is none."""
    value = mean_of(report.qualities, model.name, measure)
    if value is None:
        equal = [one.identical for one in report.qualities if one.model == model.name]
        return "equal" if measure == "psnr_db" and equal and all(equal) else "-"
    return f"{value:.1f}" if measure == "psnr_db" else f"{value:.3f}"


def _latency_table(report: Report) -> list[str]:
    rows = [_latency_row(latency) for latency in report.latencies]
    return table(["system", "median", "p90", "calls", "threads", "version"], rows)


def _latency_row(latency: Latency) -> list[str]:
    return [
        latency.name,
        milliseconds(latency.median_ms),
        percentile(latency),
        str(latency.timing.calls),
        str(latency.facts.get("threads", "")),
        engine_version(latency),
    ]


def _speedup_table(report: Report) -> list[str]:
    rows = [
        [each.system, each.baseline, times(each.ratio), interval(each)] for each in report.speedups
    ]
    return table(["bundle", "baseline", "times as fast", "95 % interval"], rows)


def _model_table(report: Report) -> list[str]:
    rows = [
        [
            model.name,
            model.family,
            "-" if model.parameters is None else f"{model.parameters / 1e6:.3f} M",
            "-" if model.macs is None else f"{model.macs / 1e9:.2f} G",
            megabytes(model.weights_bytes),
            megabytes(model.size_bytes),
            model.digest[:12],
        ]
        for model in report.models
    ]
    heads = ["model", "family", "parameters", "MACs a frame", "weights", "all files", "digest"]
    return table(heads, rows)


def _quality_table(report: Report) -> list[str]:
    flicker = {one.model: one for one in report.consistencies}
    rows = []
    for model in report.models:
        own = [one for one in report.qualities if one.model == model.name]
        if not own:
            continue
        values = [quality_value(report, model, measure) for measure, _ in MEASURES]
        steady = flicker.get(model.name)
        rows.append(
            [
                model.name,
                *values,
                "-" if steady is None else f"{steady.warp_error:.2e}",
                own[0].reference or "-",
            ]
        )
    return table(["model", *(name for _, name in MEASURES), "E_warp", "against"], rows)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay rows out as a Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    cells = ([cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows)
    return lines + ["| " + " | ".join(row) + " |" for row in cells]
