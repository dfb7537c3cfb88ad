"""What can be put side by side: a model in a backend, from uint8 frames to uint8 frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stylepress.artifact import Artifact
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.report import Model, Role
from stylepress.errors import BackendError, FrameError
from stylepress.progress import Progress
from stylepress.runtime.backends import (
    EngineOptions,
    missing,
    open_engine,
    usual,
)
from stylepress.runtime.bundle import Bundle, read_bundle
from stylepress.runtime.machine import usable_cores
from stylepress.runtime.model import Model as Drawing

if TYPE_CHECKING:
    from typing_extensions import Self

Pixels = NDArray[np.uint8]
Run = Callable[[Pixels], Pixels]

NULL = "null"
COUNTED_AT = 512 * 512
CONVENTION = (
    "One multiply with its addition is one MAC (two operations). Convolutions only, a transposed "
    "one at its input's size; no bias, norm, activation or resize. Counted at 512x512, scaled by "
    "the area. Parameters are the weights that are learned, zero points and scales left out."
)


@dataclass(frozen=True, slots=True)
class Contender:
    """One model in one backend. ``run`` maps (1, H, W, 3) uint8 to the same shape.

    ``bundle`` is at hand where it can be opened again, in another way.
    """

    model: Model | None
    backend: str
    run: Run
    facts: Mapping[str, str | int]
    baseline: bool = False
    bundle: Bundle | None = None

    @property
    def name(self) -> str:
        """What the report calls it."""
        return f"{self.model.name} · {self.backend}" if self.model else f"harness · {self.backend}"


class Field:
    """The contenders of one measurement; a context manager that closes their engines."""

    def __init__(self, options: EngineOptions, backends: Sequence[str] | None = None) -> None:
        self.options = options
        self.contenders: list[Contender] = []
        self.skipped: list[Skipped] = []
        self._stack = ExitStack()
        absent = missing()
        wanted = backends or usual()
        self.skipped += [Skipped(what=name, why=absent[name]) for name in wanted if name in absent]
        self.backends = tuple(name for name in wanted if name not in absent)
        if not self.backends:
            raise BackendError(
                f"No backend that was asked for runs here. {' '.join(absent[name] for name in wanted)}"
            )

    def enter(
        self, model: Model, bundle: Bundle, backends: Sequence[str], *, baseline: bool
    ) -> None:
        """Open a bundle in each backend; one that cannot load it is noted."""
        for backend in backends:
            try:
                run = self._stack.enter_context(opened(bundle, backend, self.options))
            except (BackendError, FrameError) as error:
                self.skipped.append(Skipped(what=f"{model.name} · {backend}", why=str(error)))
                continue
            facts = dict(run.engine.describe())
            self.contenders.append(Contender(model, backend, run, facts, baseline, bundle))

    def enter_null(self, bundle: Bundle) -> None:
        """Open the backend that copies the frame: what it takes is what the harness costs."""
        run = self._stack.enter_context(opened(bundle, NULL, self.options))
        self.contenders.append(Contender(None, NULL, run, dict(run.engine.describe())))

    def add(self, contender: Contender) -> None:
        """Add one that was made elsewhere."""
        self.contenders.append(contender)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()


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
        size_bytes=artifact.size_bytes,
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
