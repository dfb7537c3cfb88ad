"""What is known of a machine, in words: a name and a value each."""

from __future__ import annotations

from collections.abc import Iterator

from stylepress.benchmarks.machine.record import Board, Gpu, Machine
from stylepress.benchmarks.machine.watch import Validity
from stylepress.benchmarks.report import Report
from stylepress.benchmarks.show.words import reasons


def machine_line(machine: Machine) -> str:
    """Name the machine in a few words."""
    gpus = [gpu.name for gpu in machine.gpus or () if gpu.name]
    board = machine.board.model if machine.board else None
    return _listed(board or machine.cpu, f"{machine.cores} cores" if machine.cores else "", *gpus)


def report_facts(report: Report) -> Iterator[tuple[str, str]]:
    """Yield what is known of the machine, and what was seen of it while the turns ran."""
    yield from machine_facts(report.machine)
    if report.validity is not None:
        yield "meanwhile", _meanwhile(report.validity)


def unread(report: Report) -> Iterator[tuple[str, str]]:
    """Yield what the machine does not tell, and why."""
    if report.machine.missing:
        yield "not told", reasons(report.machine.missing)
    if report.validity is not None and report.validity.missing:
        yield "not watched", reasons(report.validity.missing)


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


def _meanwhile(validity: Validity) -> str:
    """Say what was seen of the machine while the turns were measured."""
    load, waited = validity.foreign_load, validity.cpu_pressure
    seen = [] if load is None else [f"others used {load:.0%} of the processor"]
    seen += [] if waited is None else [f"some task waited for a core {waited:.0%} of the time"]
    seen += [event.what for event in validity.events if event.kind != "foreign load"]
    return "; ".join(seen) or "nothing was seen"
