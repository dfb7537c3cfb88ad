"""Nothing is built twice: artifacts kept under the digest of everything that decides them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import platformdirs

import stylepress
from stylepress.artifact import MANIFEST, Artifact, Kind, file_digest
from stylepress.errors import ArtifactError, OutputError, RecipeError
from stylepress.progress import Progress
from stylepress.replace import replacing_file, writing

LIMIT_BYTES = 10 << 30
LEFTOVER_S = 3600.0
"""Age at which a file that was never renamed to its final name belongs to nobody any more."""


def build_key(
    parents: Iterable[str], step: Mapping[str, Any], code: str, tools: Mapping[str, str]
) -> str:
    """SHA-256 of what decides a result: parents in order, the step, the code, versions of tools.

    >>> build_key(["p"], {"a": 1, "b": 2}, "c", {}) == build_key(["p"], {"b": 2, "a": 1}, "c", {})
    True
    """
    identity = {"parents": list(parents), "step": dict(step), "code": code, "tools": dict(tools)}
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
            f"{error.filename or path} cannot be read ({error.strerror}).",
            "Check the path and its permissions.",
        ) from error


def user_cache() -> Path:
    """Return the folder of built artifacts, compiled engines and measured choices.

    $STYLEPRESS_CACHE, or the place for caches of this system's users.
    """
    if named := os.environ.get("STYLEPRESS_CACHE"):
        return Path(named)
    return platformdirs.user_cache_path("stylepress", appauthor=False)


@dataclass(frozen=True)
class Cache:
    """Everything that is kept for later below ``folder``: artifacts, compiled engines, records.

    Each entry stands under its key; those not used for longest give way. Several processes may
    share one folder. What is on disk is never trusted: an entry whose files are not those of its
    manifest is dropped and built again.
    """

    folder: Path
    limit_bytes: int = LIMIT_BYTES

    def lookup(self, key: str, kind: Kind) -> Artifact | None:
        """Return the artifact built under ``key``, its files checked; None when there is none.

        Raises:
            ArtifactError: an entry that is damaged or of another kind.
        """
        entry = self.entry(key)
        if not (entry / MANIFEST).is_file():
            return None
        artifact = Artifact.load(entry)
        if artifact.kind != kind:
            raise ArtifactError(
                f"{entry} holds a {artifact.kind}, not a {kind}.",
                "Remove that folder, or the cache.",
            )
        with suppress(OSError):
            os.utime(entry)  # the time of its last use, for trim()
        return artifact

    def store(self, key: str, artifact: Artifact) -> None:
        """Keep a copy of ``artifact`` under ``key``; drop what was not used for longest.

        Raises:
            OutputError: the cache cannot be written, or the disk is full.
        """
        if artifact.size_bytes <= self.limit_bytes:
            copied(artifact, self.entry(key))
            self.trim(keep=key)

    def drop(self, key: str) -> None:
        """Forget one entry."""
        shutil.rmtree(self.entry(key), ignore_errors=True)

    def remember(self, key: str, record: Mapping[str, Any]) -> None:
        """Keep a small record under ``key``.

        Raises:
            OutputError: the cache cannot be written, or the disk is full.
        """
        with replacing_file(self._record(key)) as beside:
            beside.write_text(json.dumps(dict(record), indent=1) + "\n", encoding="utf-8")

    def recall(self, key: str) -> dict[str, Any] | None:
        """Return the record kept under ``key``; None when there is none that can be read."""
        with suppress(OSError, ValueError, RecursionError):
            record = json.loads(self._record(key).read_text(encoding="utf-8"))
            if isinstance(record, dict):
                os.utime(self._record(key))
                return record
        return None

    def size_bytes(self) -> int:
        """Bytes of all entries."""
        return sum(size for _, size, _ in self._used())

    def trim(self, *, keep: str = "") -> None:
        """Remove what a killed process left, then the entries not used for longest.

        Until the rest fits ``limit_bytes``. An entry that is locked is being built or copied at
        this moment, and stays.
        """
        entries = sorted(self._used())
        total = sum(size for _, size, _ in entries)
        for used_s, size, path in entries:
            if path.name.startswith("."):  # being written, under a name that is no key
                if used_s < time.time() - LEFTOVER_S:
                    _remove(path)
                    total -= size
                continue
            key = path.name.partition(".")[0]
            if total <= self.limit_bytes or key == keep:
                continue
            with self.locked(key, wait=False) as held:
                if held:
                    _remove(path)
                    total -= size

    @contextmanager
    def locked(
        self, key: str, *, wait: bool = True, on_wait: Callable[[], None] | None = None
    ) -> Iterator[bool]:
        """Hold the lock of one key while the block runs; yield whether it is held.

        The operating system frees it when its holder dies. Without ``wait`` a lock that somebody
        else holds yields False; with it, ``on_wait`` is called once and the block waits its turn.

        Raises:
            OutputError: the lock cannot be written.
        """
        place = self.folder / "locks" / key
        from filelock import FileLock, Timeout  # it brings asyncio: 45 ms that a kept engine saves

        lock = FileLock(place)
        with writing(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                if not wait:
                    yield False
                    return
                if on_wait is not None:
                    on_wait()
                lock.acquire()
        try:
            yield True
        finally:
            lock.release()

    def entry(self, key: str) -> Path:
        """Return where the artifact of a key stands."""
        return self.folder / "artifacts" / key[:2] / key

    def _record(self, key: str) -> Path:
        return self.folder / "records" / key[:2] / f"{key}.json"

    def _used(self) -> list[tuple[float, int, Path]]:
        entries: list[tuple[float, int, Path]] = []
        for path in (*self.folder.glob("artifacts/*/*"), *self.folder.glob("records/*/*")):
            with suppress(OSError):  # another process may drop it meanwhile
                files = path.rglob("*") if path.is_dir() else (path,)
                size = sum(file.stat().st_size for file in files if file.is_file())
                entries.append((path.stat().st_mtime, size, path))
        return entries


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def copied(artifact: Artifact, out: Path) -> Artifact:
    """Write the same artifact into ``out``; nothing is written where it already stands.

    Raises:
        ArtifactError: a file of ``artifact`` changed since it was loaded.
        OutputError: ``out`` cannot be written, or holds something that is not an artifact.
    """
    with suppress(ArtifactError):
        standing = Artifact.load(out)
        if standing.digest == artifact.digest:
            return standing

    def fill(folder: Path) -> None:
        for name in artifact.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(artifact.path(name), folder / name)

    copy = Artifact.create(
        out,
        fill,
        kind=artifact.kind,
        name=artifact.name,
        graphs=artifact.graphs,
        made_by=artifact.made_by,
        parent=artifact.parent,
        numbers=artifact.numbers,
    )
    if copy.digest != artifact.digest:
        raise ArtifactError(
            f"{artifact.folder} changed while it was copied.", "Run the command again."
        )
    return copy


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
            stack.enter_context(store.locked(key, on_wait=wait))
        except (OutputError, OSError) as error:
            progress.warn(f"{error} This build goes on without the cache.")
            return build(out), False
        try:
            kept = store.lookup(key, kind)
        except (ArtifactError, OSError) as error:
            progress.warn(f"{error} The entry is dropped and built again.")
            store.drop(key)
            kept = None
        if kept is not None:
            return copied(kept, out), True
        built = build(out)
        try:
            store.store(key, built)
        except (OutputError, OSError) as error:
            progress.warn(f"{error} The result is complete, but the cache does not keep it.")
        return built, False
