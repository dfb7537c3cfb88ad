"""The packages of NVIDIA's compilers: the only file that imports them, when it is asked to."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from typing import Any

from stylepress.errors import BackendError
from stylepress.targets.engines import ENGINES

TITLES: Mapping[str, str] = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT for RTX"}
CPU_BUILDERS = frozenset({"tensorrt_rtx"})
"""Those that compile on a machine without a GPU."""


def title(package: str) -> str:
    """Return what people call a package: "TensorRT for RTX"."""
    return TITLES.get(package, package)


def require(package: str) -> None:
    """Check that a compiler is installed, without importing it.

    Raises:
        BackendError: it is not; how to install it is said.
    """
    if importlib.util.find_spec(package) is not None:
        return
    if package in CPU_BUILDERS:
        raise BackendError(
            f"The {title(package)} compiler is not installed.",
            f'Install it with `pip install "stylepress[{ENGINES[package].extra}]"`; it needs no GPU.',
        )
    raise BackendError(
        f"{title(package)} is not installed in this Python.",
        f"On a Jetson it comes with JetPack (docs/jetson.md says how this Python sees it); "
        f"elsewhere run `pip install {package}`.",
    )


def installed(package: str) -> str | None:
    """Return the version that is installed, without importing it; None when nobody knows."""
    for name in ENGINES[package].distributions if package in ENGINES else (package,):
        with suppress(metadata.PackageNotFoundError):
            return metadata.version(name)
    return None


def load(package: str) -> Any:
    """Import a compiler. Its native code may end the process: only a child process calls this."""
    return importlib.import_module(package)
