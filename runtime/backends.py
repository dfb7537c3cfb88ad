"""What an engine is, and which backends can make one here."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module, metadata, util
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np

from stylepress.errors import BackendError, FrameError, RecipeError
from stylepress.runtime.bundle import FRAME_DIMS, Bundle, Pixels


class Engine(Protocol):
    """A bundle loaded by a backend, ready for frames.

    ``lanes`` calls of ``run`` may be under way at once; more simply wait their turn.
    """

    @property
    def lanes(self) -> int:
        """How many frames are worked on at once."""

    def run(self, frame: Pixels, strength: float = 1.0) -> Pixels:
        """Stylize (N, H, W, 3) uint8 RGB into a new array of the same shape.

        Raises:
            FrameError: the frame or the strength is not what the bundle takes.
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
        cache: a folder where a backend may keep what it compiled.
    """

    lanes: int = 1
    threads: int | None = None
    size: tuple[int, int] | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        if self.lanes < 1 or (self.threads is not None and self.threads < 1):
            raise RecipeError(
                f"An engine was asked for {self.lanes} lanes on {self.threads} threads. "
                f"Give at least one of each."
            )
        if self.size is not None and min(self.size) < 1:
            raise RecipeError(
                f"An engine was asked for frames of height and width {self.size}. "
                f"Give at least one pixel of each."
            )

    @property
    def all_threads(self) -> int:
        """Threads of all lanes together."""
        return self.threads or usable_cores()

    @property
    def lane_threads(self) -> int:
        """Threads that one lane may use."""
        return max(1, self.all_threads // self.lanes)


@dataclass(frozen=True, slots=True)
class Backend:
    """Where a backend lives: our module, the package it needs, and how to install that.

    The module offers ``open_engine(bundle, options) -> Engine``. ``distributions`` are the names
    under which the package is published, for its version.
    """

    module: str
    package: str
    distributions: tuple[str, ...]
    install: str


BACKENDS: Mapping[str, Backend] = {
    "null": Backend("stylepress.runtime.null", "stylepress", ("stylepress",), "stylepress"),
    "onnxruntime": Backend(
        "stylepress.runtime.ort",
        "onnxruntime",
        ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino"),
        "onnxruntime",
    ),
    "openvino": Backend("stylepress.runtime.ov", "openvino", ("openvino",), "stylepress[openvino]"),
}


def open_engine(bundle: Bundle, backend: str, *, options: EngineOptions) -> Engine:
    """Load a bundle with the backend of that name.

    Raises:
        BackendError: no such backend, not installed, or it cannot load the bundle.
        FrameError: ``options.size`` is smaller than the bundle takes.
    """
    if options.size is not None:
        check_size(*options.size, bundle.least)
    engine: Engine = _module(backend).open_engine(bundle, options)
    return engine


def find(name: str) -> Backend:
    """Return the backend of that name.

    Raises:
        BackendError: there is none.
    """
    if name not in BACKENDS:
        near = difflib.get_close_matches(name, BACKENDS, 1)
        hint = f"Do you mean {near[0]!r}?" if near else f"Name one of {', '.join(BACKENDS)}."
        raise BackendError(f"There is no backend {name!r}. {hint}")
    return BACKENDS[name]


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
        _module(backend)
    except BackendError as error:
        return str(error)
    return ""


def versions() -> dict[str, str]:
    """Return the version of each backend's package that is installed, without importing it."""
    return {
        name: _version(backend)
        for name, backend in BACKENDS.items()
        if util.find_spec(backend.package) is not None
    }


def usable_cores() -> int:
    """Count the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_frame(frame: Pixels, strength: float, least: int) -> None:
    """Refuse what a frame graph would choke on, before it reaches native code.

    Raises:
        FrameError: not (N, H, W, 3) uint8, a side below ``least``, a strength outside [0, 1].
    """
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
        kind = frame.dtype if isinstance(frame, np.ndarray) else type(frame).__name__
        raise FrameError(
            f"A frame is {kind}, an engine takes uint8 levels. "
            f"Convert it to a numpy array of uint8 in 0..255."
        )
    if frame.ndim != FRAME_DIMS or frame.shape[3] != 3 or frame.shape[0] < 1:
        raise FrameError(
            f"A frame is {frame.shape}, an engine takes (N, height, width, 3) RGB. "
            f"Drop an alpha channel, repeat a gray one, and put N = 1 in front of a single picture."
        )
    check_size(frame.shape[1], frame.shape[2], least)
    if not (math.isfinite(strength) and 0 <= strength <= 1):
        raise FrameError(f"The strength is {strength}, outside 0..1. Give a number between them.")


def check_size(height: int, width: int, least: int) -> None:
    """Refuse frames that are smaller than the network's margins.

    Raises:
        FrameError: a side is below ``least``.
    """
    if min(height, width) < least:
        raise FrameError(
            f"A frame is {width}x{height} pixels, this bundle takes sides from {least}. "
            f"Enlarge the picture first."
        )


def closed(backend: str) -> BackendError:
    """Return the error of a call after ``close``."""
    return BackendError(f"This {backend} engine is closed. Open another with `open_engine`.")


def _module(name: str) -> ModuleType:
    backend = find(name)
    if util.find_spec(backend.package) is None:
        raise BackendError(
            f"The backend {name} needs the package {backend.package}, which is not installed. "
            f"Install it with `pip install '{backend.install}'`."
        )
    try:
        return import_module(backend.module)
    except (ImportError, OSError) as error:
        raise BackendError(
            f"The package {backend.package} is installed but cannot be loaded ({error}). "
            f"Install it afresh with `pip install --force-reinstall '{backend.install}'`."
        ) from error


def _version(backend: Backend) -> str:
    for distribution in backend.distributions:
        with suppress(metadata.PackageNotFoundError):
            return metadata.version(distribution)
    return "unknown"
