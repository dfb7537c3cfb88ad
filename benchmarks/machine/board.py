"""A Jetson: what module it is, what runs on it, and how its power is set."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from stylepress.benchmarks.machine.files import Tree
from stylepress.benchmarks.machine.libraries import debian_packages
from stylepress.benchmarks.machine.sensors import devfreq_gpus

Ask = Callable[[Sequence[str]], str]
"""Run a command and return what it printed; OSError or ValueError when it does not."""

RELEASE = re.compile(r"R(\d+) \(release\), REVISION: ([\d.]+)")
STATUS = re.compile(r"pmode:(\d+)")
MODE = re.compile(r"POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)")
SAID = re.compile(r"NV Power Mode:\s*(\S+)\s+(\d+)")


def read_board(tree: Tree, *, ask: Ask | None = None) -> dict[str, Any]:
    """Return the facts of a Jetson, by the names of the machine record.

    The number of a power mode means another mode on another module and JetPack, so the name is
    read beside it: from nvpmodel's own files, or from the command where they are not there.

    Raises:
        LookupError: this is no Jetson.
    """
    model = _or_none(tree, "proc/device-tree/model")
    release = RELEASE.search(_or_none(tree, "etc/nv_tegra_release") or "")
    if release is None and "jetson" not in (model or "").lower():
        raise LookupError("this is no Jetson")
    number, name = _power_mode(tree, ask or told)
    return {
        "model": model,
        "chip": _chip(tree),
        "l4t": None if release is None else f"{release[1]}.{release[2]}",
        "jetpack": debian_packages(tree).get("nvidia-jetpack"),
        "power_mode": number,
        "power_mode_name": name,
        "clocks_locked": clocks_locked(tree),
        "gpu_mhz": _gpu_mhz(tree),
    }


def clocks_locked(tree: Tree) -> bool | None:
    """Say whether every processor and GPU has one clock only: least, most and now are equal.

    Memory's clock cannot be read without root. None when no clock can be read.
    """
    seen = []
    for folder in tree.names("sys/devices/system/cpu/cpufreq/policy*"):
        with suppress(OSError, ValueError):
            names = ("scaling_min_freq", "scaling_max_freq", "scaling_cur_freq")
            seen.append({tree.number(f"{folder}/{name}") for name in names})
    for folder in devfreq_gpus(tree):
        with suppress(OSError, ValueError):
            names = ("min_freq", "max_freq", "cur_freq")
            seen.append({tree.number(f"{folder}/{name}") for name in names})
    return all(len(values) == 1 for values in seen) if seen else None


def told(command: Sequence[str]) -> str:
    """Run a command for at most five seconds.

    Raises:
        OSError: there is no such command.
        ValueError: it failed, or did not end.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=5)
    except subprocess.SubprocessError as error:
        raise ValueError(f"{command[0]} failed") from error
    return done.stdout


def _power_mode(tree: Tree, ask: Ask) -> tuple[int | None, str | None]:
    status = STATUS.search(_or_none(tree, "var/lib/nvpmodel/status") or "")
    if status is not None:
        number = int(status[1])
        modes = {
            int(one): name for one, name in MODE.findall(_or_none(tree, "etc/nvpmodel.conf") or "")
        }
        if number in modes:
            return number, modes[number]
    with suppress(OSError, ValueError):
        said = SAID.search(ask(["nvpmodel", "-q"]))
        if said is not None:
            return int(said[2]), said[1]
    return (None if status is None else int(status[1])), None


def _chip(tree: Tree) -> str | None:
    names = (_or_none(tree, "proc/device-tree/compatible") or "").split("\0")
    return next((name.partition(",")[2] for name in names if name.startswith("nvidia,tegra")), None)


def _gpu_mhz(tree: Tree) -> tuple[float, float] | None:
    for folder in devfreq_gpus(tree):
        with suppress(OSError, ValueError):
            return 1e-6 * tree.number(f"{folder}/min_freq"), 1e-6 * tree.number(
                f"{folder}/max_freq"
            )
    return None


def _or_none(tree: Tree, name: str) -> str | None:
    with suppress(OSError):
        return tree.text(name)
    return None
