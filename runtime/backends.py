"""What an engine is, and which backends can make one here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Protocol

from stylepress.errors import BackendError, RecipeError
from stylepress.ports import Graph
from stylepress.runtime.bundle import Bundle
from stylepress.runtime.feeds import Array, Feeds, Results, check_size
from stylepress.runtime.machine import usable_cores
from stylepress.runtime.nvidia.driver import present, probe
from stylepress.targets.engines import ENGINES, EngineKind


class Engine(Protocol):
    """A graph of a bundle loaded by a backend, ready for feeds.

    ``lanes`` calls of ``run`` may be under way at once; more simply wait their turn.
    """

    @property
    def graph(self) -> Graph:
        """The graph it runs: its ports say what it takes and gives."""

    @property
    def lanes(self) -> int:
        """How many calls are worked on at once."""

    def run(self, feeds: Feeds, out: Mapping[str, Array] | None = None) -> Results:
        """Run the graph once; inputs that are not fed take their defaults.

        The results are new arrays, or the arrays of ``out``: C-contiguous, of the results' dtypes
        and shapes.

        Raises:
            FrameError: the feeds are not what the ports take.
            BackendError: the engine is closed, or the backend failed.
        """

    def describe(self) -> Mapping[str, str | int]:
        """Tell backend, version, precision, threads and lanes, for a report."""

    def close(self) -> None:
        """Let go of threads and memory; closing twice does nothing."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an engine uses the machine.

    Attributes:
        lanes: 1 puts all threads on one frame (least latency); k shares them among k frames that
            are worked on at once (most frames a second).
        threads: of all lanes together; None for as many as this process has cores.
        size: (height, width) that most frames will have; a backend may specialise for it.
    """

    lanes: int = 1
    threads: int | None = None
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.lanes < 1 or (self.threads is not None and self.threads < 1):
            raise RecipeError(
                f"An engine was asked for {self.lanes} lanes on {self.threads} threads.",
                "Give at least one of each.",
            )
        if self.size is not None and min(self.size) < 1:
            raise RecipeError(
                f"An engine was asked for frames of height and width {self.size}.",
                "Give at least one pixel of each.",
            )

    @property
    def all_threads(self) -> int:
        """Threads of all lanes together."""
        return self.threads or usable_cores()

    @property
    def lane_threads(self) -> int:
        """Threads that one lane may use."""
        return max(1, self.all_threads // self.lanes)


BACKENDS: Mapping[str, EngineKind] = ENGINES
"""The engines that run here, when their package is installed and their GPU is there."""


def open_engine(
    bundle: Bundle,
    backend: str,
    *,
    options: EngineOptions,
    graph: str | None = None,
    prepared: Path | None = None,
) -> Engine:
    """Load a graph of a bundle (the main one unless named) with the backend of that name.

    ``prepared`` is what the same backend compiled before for the same graph and options.

    Raises:
        BackendError: no such backend, not installed, or it cannot load the bundle.
        FrameError: ``options.size`` is smaller than the bundle takes.
    """
    name = bundle.placed_for(backend, graph)
    wanted = bundle.graph(name)
    if options.size is not None and wanted.picture is not None:
        check_size(wanted.picture, options.size)
    opener = load_backend(backend).open_engine
    engine: Engine = opener(bundle, name, options, prepared)
    return engine


def find(name: str) -> EngineKind:
    """Return the backend of that name.

    Raises:
        BackendError: there is none.
    """
    if name not in BACKENDS:
        near = difflib.get_close_matches(name, BACKENDS, 1)
        hint = f"Do you mean {near[0]!r}?" if near else f"Name one of {', '.join(BACKENDS)}."
        raise BackendError(f"There is no backend {name!r}.", hint)
    return BACKENDS[name]


def usual() -> tuple[str, ...]:
    """Return the backends to try where none is named: none for a GPU without an NVIDIA driver."""
    gpu = present()
    return tuple(name for name, kind in BACKENDS.items() if kind.computes and (gpu or not kind.gpu))


def missing() -> dict[str, str]:
    """Return, for each backend that cannot run here, why not and how to install it."""
    reasons = {name: obstacle(name) for name in BACKENDS}
    return {name: reason for name, reason in reasons.items() if reason}


def obstacle(backend: str) -> str:
    """Say why a backend cannot run here and how to install it; nothing when it can.

    Raises:
        BackendError: there is no backend of that name.
    """
    find(backend)
    try:
        load_backend(backend)
    except BackendError as error:
        return str(error)
    return ""


def versions(names: Iterable[str] = tuple(ENGINES)) -> dict[str, str]:
    """Return the version of each backend's package that is installed, without importing it."""
    return {name: version_of(BACKENDS[name]) for name in names if BACKENDS[name].installed}


def closed(backend: str) -> BackendError:
    """Return the error of a call after ``close``."""
    return BackendError(f"This {backend} engine is closed.", "Open another with `open_engine`.")


def load_backend(name: str) -> ModuleType:
    """Import the file of a backend; of one for a GPU only after the driver was asked.

    Raises:
        BackendError: there is none of that name, its package is not installed or not whole, or it
            needs a GPU and there is none.
    """
    backend = find(name)
    if not backend.installed:
        raise BackendError(
            f"The backend {name} needs the package {backend.package}, which is not installed.",
            f"Install it with `{backend.install}`.",
        )
    if backend.gpu:
        probe()
    try:
        module = import_module(backend.module)
        if hasattr(module, "check_device"):
            module.check_device()
        return module
    except (ImportError, OSError) as error:
        raise BackendError(
            f"The package {backend.package} is installed but cannot be loaded ({error}).",
            f"Install it afresh: `{backend.install} --force-reinstall`.",
        ) from error


@cache
def version_of(backend: EngineKind) -> str:
    """Return the version of a backend's package that is installed, without importing it."""
    for distribution in backend.distributions:
        with suppress(metadata.PackageNotFoundError):
            return metadata.version(distribution)
    return "unknown"
