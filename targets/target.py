"""A device profile: what a device is, which engines it has, what it must keep to.

A profile is a module x a JetPack x a power mode. One file holds a module with all of its JetPacks
and modes; a name picks one of each: ``jetson-orin-nano-8gb``, ``jetson-orin-nano-8gb@5.1``,
``jetson-orin-nano-8gb@6.2:15W``. What is picked stands first in the lists of the target.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from stylepress.document import load_document
from stylepress.errors import BackendError, RecipeError
from stylepress.section import Section
from stylepress.targets.engines import ENGINES, EngineKind
from stylepress.targets.jetpack import JetPack, jetpacks, version

FOLDER = Path(__file__).parent / "profiles"
EngineName = Literal[
    "openvino",
    "onnxruntime",
    "tensorrt",
    "tensorrt_rtx",
    "onnxruntime_cuda",
    "onnxruntime_tensorrt",
    "torch_cuda",
    "null",
]
"""The keys of ``ENGINES``, for the schema of a target."""
Precision = Literal["int8", "fp16", "fp32"]
SidePx = Annotated[int, Field(ge=16, le=8192)]
Positive = Annotated[float, Field(gt=0)]
NAME = re.compile(r"(?P<module>[^@:]+)(?:@(?P<jetpack>[^:]+))?(?::(?P<mode>.+))?")
MOST_NEAR = 3
GROUPS_SINCE = "10.9"
"""The first TensorRT whose parser reads GroupNormalization."""
NO_TARGET: Mapping[str, str] = {
    "orin": "jetson-orin-nano-8gb",
    "xavier": "jetson-agx-xavier-32gb",
    "thor": "jetson-thor-t5000",
    "jetson": "jetson-orin-nano-8gb",
    "raspberry": "raspberry-pi-5",
    "geforce": "rtx-4090",
    "nvidia": "rtx-4090",
    "intel": "x86-cpu",
    "amd": "x86-cpu",
    "arm": "arm64-cpu",
}
"""Words that people use, and the target that is meant most often."""


class Budgets(Section):
    """What a bundle for this device should keep to; a budget that is not given is not checked."""

    latency_ms: Positive | None = Field(default=None, description="one frame of `size`")
    size_mb: Positive | None = Field(default=None, description="the bundle on disk")


class PowerMode(Section):
    """A power mode by its name, and the dense peaks of the device in it, where they are known."""

    name: str = Field(min_length=1, description="as nvpmodel calls it; its number means nothing")
    bandwidth_gb_s: Positive | None = Field(default=None, description="of its memory")
    int8_tops: Positive | None = Field(default=None, description="10^12 operations a second")
    fp16_tflops: Positive | None = Field(default=None, description="10^12 operations a second")


class Target(Section):
    """A device profile, as ``targets/profiles/*.yaml`` holds it."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$", description="as --target takes it")
    title: str = Field(min_length=1, description="what the device is, in words")
    arch: Literal["x86_64", "aarch64", "any"] = Field(description="x86_64, aarch64 or any")
    kind: Literal["cpu", "gpu", "jetson"] = Field(default="cpu", description="how it is detected")
    engines: tuple[EngineName, ...] = Field(min_length=1, description="in order of preference")
    precisions: tuple[Precision, ...] = Field(min_length=1, description="that the device runs")
    opset_max: int = Field(ge=13, le=23, description="newest ONNX opset that its engines read")
    cpu_features: tuple[str, ...] = Field(default=(), description="of its processor, all of them")
    gpu_names: tuple[str, ...] = Field(default=(), description="as the driver calls the card")
    soc: str | None = Field(default=None, description="of a Jetson, as its device tree says")
    model_words: tuple[str, ...] = Field(default=(), description="all in the device tree's model")
    compute_capability: str | None = Field(
        default=None, pattern=r"^\d+\.\d$", description="of an NVIDIA GPU, such as '8.9'"
    )
    memory_gb: Positive | None = Field(default=None, description="that its engines can use")
    dla_cores: int = Field(default=0, ge=0, le=2, description="NVDLA cores")
    tensorrt: str | None = Field(
        default=None, pattern=r"^\d+\.\d+$", description="of a GPU that is no Jetson"
    )
    jetpacks: tuple[str, ...] = Field(default=(), description="that run on it, the usual one first")
    modes: tuple[PowerMode, ...] = Field(default=(), description="the usual one first")
    impossible: str | None = Field(default=None, description="what cannot be had on it, and why")
    size: tuple[SidePx, SidePx] = Field(
        default=(512, 512), description="[height, width] of its frames, pixels"
    )
    budgets: Budgets = Budgets()
    source: str = Field(min_length=1, description="where the figures come from")

    @model_validator(mode="after")
    def _jetpacks_are_known(self) -> Self:
        for name in self.jetpacks:
            if name not in jetpacks():
                raise ValueError(f"there is no JetPack {name!r}, only {', '.join(jetpacks())}")
        return self

    @property
    def jetpack(self) -> JetPack | None:
        """The JetPack it is built for; None where there is none."""
        return jetpacks()[self.jetpacks[0]] if self.jetpacks else None

    @property
    def mode(self) -> PowerMode | None:
        """The power mode it is planned for; None where nothing is known of any."""
        return self.modes[0] if self.modes else None

    @property
    def tensorrt_version(self) -> str | None:
        """The TensorRT that builds its engine, as "8.5"; None where it is not used."""
        return self.jetpack.tensorrt if self.jetpack else self.tensorrt

    @property
    def opset(self) -> int:
        """The newest ONNX opset that its engines and its JetPack read."""
        return min(self.opset_max, self.jetpack.opset if self.jetpack else self.opset_max)

    @property
    def saturates(self) -> bool:
        """Whether INT8 products are added in pairs of 16 bits: AVX2 and no INT8 dot products."""
        features = set(self.cpu_features)
        return "avx2" in features and not features & {"vnni", "amx_int8"}

    @property
    def full_name(self) -> str:
        """The name with JetPack and mode, as ``load_target`` takes it."""
        jetpack = f"@{self.jetpack.name}" if self.jetpack else ""
        mode = f":{self.mode.name}" if self.mode and len(self.modes) > 1 else ""
        return f"{self.name}{jetpack}{mode}"

    def changes(self, *, opset: int, quantized: bool, fp16: bool) -> tuple[str, ...]:
        """Say what of a bundle is changed for this device; nothing where it fits as it is.

        ``opset`` and ``quantized`` are of the bundle as it is without; ``fp16`` is asked for.
        """
        said = []
        if opset > self.opset:
            said.append(f"opset {opset} to {self.opset}")
        if quantized and self.saturates:
            said.append("weights of 7 bits, whose sums of pairs stay in 16 bits")
        if quantized and "onnxruntime" in self.engines:
            said.append("Q/DQ placed for ONNX Runtime")
        if fp16:
            said.append("FP16 between the first and the last convolution")
        branch = self.tensorrt_version
        if branch is not None and version(branch) < version(GROUPS_SINCE):
            said.append(f"normalizations as TensorRT {branch} reads them")
        return tuple(said)

    def caveats(self) -> tuple[str, ...]:
        """Say what somebody who builds for this device should know first, a sentence each."""
        said = [self.impossible] if self.impossible else []
        if self.jetpack is not None and not self.impossible and not self.jetpack.runs_here:
            said.append(
                f"{self.jetpack} has a Python that is too old for this runtime (3.10): bundles are "
                f"built for it, and run there by another program."
            )
        if "int8" not in self.precisions:
            said.append(f"{self.title} has no INT8: it takes a float bundle.")
        return tuple(said)


def names() -> list[str]:
    """Return the names of all targets that ship, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_target(name_or_path: str) -> Target:
    """Return the target of that name, or the one in a YAML file.

    A name may pick a JetPack and a power mode: ``jetson-orin-nano-8gb@6.2:15W``.

    Raises:
        RecipeError: no such target, JetPack or mode (the nearest is named), or a file that does
            not fit.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        return load_document(path, Target)
    parts = NAME.fullmatch(name_or_path)
    module = parts["module"] if parts else name_or_path
    if module not in names():
        raise RecipeError(f"There is no target {module!r}.", _nearest(module))
    target = _shipped(module)
    if parts and parts["jetpack"]:
        target = with_jetpack(target, parts["jetpack"])
    if parts and parts["mode"]:
        target = with_mode(target, parts["mode"])
    return target


@lru_cache
def _shipped(module: str) -> Target:
    return load_document(FOLDER / f"{module}.yaml", Target)


def with_jetpack(target: Target, name: str) -> Target:
    """Return the target with another of its JetPacks.

    Raises:
        RecipeError: it does not run on this device.
    """
    if name not in target.jetpacks:
        can = (
            f"It runs JetPack {', '.join(target.jetpacks)}." if target.jetpacks else "It has none."
        )
        raise RecipeError(f"{target.title} does not run JetPack {name!r}.", can)
    others = tuple(other for other in target.jetpacks if other != name)
    return target.model_copy(update={"jetpacks": (name, *others)})


def with_mode(target: Target, name: str) -> Target:
    """Return the target in another of its power modes; capitals do not matter.

    Raises:
        RecipeError: it has no such mode.
    """
    chosen = [mode for mode in target.modes if mode.name.lower() == name.lower()]
    if not chosen:
        can = ", ".join(mode.name for mode in target.modes) or "none"
        raise RecipeError(f"{target.title} has no power mode {name!r}.", f"Its modes are: {can}.")
    others = tuple(mode for mode in target.modes if mode not in chosen)
    return target.model_copy(update={"modes": (*chosen, *others)})


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
            f"Target {target.name!r} needs {' or '.join(target.engines)}, not installed here.",
            f"Run `{engines[target.engines[0]].install}`, or choose another --target.",
        )
    return usable


def _nearest(name: str) -> str:
    """Say which targets are meant: by spelling, by how a name begins, by a word people use."""
    known = names()
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if spelt := difflib.get_close_matches(slug, known, n=1, cutoff=0.85):
        return f"Did you mean {spelt[0]!r}?"
    near: list[str] = []
    if slug:
        begun = [one for one in known if one.startswith(slug) or f"jetson-{slug}" in one]
        near = [one for one in begun if not one.endswith("-cpu")][:MOST_NEAR]
    near = near or [one for word, one in NO_TARGET.items() if word in slug][:1]
    if not near:
        return f"Choose one of {', '.join(known)}, or write a file of your own (.yaml)."
    meant = " or ".join(f"{one!r}" for one in near)
    return f"Did you mean {meant}? `stylepress targets list` shows all {len(known)}."
