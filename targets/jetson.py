"""A Jetson: what module it is, what runs on it, how its power is set; and its system libraries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from stylepress.targets.files import Tree

RELEASE = re.compile(r"R(\d+) \(release\), REVISION: ([\d.]+)")
MODE = re.compile(r"POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)")
STATUS = re.compile(r"pmode:(\d+)")
COMPATIBLE = "proc/device-tree/compatible"
GPU_NAMES = ("gpu", "ga10b", "gv11b", "gp10b", "gm20b", "gb10b")
"""What NVIDIA's integrated GPUs are called below /sys/class/devfreq."""
FIELD = re.compile(r"^(Package|Status|Version): (.*)$", re.MULTILINE)
LIBRARIES: Mapping[str, re.Pattern[str]] = {
    "tensorrt": re.compile(r"libnvinfer\d+"),
    "cudnn": re.compile(r"libcudnn\d+(-cuda-\d+)?"),
    "cuda": re.compile(r"cuda-cudart-\d+-\d+"),
}
"""The Debian packages that hold each: JetPack 5 has libnvinfer8, JetPack 6 libnvinfer10."""


def read_board(tree: Tree) -> dict[str, Any]:
    """Return the facts of a Jetson.

    Raises:
        LookupError: this is no Jetson.
    """
    model, compatible = tree.known("proc/device-tree/model"), tree.known(COMPATIBLE)
    l4t = l4t_release(tree)
    if not l4t and "jetson" not in model.lower():
        raise LookupError("this is no Jetson")
    number, mode = power_mode(tree)
    chips = (one.partition(",")[2] for one in compatible.split("\0") if "nvidia,tegra" in one)
    return {
        "model": model or None,
        "chip": next(chips, None),
        "l4t": l4t or None,
        "jetpack": debian_packages(tree).get("nvidia-jetpack"),
        "power_mode": number,
        "power_mode_name": mode or None,
        "clocks_locked": clocks_locked(tree),
    }


def l4t_release(tree: Tree) -> str:
    """Return the release of Linux for Tegra, e.g. 36.4.3; empty where this is none."""
    match = RELEASE.search(tree.known("etc/nv_tegra_release"))
    return f"{match[1]}.{match[2]}" if match else ""


def power_mode(tree: Tree) -> tuple[int | None, str]:
    """Return the number of the power mode, and its name from nvpmodel's own files.

    The number means another mode on another module and JetPack.
    """
    status = STATUS.search(tree.known("var/lib/nvpmodel/status"))
    if status is None:
        return None, ""
    modes = {int(one): name for one, name in MODE.findall(tree.known("etc/nvpmodel.conf"))}
    return int(status[1]), modes.get(int(status[1]), "")


def clocks_locked(tree: Tree) -> bool | None:
    """Say whether every processor and GPU has one clock only: least, most and now are equal.

    Memory's clock cannot be read without root. None when no clock can be read.
    """
    clocks = [*_clocks(tree, gpu=False), *_clocks(tree, gpu=True)]
    return all(len({*values}) == 1 for values in clocks) if clocks else None


def gpu_folders(tree: Tree) -> list[str]:
    """Return the folders of integrated GPUs below /sys/class/devfreq."""
    folders = tree.names("sys/class/devfreq/*")
    return [f for f in folders if any(word in f.rpartition("/")[2].lower() for word in GPU_NAMES)]


def system_libraries(tree: Tree) -> dict[str, str]:
    """Return the versions of CUDA, cuDNN and TensorRT that the system holds, each with its package."""
    packages, found = debian_packages(tree), dict[str, str]()
    for library, name in LIBRARIES.items():
        held = [f"{packages[one]} ({one})" for one in sorted(packages) if name.fullmatch(one)]
        if held:
            found[library] = ", ".join(held)
    return found


def debian_packages(tree: Tree) -> dict[str, str]:
    """Return the versions of the Debian packages that are installed; none on another system."""
    found = {}
    for paragraph in tree.known("var/lib/dpkg/status").split("\n\n"):
        fields = dict(FIELD.findall(paragraph))
        # Of a package that was removed its configuration may still be told.
        if fields.get("Status", "").endswith(" installed") and {"Package", "Version"} <= {*fields}:
            found[fields["Package"]] = fields["Version"]
    return found


def _clocks(tree: Tree, *, gpu: bool) -> Iterator[tuple[float, float, float]]:
    """Yield least, most and current clock of each GPU, or of each group of processors."""
    folders = gpu_folders(tree) if gpu else tree.names("sys/devices/system/cpu/cpufreq/policy*")
    name = "{}_freq" if gpu else "scaling_{}_freq"
    for folder in folders:
        with suppress(OSError, ValueError):
            least, most, now = (
                tree.number(f"{folder}/{name.format(end)}") for end in ("min", "max", "cur")
            )
            yield least, most, now
