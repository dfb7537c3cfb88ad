"""Where and when a table is measured: commit, machine, versions."""

from __future__ import annotations

from pathlib import Path

from stylepress import __version__
from stylepress.benchmarks.figures.result import Provenance
from stylepress.benchmarks.machine.checkout import commit
from stylepress.benchmarks.machine.record import Machine

PACKAGES = ("onnxruntime", "openvino", "torch")
RESULTS = "benchmarks/results"
APART = (RESULTS, "*.md")
"""The tables themselves, and the documents they are written into, do not count as changes."""


def provenance(machine: Machine, checkout: Path, *, day: str) -> Provenance:
    """Describe this machine and the checkout that is measured; ``day`` is today, ISO 8601."""
    flags = " ".join(flag for flag in machine.flags or () if "vnni" in flag or "amx" in flag)
    known = [(name, machine.packages.get(name)) for name in PACKAGES]
    return Provenance(
        measured=day,
        stylepress=__version__,
        commit=commit(checkout, apart=APART),
        cpu=machine.cpu or machine.architecture,
        cores=f"{machine.cores} core{'' if machine.cores == 1 else 's'}"
        + (f" ({flags})" if flags else ""),
        python=machine.python,
        packages=", ".join(f"{name} {version}" for name, version in known if version),
    )


def told(*measured: Provenance) -> str:
    """Tell where tables were measured, below them: one line for each place and time."""
    return "\n\n".join(_line(made) for made in dict.fromkeys(measured))


def _line(made: Provenance) -> str:
    commit = f", commit {made.commit}" if made.commit else ""
    return (
        f"Measured by `make results` on {made.measured}{commit}: {made.cpu}, {made.cores}, "
        f"Python {made.python}, {made.packages}."
    )
