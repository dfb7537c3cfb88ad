"""Nothing is built twice: artifacts kept under the digest of everything that decides them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import stylepress
from stylepress.artifact import MANIFEST, Artifact, Kind, file_digest
from stylepress.errors import ArtifactError, OutputError, RecipeError
from stylepress.lock import locked
from stylepress.progress import Progress

LIMIT_BYTES = 10 << 30


def build_key(parents: Iterable[str], step: Mapping[str, Any], code: str) -> str:
    """SHA-256 of what decides a result: the inputs' digests in order, the step, the code.

    >>> build_key(["p"], {"a": 1, "b": 2}, "c") == build_key(["p"], {"b": 2, "a": 1}, "c")
    True
    """
    identity = {"parents": list(parents), "step": dict(step), "code": code}
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def code_version(*rooms: str) -> str:
    """Digest of the package version and the sources of the rooms that a step runs.

    >>> code_version("train") == code_version("train", "compress")
    False
    """
    sha = hashlib.sha256(stylepress.__version__.encode())
    for room in rooms:
        spec = find_spec(f"stylepress.{room}")
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            for path in sorted(Path(folder).rglob("*.py")):
                name = path.relative_to(folder).as_posix()
                sha.update(f"{room}/{name}\0{file_digest(path)}\n".encode())
    return sha.hexdigest()


def content_digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and bytes of all files below a folder.

    Hidden files do not count: nobody learns from a ``.DS_Store``.

    Raises:
        RecipeError: it does not exist, or may not be read.
    """
    try:
        if not path.is_dir():
            return file_digest(path)
        sha = hashlib.sha256()
        for file in sorted(path.rglob("*")):
            name = file.relative_to(path)
            if file.is_file() and not any(part.startswith(".") for part in name.parts):
                sha.update(f"{name.as_posix()}\0{file_digest(file)}\n".encode())
        return sha.hexdigest()
    except OSError as error:
        raise RecipeError(
            f"{error.filename or path} cannot be read ({error.strerror}). "
            f"Check the path and its permissions."
        ) from error


def cache_folder(environ: Mapping[str, str], home: Path) -> Path:
    """Return where the cache lives: $STYLEPRESS_CACHE, or the user's cache folder.

    >>> cache_folder({"XDG_CACHE_HOME": "/c"}, Path("/h")).as_posix()
    '/c/stylepress'
    """
    if named := environ.get("STYLEPRESS_CACHE"):
        return Path(named)
    return Path(environ.get("XDG_CACHE_HOME") or home / ".cache") / "stylepress"


@dataclass(frozen=True)
class Cache:
    """Artifacts below ``folder``, each under its build key; the least used give way.

    Several processes may share one folder. What is on disk is never trusted: an entry whose
    files are not those of its manifest is dropped and built again.
    """

    folder: Path
    limit_bytes: int = LIMIT_BYTES

    def lookup(self, key: str, kind: Kind) -> Artifact | None:
        """Return the artifact built under ``key``, its files checked; None when there is none.

        Raises:
            ArtifactError: an entry that is damaged or of another kind.
        """
        entry = self._entry(key)
        if not (entry / MANIFEST).is_file():
            return None
        found = Artifact.load(entry)
        if found.kind != kind:
            raise ArtifactError(
                f"{entry} holds a {found.kind}, not a {kind}. Remove that folder, or the cache."
            )
        with suppress(OSError):
            os.utime(entry)  # the time of its last use, for trim()
        return found

    def store(self, key: str, artifact: Artifact) -> None:
        """Keep a copy of ``artifact`` under ``key``; drop what was not used for longest.

        Raises:
            OutputError: the cache cannot be written, or the disk is full.
        """
        if artifact.size_bytes <= self.limit_bytes:
            copied(artifact, self._entry(key))
            self.trim(keep=key)

    def drop(self, key: str) -> None:
        """Forget one entry."""
        shutil.rmtree(self._entry(key), ignore_errors=True)

    def size_bytes(self) -> int:
        """Bytes of all entries."""
        return sum(size for _, size, _ in self._used())

    def trim(self, *, keep: str = "") -> None:
        """Drop the entries not used for longest until the rest fits ``limit_bytes``."""
        entries = sorted(self._used())
        total = sum(size for _, size, _ in entries)
        for _, size, key in entries:
            if total <= self.limit_bytes:
                return
            if key == keep:
                continue
            with locked(self.lock_path(key), wait=False) as held:
                if held:  # else somebody builds or copies it at this moment
                    self.drop(key)
                    total -= size

    def lock_path(self, key: str) -> Path:
        """Return the lock file that guards one entry."""
        return self.folder / "locks" / key

    def _entry(self, key: str) -> Path:
        return self.folder / "artifacts" / key[:2] / key

    def _used(self) -> list[tuple[float, int, str]]:
        found: list[tuple[float, int, str]] = []
        for entry in self.folder.glob("artifacts/*/*"):
            with suppress(OSError):  # another process may drop it meanwhile
                size = sum(file.stat().st_size for file in entry.rglob("*") if file.is_file())
                found.append((entry.stat().st_mtime, size, entry.name))
        return found


def copied(artifact: Artifact, out: Path) -> Artifact:
    """Write the same artifact into ``out``; nothing is written where it already stands.

    Raises:
        ArtifactError: a file of ``artifact`` changed since it was loaded.
        OutputError: ``out`` cannot be written, or holds something that is not an artifact.
    """
    with suppress(ArtifactError):
        standing = Artifact.load(out)
        if standing.record() == artifact.record():
            return standing

    def fill(folder: Path) -> None:
        for name in artifact.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(artifact.path(name), folder / name)

    made = Artifact.create(
        out,
        fill,
        kind=artifact.kind,
        name=artifact.name,
        inputs=artifact.inputs,
        outputs=artifact.outputs,
        made_by=artifact.made_by,
        parent=artifact.parent,
        numbers=artifact.numbers,
    )
    if made.digest != artifact.digest:
        raise ArtifactError(
            f"{artifact.folder} changed while it was copied. Run the command again."
        )
    return made


def cached(
    store: Cache | None,
    key: str,
    out: Path,
    *,
    kind: Kind,
    build: Callable[[Path], Artifact],
    progress: Progress,
) -> tuple[Artifact, bool]:
    """Return the artifact of ``key`` in ``out``, and whether it was there already.

    ``build(out)`` is called when it was not. A cache that cannot be used (damaged entry, full
    disk, no permission) is told as a warning and costs nothing but the work it would have saved.
    """
    if store is None:
        return build(out), False

    def wait() -> None:
        progress.say(f"{out.name}: another process is building the same; waiting for it.")

    with ExitStack() as stack:
        try:
            stack.enter_context(locked(store.lock_path(key), on_wait=wait))
        except (OutputError, OSError) as error:
            progress.warn(f"{error} This build goes on without the cache.")
            return build(out), False
        try:
            found = store.lookup(key, kind)
        except (ArtifactError, OSError) as error:
            progress.warn(f"{error} The entry is dropped and built again.")
            store.drop(key)
            found = None
        if found is not None:
            return copied(found, out), True
        made = build(out)
        try:
            store.store(key, made)
        except (OutputError, OSError) as error:
            progress.warn(f"{error} The result is complete, but the cache does not keep it.")
        return made, False
