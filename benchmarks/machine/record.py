"""The machine a measurement was taken on: what must agree before two reports are compared."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

import stylepress
from stylepress.benchmarks.part import Part
from stylepress.runtime.machine import quota_cores, usable_cores
from stylepress.targets.files import Tree, reason
from stylepress.targets.gpus import Gpus, open_gpus
from stylepress.targets.jetson import read_board, system_libraries

ADVISORY = frozenset({"load_average", "commit", "missing"})
"""Recorded, but two reports may differ in them."""
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "numpy": ("numpy",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino"),
    "openvino": ("openvino",),
    "tensorrt": ("tensorrt",),
    "tensorrt-rtx": ("tensorrt-rtx", "tensorrt_rtx"),
    "torch": ("torch",),
    "cuda": ("nvidia-cuda-runtime", "nvidia-cuda-runtime-cu12"),
    "cudnn": ("nvidia-cudnn-cu13", "nvidia-cudnn-cu12"),
    "av": ("av",),
    "pillow": ("pillow",),
    "scipy": ("scipy",),
}
PACKAGES_ADVISORY = frozenset({"av", "pillow", "scipy"})
"""They read pictures and judge them: they inform, but no engine runs faster by them."""
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "KMP_BLOCKTIME", "KMP_AFFINITY"),
    *("OMP_PROC_BIND", "OMP_PLACES"),
    *("MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GOMP_SPINCOUNT", "CUDA_VISIBLE_DEVICES"),
)
CPUS, GIBIBYTE = "sys/devices/system/cpu", 1 << 30
FLAGS = (
    *("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve"),
)
"""Processor features that decide which kernels a backend takes."""
Facts = dict[str, str | bool | int | float | None]
"""What one GPU or a Jetson is; None where it does not say."""


class Machine(Part):
    """Processor, memory, GPUs, system and versions. What could not be read is None, with a reason.

    ``cores`` are those this process may run on, and ``quota_cores`` what its control group allows it
    of them. ``clocks_mhz`` are the least and most that each group of cores is allowed. ``commit`` is
    that of the checkout that measured, with a ``+`` when its files were changed. ``missing`` maps the
    name of a field to why it is None.
    """

    cpu: str | None
    architecture: str
    flags: tuple[str, ...] | None
    cores: int | None
    quota_cores: float | None
    governor: str | None
    clocks_mhz: tuple[tuple[float, float], ...] | None
    turbo: bool | None
    memory_gib: float | None
    gpus: tuple[Facts, ...] | None
    board: Facts | None
    system: str
    distribution: str | None
    kernel: str
    python: str
    packages: dict[str, str | None]
    thread_variables: dict[str, str]
    load_average: float | None
    commit: str | None
    missing: dict[str, str]

    def gating(self) -> dict[str, object]:
        """Return what must be equal before times may be compared, one value a name."""
        gpus = {str(number): gpu for number, gpu in enumerate(self.gpus or ())}
        kept = self.model_dump(mode="json", exclude={*ADVISORY, "gpus"})
        for name in PACKAGES_ADVISORY:
            kept["packages"].pop(name, None)
        return {**_flat(kept), **_flat(gpus, "gpus.")}


def differing(
    one: Machine, other: Machine, *, vary: Collection[str] = ()
) -> dict[str, tuple[Any, Any]]:
    """Return the gating fields that differ, each with its two values: then nothing is compared.

    ``vary`` names fields that are meant to differ, e.g. ``packages.openvino``; the name of a group
    stands for all in it, e.g. ``packages``.
    """
    first, second = one.gating(), other.gating()
    return {
        name: (first.get(name), second.get(name))
        for name in sorted({*first, *second})
        if first.get(name) != second.get(name)
        and not any(name == each or name.startswith(f"{each}.") for each in vary)
    }


def record_machine(
    environment: Mapping[str, str],
    *,
    root: Path = Path("/"),
    gpus: Callable[[], Gpus] | None = None,
) -> Machine:
    """Read what this machine is; tests give their own ``root`` of ``proc`` and ``sys``, and ``gpus``."""
    tree = Tree(root)
    libraries = system_libraries(tree)
    readers: dict[str, Callable[[], Any]] = {
        "cpu": lambda: _cpu(tree),
        "flags": lambda: _flags(tree),
        "distribution": lambda: tree.field("etc/os-release", "PRETTY_NAME"),
        "governor": lambda: _governor(tree),
        "turbo": lambda: _turbo(tree),
        "quota_cores": lambda: _quota_cores(root),
        "clocks_mhz": _clocks_mhz,
        "memory_gib": lambda: round(psutil.virtual_memory().total / GIBIBYTE, 1),
        "load_average": lambda: round(psutil.getloadavg()[0], 2),
        "gpus": lambda: tuple((gpus or open_gpus)().facts()),
        "board": lambda: read_board(tree),
        "commit": own_commit,
    }
    found, missing = dict[str, Any](), dict[str, str]()
    for name, read in readers.items():
        try:
            found[name] = read()
        except (OSError, LookupError, ValueError) as error:  # noqa: PERF203
            found[name], missing[name] = None, reason(error, root)
    return Machine(
        architecture=platform.machine(),
        cores=usable_cores(),
        system=platform.system(),
        kernel=platform.release(),
        python=platform.python_version(),
        packages={name: _version(names) or libraries.get(name) for name, names in PACKAGES.items()},
        thread_variables={
            name: environment[name] for name in THREAD_VARIABLES if name in environment
        },
        missing=missing,
        **found,
    )


def _cpu(tree: Tree) -> str:
    """Return the processor's name; a board's own name where it has one, as ARM boards do."""
    board = tree.known("proc/device-tree/model")
    return board or tree.field("proc/cpuinfo", "model name", "Hardware", "Processor")


def _flags(tree: Tree) -> tuple[str, ...]:
    known = tree.field("proc/cpuinfo", "flags", "Features").split()
    return tuple(flag for flag in FLAGS if flag in known)


def _governor(tree: Tree) -> str:
    """Return who sets the clocks; several where groups of cores differ."""
    files = tree.names(f"{CPUS}/cpu[0-9]*/cpufreq/scaling_governor")
    if not files:
        raise FileNotFoundError(2, "No such file or directory", f"/{CPUS}/cpu0/cpufreq")
    return ",".join(sorted({tree.text(name) for name in files}))


def _turbo(tree: Tree) -> bool:
    with suppress(OSError):
        return tree.text(f"{CPUS}/intel_pstate/no_turbo") == "0"
    return tree.text(f"{CPUS}/cpufreq/boost") == "1"


def _quota_cores(root: Path) -> float:
    granted = quota_cores(root)
    if granted is None:
        raise LookupError("no control group limits the processor")
    return granted


def _clocks_mhz() -> tuple[tuple[float, float], ...]:
    """Return the least and most clocks that are allowed, one pair for each kind of core."""
    ranges = {(one.min, one.max) for one in psutil.cpu_freq(percpu=True) if one.max}
    if not ranges:
        raise LookupError("this system does not tell the clocks that its processors may have")
    return tuple(sorted(ranges))


def own_commit() -> str:
    """Return the commit of the checkout that this program runs from.

    Raises:
        LookupError: it was installed, so that a checkout around it is another project's, or git
            does not tell.
    """
    folder = Path(stylepress.__file__).parents[1]
    if not (folder / ".git").exists():
        raise LookupError("this program runs from no checkout of git")
    found = commit(folder)
    if not found:
        raise LookupError("git does not tell the commit of the checkout")
    return found


def commit(checkout: Path, *, apart: Sequence[str] = ()) -> str:
    """Return the commit of a checkout, with a ``+`` when its files differ; empty outside of git.

    The paths in ``apart`` (patterns of git) do not count as changes, nor do files that git does
    not know.
    """

    def git(*words: str) -> str:
        command = ["git", "-C", str(checkout), *words]
        with suppress(OSError):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            return done.stdout.strip() if done.returncode == 0 else ""
        return ""

    others = [f":(exclude){path}" for path in apart]
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", *others)
    head = git("rev-parse", "--short=12", "HEAD")
    return f"{head}+" if head and changed else head


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{before}{name}."))
        else:
            flat[f"{before}{name}"] = value
    return flat


def _version(distributions: tuple[str, ...]) -> str | None:
    """Return the version that is installed; of one that is not the usual one, its name too."""
    for distribution in distributions:
        with suppress(metadata.PackageNotFoundError):
            version = metadata.version(distribution)
            return version if distribution == distributions[0] else f"{version} ({distribution})"
    return None
