"""Where and when a table is measured: commit, machine, versions."""

from __future__ import annotations

import subprocess
from pathlib import Path

from stylepress import __version__
from stylepress.benchmarks.figures.result import Provenance
from stylepress.benchmarks.machine.record import Machine

PACKAGES = ("onnxruntime", "openvino", "torch")
RESULTS = "benchmarks/results"


def provenance(machine: Machine, checkout: Path, *, day: str) -> Provenance:
    """Describe this machine and the checkout that is measured; ``day`` is today, ISO 8601."""
    flags = " ".join(flag for flag in machine.flags or () if "vnni" in flag or "amx" in flag)
    known = [(name, machine.packages.get(name)) for name in PACKAGES]
    return Provenance(
        measured=day,
        stylepress=__version__,
        commit=commit(checkout),
        cpu=machine.cpu or machine.architecture,
        cores=f"{machine.cores} core{'' if machine.cores == 1 else 's'}"
        + (f" ({flags})" if flags else ""),
        python=machine.python,
        packages=", ".join(f"{name} {version}" for name, version in known if version),
    )


def commit(checkout: Path) -> str:
    """Return the commit of a checkout, with a ``+`` when its files differ; empty outside of git.

    The tables themselves, and the documents they are written into, do not count as changes.
    """
    head = _git(checkout, "rev-parse", "--short=12", "HEAD")
    if not head:
        return ""
    others = [f":(exclude){RESULTS}", ":(exclude)*.md"]
    changed = _git(checkout, "status", "--porcelain", "--untracked-files=no", "--", ".", *others)
    return f"{head}+" if changed else head


def told(*measured: Provenance) -> str:
    """Tell where tables were measured, below them: one line for each place and time."""
    return "\n\n".join(_line(made) for made in dict.fromkeys(measured))


def _line(made: Provenance) -> str:
    commit = f", commit {made.commit}" if made.commit else ""
    return (
        f"Measured by `make results` on {made.measured}{commit}: {made.cpu}, {made.cores}, "
        f"Python {made.python}, {made.packages}."
    )


def _git(checkout: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), *words], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
