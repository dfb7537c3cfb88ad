"""A report as Markdown: the tables, for a terminal, a README or a CI job's summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from stylepress.benchmarks.drift.result import CheckVerdict
from stylepress.benchmarks.lost import lost, unkept
from stylepress.benchmarks.machine.record import Board, Gpu, Machine
from stylepress.benchmarks.machine.watch import Validity
from stylepress.benchmarks.report import Latency, Report
from stylepress.benchmarks.sections import sections
from stylepress.benchmarks.wording import (
    SIGNS,
    engine_version,
    milliseconds,
    percentile,
    reasons,
    times,
)

UNKEPT: Mapping[CheckVerdict, str] = {
    "regression": f"{SIGNS['regression']} What failed",
    "inconclusive": f"{SIGNS['inconclusive']} What is open",
}


def summary(report: Report) -> str:
    """Return the whole report as Markdown."""
    parts = [
        [f"# {headline(report)}", ""],
        [f"{scenario_line(report)}."],
        *([f"## {title}", "", *(f"- {one}" for one in told)] for title, told in unkept_of(report)),
        ["## Doubts", "", *(f"- {doubt}" for doubt in report.doubts())] if report.doubts() else [],
        ["## Latency", "", *_latency_table(report)],
        *(
            [
                *(f"## {one.title}", "", *([one.lead, ""] if one.lead else [])),
                *(*table(one.heads, one.rows), "", one.note),
            ]
            for one in (*sections(report), *lost(report))
        ),
        ["## Machine", "", *(f"- {name}: {value}" for name, value in _lines(report))],
        ["## Not measured", "", *(f"- {each.what}: {each.why}" for each in report.skipped)]
        if report.skipped
        else [],
    ]
    return "\n\n".join("\n".join(part).strip() for part in parts if part) + "\n"


def unkept_of(report: Report) -> Iterator[tuple[str, list[str]]]:
    """Yield what the pictures failed, and what is open: a title and each check."""
    for verdict, title in UNKEPT.items():
        told = list(unkept(report, verdict))
        if told:
            yield title, told


def _lines(report: Report) -> Iterator[tuple[str, str]]:
    yield from machine_lines(report)
    yield from unread_lines(report)


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
    failed = any(
        one.compressed == model.name and one.verdict == "regression" for one in report.drifts
    )
    return f"{text}, but its pictures failed" if failed else text


def scenario_line(report: Report) -> str:
    """Return size, threads and rounds in words."""
    scenario = report.scenario
    return (
        f"{scenario.width}x{scenario.height}, {scenario.name}, uint8 in and out, "
        f"{scenario.threads} threads, {scenario.rounds} rounds in turns, "
        f"{len(scenario.photos)} photos"
    )


def machine_lines(report: Report) -> Iterator[tuple[str, str]]:
    """Yield what is known of the machine, and what was seen of it: a name and a value each."""
    yield from machine_facts(report.machine)
    if report.validity is not None:
        yield from _meanwhile(report.validity)


def machine_facts(machine: Machine) -> Iterator[tuple[str, str]]:
    """Yield what is known of a machine, a name and a value each."""
    clocks = ", ".join(f"{low:g} to {high:g} MHz" for low, high in machine.clocks_mhz or ())
    facts = {
        "processor": machine.cpu,
        "features": " ".join(machine.flags or ()),
        "cores": _listed(
            str(machine.cores or ""),
            machine.quota_cores and f"a quota of {machine.quota_cores:g}",
            machine.smt and f"{machine.threads_per_core} threads a core",
            machine.virtual and "virtual",
        ),
        "clocks": _listed(clocks, machine.governor, _switched("turbo", machine.turbo)),
        "memory": _listed(
            machine.memory_gib and f"{machine.memory_gib:g} GiB",
            machine.memory_limit_gib and f"at most {machine.memory_limit_gib:g} GiB of it",
            "shared with the GPU" if machine.board else None,
        ),
        "board": _board(machine.board) if machine.board else None,
        **{f"GPU {number}": _gpu(gpu) for number, gpu in enumerate(machine.gpus or ())},
        "system": _listed(
            f"{machine.system} {machine.kernel} {machine.architecture}",
            *(machine.distribution, machine.libc),
        ),
        "python": machine.python,
        "packages": ", ".join(f"{name} {v}" for name, v in machine.packages.items() if v),
        "measured by commit": machine.commit,
        "fans": _listed(*(f"{name} {share:.0%}" for name, share in (machine.fans or {}).items())),
        "load before": None if machine.load_average is None else f"{machine.load_average:g}",
        **machine.thread_variables,
    }
    yield from ((name, value) for name, value in facts.items() if value)


def unread_lines(report: Report) -> Iterator[tuple[str, str]]:
    """Yield what the machine does not tell, and why."""
    if report.machine.missing:
        yield "not told", reasons(report.machine.missing)
    if report.validity is not None and report.validity.missing:
        yield "not watched", reasons(report.validity.missing)


def _board(board: Board) -> str:
    clocks = board.gpu_mhz
    return _listed(
        *(board.model, board.chip),
        board.l4t and f"L4T {board.l4t}",
        board.jetpack and f"JetPack {board.jetpack}",
        board.power_mode_name and f"power mode {board.power_mode_name}",
        clocks and f"GPU {clocks[0]:g} to {clocks[1]:g} MHz",
        board.clocks_locked is not None
        and ("clocks locked" if board.clocks_locked else "clocks not locked"),
    )


def _gpu(gpu: Gpu) -> str:
    return _listed(
        gpu.name,
        gpu.memory_mib and f"{gpu.memory_mib / 1024:.0f} GiB",
        gpu.driver and f"driver {gpu.driver}",
        gpu.cuda and f"CUDA {gpu.cuda}",
        gpu.power_limit_w and f"at most {gpu.power_limit_w:g} W",
        gpu.most_sm_mhz and f"{gpu.most_sm_mhz} MHz",
        gpu.set_sm_mhz and f"set to {gpu.set_sm_mhz} MHz",
        gpu.locked_sm_mhz and f"locked at {gpu.locked_sm_mhz} MHz",
        gpu.fan_percent is not None and f"fan at {gpu.fan_percent} %",
        *(_switched("persistence", gpu.persistence), _switched("ECC", gpu.ecc)),
        gpu.mig and "MIG on",
    )


def _listed(*parts: str | float | None) -> str:
    """Join the texts that are there.

    >>> _listed("a", None, False, "", "b")
    'a, b'
    """
    return ", ".join(part for part in parts if part and isinstance(part, str))


def _switched(name: str, on: bool | None) -> str | None:
    return None if on is None else f"{name} {'on' if on else 'off'}"


def _meanwhile(validity: Validity) -> Iterator[tuple[str, str]]:
    """Yield what was seen of the machine while the turns were measured."""
    load, waited = validity.foreign_load, validity.cpu_pressure
    seen = [] if load is None else [f"others used {load:.0%} of the processor"]
    seen += [] if waited is None else [f"some task waited for a core {waited:.0%} of the time"]
    seen += [event.what for event in validity.events if event.kind != "foreign load"]
    yield "meanwhile", "; ".join(seen) or "nothing was seen"


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


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay rows out as a Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    cells = ([cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows)
    return lines + ["| " + " | ".join(row) + " |" for row in cells]
