"""What can be put side by side: a model in a backend, from uint8 frames to uint8 frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stylepress.artifact import Artifact
from stylepress.benchmarks.report import Model, Role
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions, open_engine
from stylepress.runtime.bundle import Bundle, read_bundle
from stylepress.runtime.machine import usable_cores
from stylepress.runtime.model import Model as Drawing

Pixels = NDArray[np.uint8]
Run = Callable[[Pixels], Pixels]
"""A model: (1, H, W, 3) uint8 to the same shape."""

NULL = "null"
COUNTED_AT = 512 * 512
CONVENTION = (
    "One multiply with its addition is one MAC (two operations). Convolutions only, a transposed "
    "one at its input's size; no bias, norm, activation or resize. Counted at 512x512, scaled by "
    "the area. Parameters are the weights that are learned, zero points and scales left out."
)


@dataclass(frozen=True, slots=True)
class Contender:
    """One model in one backend; ``bundle`` is at hand where it can be opened again."""

    model: Model | None
    backend: str
    run: Run
    facts: Mapping[str, str | int]
    baseline: bool = False
    bundle: Bundle | None = None

    @property
    def name(self) -> str:
        return f"{self.model.name} · {self.backend}" if self.model else f"harness · {self.backend}"


def opened(bundle: Bundle, backend: str, options: EngineOptions) -> Drawing:
    """Open a bundle in a backend: a context manager, called with (N, H, W, 3) uint8 frames.

    Raises:
        BackendError: no such backend, not installed, or it cannot load the bundle.
        FrameError: ``options.size`` is smaller than the bundle takes.
    """
    return Drawing(bundle, open_engine(bundle, backend, options=options))


def check_threads(options: EngineOptions, progress: Progress) -> None:
    """Warn of more threads than there are cores for them."""
    threads, cores = options.all_threads, usable_cores()
    if threads > cores:
        progress.warn(
            f"{threads} threads share {cores} {'core' if cores == 1 else 'cores'} here, and wait for "
            f"each other. Give `--threads {cores}`, or leave it out."
        )


def bundle_model(bundle: Bundle, role: Role, size: tuple[int, int], name: str) -> Model:
    """Describe a bundle for the report, for frames of ``size``: (height, width)."""
    artifact = bundle.artifact
    macs, parameters = artifact.numbers.get("macs_512"), artifact.numbers.get("params")
    return Model(
        name=name,
        role=role,
        family=str(artifact.made_by.get("family", "unknown")),
        precision=precision(artifact),
        digest=artifact.digest,
        parent=artifact.parent,
        weights_bytes=bundle.onnx_path().stat().st_size,
        parameters=None if parameters is None else round(parameters),
        macs=None if macs is None else round(macs * size[0] * size[1] / COUNTED_AT),
    )


def precision(artifact: Artifact) -> str:
    """Return what the manifest says of the precision: fp32, int8, ..."""
    return str(artifact.made_by.get("precision", "unknown"))


def named(folders: Sequence[Path], names: set[str]) -> Iterator[tuple[Bundle, str]]:
    """Load bundles, and give each a name that no other has: ``glass int8``, ``glass int8 2``."""
    for folder in folders:
        bundle = read_bundle(folder)
        first = f"{bundle.artifact.name} {precision(bundle.artifact)}"
        name, number = first, 1
        while name in names:
            number += 1
            name = f"{first} {number}"
        names.add(name)
        yield bundle, name
