"""A device profile: what a device is, which engines it has, what it must keep to."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from stylepress.document import Section, load_document
from stylepress.errors import BackendError, RecipeError
from stylepress.targets.engines import ENGINES, EngineKind

FOLDER = Path(__file__).parent
EngineName = Literal["openvino", "onnxruntime", "tensorrt_rtx", "null"]
"""The keys of ``ENGINES``, for the schema of a target."""
Precision = Literal["int8", "fp32"]
SidePx = Annotated[int, Field(ge=16, le=8192)]


class Budgets(Section):
    """What a model for this device must keep to; a budget that is not given is not checked."""

    latency_ms: float | None = Field(default=None, gt=0, description="one frame of `size`")
    size_mb: float | None = Field(default=None, gt=0, description="the bundle on disk")
    drift: float | None = Field(default=None, gt=0, description="style distance / the teacher's")


class Target(Section):
    """A device profile, as ``targets/*.yaml`` holds it."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$", description="as --target takes it")
    title: str = Field(min_length=1, description="what the device is, in words")
    arch: Literal["x86_64", "aarch64", "any"] = Field(description="x86_64, aarch64 or any")
    engines: tuple[EngineName, ...] = Field(min_length=1, description="in order of preference")
    precisions: tuple[Precision, ...] = Field(min_length=1, description="that the device runs")
    opset_max: int = Field(ge=13, le=23, description="newest ONNX opset that its engines read")
    compute_capability: str | None = Field(
        default=None, pattern=r"^\d+\.\d$", description="of an NVIDIA GPU, such as '8.9'"
    )
    compile_only: bool = Field(default=False, description="engines are compiled here, not run")
    size: tuple[SidePx, SidePx] = Field(
        default=(512, 512), description="[height, width] of its frames, pixels"
    )
    budgets: Budgets = Budgets()
    source: str = Field(min_length=1, description="where the figures come from")


def names() -> list[str]:
    """Return the names of all targets that ship, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_target(name_or_path: str) -> Target:
    """Return the target of that name, or the one in a YAML file.

    Raises:
        RecipeError: no such target (the nearest is named), or a file that does not fit.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        return load_document(path, Target)
    if name_or_path not in names():
        near = difflib.get_close_matches(name_or_path, names(), n=1)
        mend = f"Did you mean {near[0]!r}?" if near else f"Choose one of {', '.join(names())}."
        raise RecipeError(f"There is no target {name_or_path!r}. {mend}")
    return load_document(FOLDER / f"{name_or_path}.yaml", Target)


def detect(machine: str) -> str:
    """Return the name of the target for a processor, as ``platform.machine()`` calls it.

    >>> detect("AMD64"), detect("aarch64"), detect("riscv64")
    ('x86-cpu', 'arm64-cpu', 'cpu')
    """
    known = {
        "x86_64": "x86-cpu",
        "amd64": "x86-cpu",
        "aarch64": "arm64-cpu",
        "arm64": "arm64-cpu",
    }
    return known.get(machine.lower(), "cpu")


def usable_engines(
    target: Target, engines: Mapping[str, EngineKind] = ENGINES
) -> tuple[EngineName, ...]:
    """Return the engines of a target that are installed here, the preferred one first.

    Raises:
        BackendError: none is; the extra to install is named.
    """
    usable = tuple(name for name in target.engines if engines[name].installed)
    if not usable:
        raise BackendError(
            f"Target {target.name!r} needs {' or '.join(target.engines)}, not installed here. "
            f"Run `{engines[target.engines[0]].install}`, or choose another --target."
        )
    return usable
