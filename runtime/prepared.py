"""Engines compiled once: an engine artifact for each bundle, backend, options and machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import stylepress
from stylepress.artifact import Artifact
from stylepress.cache import Cache, build_key, code_version
from stylepress.errors import ArtifactError, OutputError
from stylepress.progress import Progress, Silent
from stylepress.runtime.backends import (
    Engine,
    EngineOptions,
    find,
    load_backend,
    open_engine,
    version_of,
)
from stylepress.runtime.bundle import Bundle
from stylepress.runtime.machine import machine

OPTIONS = "options.json"


def ready(
    bundle: Bundle,
    backend: str,
    *,
    options: EngineOptions,
    graph: str | None = None,
    cache: Cache | None,
    progress: Progress,
) -> Engine:
    """Open an engine, from what was compiled before where that is kept.

    A cache that cannot be used costs one warning and the time to compile, never the engine.

    Raises:
        BackendError: no such backend, not installed, or it cannot load the bundle.
    """
    folder: Path | None = None
    if cache is not None and compiles(backend):
        try:
            folder = prepare(
                bundle, backend, options=options, graph=graph, cache=cache, progress=progress
            ).folder
        except (OutputError, OSError) as error:
            progress.warn(f"{error} The engine is compiled each time.")
    return open_engine(bundle, backend, options=options, graph=graph, prepared=folder)


def compiles(backend: str) -> bool:
    """Say whether a backend compiles something that is worth keeping.

    Raises:
        BackendError: no such backend, or not installed.
    """
    module = load_backend(backend)
    return hasattr(module, "prepare") or hasattr(module, "keep")


def prepare(
    bundle: Bundle,
    backend: str,
    *,
    options: EngineOptions,
    graph: str | None = None,
    cache: Cache,
    progress: Progress | None = None,
) -> Artifact:
    """Compile a graph of a bundle for this machine, unless that is kept already.

    The engine artifact is never shipped: its key holds the bundle, the options, the versions of
    the backend and of this code, and the machine.

    Raises:
        BackendError: no such backend, not installed, or it cannot load the bundle.
        OutputError: the cache cannot be written.
    """
    name, module = bundle.placed_for(backend, graph), load_backend(backend)
    if hasattr(module, "keep"):  # a backend whose engines belong to a GPU knows them by it
        kept: Artifact = module.keep(bundle, name, options, cache, progress or Silent())
        return kept
    step = {
        "step": "engine",
        "backend": backend,
        "graph": name,
        "options": {**asdict(options), "threads": options.all_threads},
        "machine": machine() | (module.device() if hasattr(module, "device") else {}),
    }
    tools = {backend: version_of(find(backend))}
    key = build_key([bundle.artifact.digest], step, code_version("runtime"), tools)
    with suppress(ArtifactError, OSError):  # what is whole is never written again: no lock
        if known := cache.lookup(key, "engine"):
            return known
    with ExitStack() as stack:
        stack.enter_context(cache.locked(key))
        try:
            if known := cache.lookup(key, "engine"):
                return known
        except (ArtifactError, OSError):  # damaged: compiled again
            cache.drop(key)
        made_by = {**step, "stylepress": stylepress.__version__, "tools": tools}
        artifact = _compiled(bundle, name, options, made_by, cache.entry(key))
    cache.trim(keep=key)
    return artifact


def _compiled(
    bundle: Bundle, name: str, options: EngineOptions, made_by: Mapping[str, Any], out: Path
) -> Artifact:
    module = load_backend(str(made_by["backend"]))

    def fill(folder: Path) -> None:
        module.prepare(bundle, name, options, folder)
        (folder / OPTIONS).write_text(json.dumps(made_by["options"]) + "\n", encoding="utf-8")

    return Artifact.create(
        out,
        fill,
        kind="engine",
        name=bundle.artifact.name,
        made_by=made_by,
        parent=bundle.artifact.digest,
    )
