"""The machine a measurement was taken on: what must agree before two reports are compared."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

ADVISORY = frozenset({"load_average", "memory_free_gib", "kernel", "missing"})
"""Recorded, but two reports may differ in them."""
FLAGS = (
    *("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve"),
)
"""Processor features that decide which kernels a backend takes."""
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "numpy": ("numpy",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino"),
    "openvino": ("openvino",),
    "torch": ("torch",),
    "av": ("av",),
    "pillow": ("pillow",),
    "scipy": ("scipy",),
}
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "KMP_BLOCKTIME", "KMP_AFFINITY"),
    *("MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GOMP_SPINCOUNT"),
)

Value = TypeVar("Value")


class Machine(BaseModel):
    """Processor, memory, system and versions. What could not be read is None, its reason named.

    ``cores`` are those this process may run on, ``quota_cores`` what its control group allows it
    of them. ``missing`` maps the name of a field to why it is None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu: str | None
    architecture: str
    flags: tuple[str, ...] | None
    logical_cores: int | None
    cores: int | None
    threads_per_core: int | None
    quota_cores: float | None
    governor: str | None
    turbo: bool | None
    memory_gib: float | None
    system: str
    kernel: str
    python: str
    packages: dict[str, str | None]
    thread_variables: dict[str, str]
    load_average: float | None
    memory_free_gib: float | None
    missing: dict[str, str]

    def gating(self) -> dict[str, object]:
        """Return what must be equal before times may be compared, one value a name."""
        facts = self.model_dump(mode="json", exclude=set(ADVISORY))
        flat: dict[str, object] = {}
        for name, value in facts.items():
            if isinstance(value, dict):
                flat.update({f"{name}.{key}": item for key, item in value.items()})
            else:
                flat[name] = value
        return flat


def record_machine(environment: Mapping[str, str], *, root: Path = Path("/")) -> Machine:
    """Read what this machine is.

    ``root`` is where ``proc`` and ``sys`` are found.
    """
    system = _Files(root)
    missing: dict[str, str] = {}

    def ask(name: str, read: Callable[[], Value]) -> Value | None:
        try:
            return read()
        except (OSError, LookupError, ValueError) as error:
            missing[name] = _reason(error, root)
            return None

    return Machine(
        cpu=ask("cpu", system.cpu),
        architecture=platform.machine(),
        flags=ask("flags", system.flags),
        logical_cores=os.cpu_count(),
        cores=ask("cores", _usable_cores),
        threads_per_core=ask("threads_per_core", system.threads_per_core),
        quota_cores=ask("quota_cores", system.quota_cores),
        governor=ask("governor", system.governor),
        turbo=ask("turbo", system.turbo),
        memory_gib=ask("memory_gib", lambda: system.memory_gib("MemTotal")),
        system=platform.system(),
        kernel=platform.release(),
        python=platform.python_version(),
        packages={name: _version(names) for name, names in PACKAGES.items()},
        thread_variables={
            name: environment[name] for name in THREAD_VARIABLES if name in environment
        },
        load_average=ask("load_average", system.load_average),
        memory_free_gib=ask("memory_free_gib", lambda: system.memory_gib("MemAvailable")),
        missing=missing,
    )


class _Files:
    """What Linux tells in files; a LookupError or OSError where it does not."""

    def __init__(self, root: Path) -> None:
        self.proc, self.sys = root / "proc", root / "sys"

    def cpu(self) -> str:
        with suppress(OSError):  # ARM boards name themselves here
            return (self.proc / "device-tree/model").read_text(encoding="utf-8").strip("\0\n ")
        return self._cpu_field("model name", "Hardware", "Processor")

    def flags(self) -> tuple[str, ...]:
        known = set(self._cpu_field("flags", "Features").split())
        return tuple(flag for flag in FLAGS if flag in known)

    def threads_per_core(self) -> int:
        text = _text(self.sys / "devices/system/cpu/cpu0/topology/thread_siblings_list")
        return sum(
            int(part.partition("-")[2] or part.partition("-")[0]) - int(part.partition("-")[0]) + 1
            for part in text.split(",")
        )

    def governor(self) -> str:
        return _text(self.sys / "devices/system/cpu/cpu0/cpufreq/scaling_governor")

    def turbo(self) -> bool:
        with suppress(OSError):
            return _text(self.sys / "devices/system/cpu/intel_pstate/no_turbo") == "0"
        return _text(self.sys / "devices/system/cpu/cpufreq/boost") == "1"

    def quota_cores(self) -> float:
        """Cores that the control group grants; LookupError when it sets no limit."""
        for folder in self._groups():
            with suppress(OSError):
                quota, period = _text(folder / "cpu.max").split()
                if quota != "max":
                    return int(quota) / int(period)
        old = self.sys / "fs/cgroup/cpu"
        with suppress(OSError):
            quota = _text(old / "cpu.cfs_quota_us")
            if int(quota) > 0:
                return int(quota) / int(_text(old / "cpu.cfs_period_us"))
        raise LookupError("no control group limits the processor")

    def memory_gib(self, name: str) -> float:
        for line in _text(self.proc / "meminfo").splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return round(int(value.split()[0]) / (1 << 20), 1)
        raise LookupError(f"/proc/meminfo has no {name}")

    def load_average(self) -> float:
        return float(_text(self.proc / "loadavg").split()[0])

    def _groups(self) -> list[Path]:
        base = self.sys / "fs/cgroup"
        own = ""
        with suppress(OSError):
            for line in _text(self.proc / "self/cgroup").splitlines():
                if line.startswith("0::"):
                    own = line[3:].strip("/")
        parts = own.split("/") if own else []
        return [base.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]

    def _cpu_field(self, *names: str) -> str:
        for line in _text(self.proc / "cpuinfo").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in names and value.strip():
                return value.strip()
        raise LookupError(f"/proc/cpuinfo has no {' or '.join(names)}")


def _reason(error: Exception, root: Path) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"/{Path(error.filename).relative_to(root)}: {error.strerror}"
    return str(error.args[0]) if error.args else type(error).__name__


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def _usable_cores() -> int:
    if not hasattr(os, "sched_getaffinity"):
        raise LookupError("this system does not tell on which cores a process may run")
    return len(os.sched_getaffinity(0))


def _version(distributions: tuple[str, ...]) -> str | None:
    for distribution in distributions:
        with suppress(metadata.PackageNotFoundError):
            return metadata.version(distribution)
    return None
