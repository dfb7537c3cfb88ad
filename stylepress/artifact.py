"""The one thing that passes from stage to stage: a folder with a manifest."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from stylepress.errors import ArtifactError, OutputError
from stylepress.replace import replacing_folder

Kind = Literal["checkpoint", "bundle", "engine"]
MANIFEST = "manifest.json"
SCHEMA = 1
MANIFEST_LIMIT_BYTES = 4 << 20
MOST_NEAR = 4
"""Artifacts that an error names at most."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, shape and meaning of one input or output.

    A string in ``shape`` is a free dimension, e.g. ``("batch", "height", "width", 3)``.
    ``low`` and ``high`` bound the values: ``0, 255`` for a uint8 frame.
    ``default`` is what a runtime feeds when nobody says otherwise; None for a required input.
    ``least`` is the smallest value that each free dimension may take.
    """

    name: str
    shape: tuple[int | str, ...]
    dtype: str
    low: float
    high: float
    default: float | None = None
    least: int = 1


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Size and SHA-256 of one file of an artifact."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model at rest, and how it came to be.

    Stages read one Artifact and write another; none changes one in place. ``made_by`` is the
    step that made it, ``parent`` the digest it was made from, so any number in a report leads
    back to the training run. ``numbers`` holds what was measured while it was made.
    """

    kind: Kind
    name: str
    folder: Path
    files: Mapping[str, FileRecord]
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    made_by: Mapping[str, Any] = field(default_factory=dict)
    parent: str | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 over the names and digests of all files."""
        return files_digest(self.files)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files, without the manifest."""
        return sum(record.size_bytes for record in self.files.values())

    def path(self, name: str) -> Path:
        """Return the place of one listed file.

        Raises:
            ArtifactError: the manifest lists no such file.
        """
        if name not in self.files:
            raise ArtifactError(
                f"{self.folder} holds no file {name!r}, only {', '.join(sorted(self.files))}. "
                f"Build it again with `stylepress build`."
            )
        return self.folder / name

    @classmethod
    def create(
        cls,
        folder: Path,
        fill: Callable[[Path], None],
        *,
        kind: Kind,
        name: str,
        inputs: tuple[TensorSpec, ...] = (),
        outputs: tuple[TensorSpec, ...] = (),
        made_by: Mapping[str, Any],
        parent: str | None = None,
        numbers: Mapping[str, float] | None = None,
    ) -> Artifact:
        """Let ``fill`` write the files into a folder beside ``folder``, seal it, rename it.

        Raises:
            OutputError: ``folder`` holds something that is not an artifact, or cannot be written.
        """
        occupied = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
        if occupied and not (folder / MANIFEST).is_file():
            raise OutputError(
                f"{folder} exists and is no stylepress artifact. "
                f"Name another folder, or move what is there away."
            )
        with replacing_folder(folder) as beside:
            fill(beside)
            files = {
                path.relative_to(beside).as_posix(): FileRecord(
                    file_digest(path), path.stat().st_size
                )
                for path in sorted(beside.rglob("*"))
                if path.is_file()
            }
            made = cls(
                kind, name, folder, files, inputs, outputs, made_by, parent, dict(numbers or {})
            )
            text = json.dumps(made.record(), indent=2, sort_keys=True, allow_nan=False)
            (beside / MANIFEST).write_text(text + "\n", encoding="utf-8")
        return made

    def record(self) -> dict[str, Any]:
        """Return what ``manifest.json`` holds."""
        return {
            "schema": SCHEMA,
            "kind": self.kind,
            "name": self.name,
            "digest": self.digest,
            "files": {name: asdict(record) for name, record in self.files.items()},
            "inputs": [asdict(spec) for spec in self.inputs],
            "outputs": [asdict(spec) for spec in self.outputs],
            "made_by": dict(self.made_by),
            "parent": self.parent,
            "numbers": dict(self.numbers),
        }

    @classmethod
    def load(cls, folder: Path) -> Artifact:
        """Read a manifest and check that every file is the one it was written for.

        Raises:
            ArtifactError: no manifest, a manifest of another shape, a file that is missing,
                altered, unlisted, or outside the folder.
        """
        artifact = cls._read(folder)
        for name, expected in artifact.files.items():
            path = folder / name
            if path.is_symlink() or not path.is_file():
                raise ArtifactError(
                    f"{folder} lacks its file {name!r}. "
                    f"Copy the whole folder again, or rebuild it with `stylepress build`."
                )
            seen = FileRecord(file_digest(path), path.stat().st_size)
            if seen != expected:
                raise ArtifactError(
                    f"{path} has digest {seen.sha256[:12]} ({seen.size_bytes} bytes) but its "
                    f"manifest expects {expected.sha256[:12]} ({expected.size_bytes} bytes). "
                    f"Copy the whole folder again, or rebuild it with `stylepress build`."
                )
        return artifact

    @classmethod
    def _read(cls, folder: Path) -> Artifact:
        manifest = folder / MANIFEST
        try:
            if manifest.stat().st_size > MANIFEST_LIMIT_BYTES:
                raise ValueError(f"larger than {MANIFEST_LIMIT_BYTES >> 20} MiB")
            return cls._from_record(folder, json.loads(manifest.read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ArtifactError(f"{_lacking(folder)} {_meant(folder)}") from error
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ArtifactError(
                f"{manifest} cannot be understood ({type(error).__name__}: {error}). "
                f"Rebuild the artifact with `stylepress build`."
            ) from error

    @classmethod
    def _from_record(cls, folder: Path, record: dict[str, Any]) -> Artifact:
        if record["schema"] != SCHEMA:
            raise ValueError(f"schema {record['schema']!r}, this version reads {SCHEMA}")
        if record["kind"] not in get_args(Kind):
            raise ValueError(f"kind {record['kind']!r} is none of {', '.join(get_args(Kind))}")
        files: dict[str, FileRecord] = {}
        for name, entry in record["files"].items():
            if not inside(name):
                raise ValueError(f"file name {name!r} leads outside the folder")
            files[name] = FileRecord(str(entry["sha256"]), int(entry["size_bytes"]))
        if files_digest(files) != record["digest"]:
            raise ValueError("the digest does not match the list of files")
        numbers = {str(key): float(value) for key, value in record["numbers"].items()}
        if not all(map(math.isfinite, numbers.values())):
            raise ValueError("a number that is not finite")
        return cls(
            kind=record["kind"],
            name=str(record["name"]),
            folder=folder,
            files=files,
            inputs=_specs(record["inputs"]),
            outputs=_specs(record["outputs"]),
            made_by=dict(record["made_by"]),
            parent=record["parent"],
            numbers=numbers,
        )


def _lacking(folder: Path) -> str:
    if folder.is_dir():
        return f"{folder} is no stylepress artifact: it holds no {MANIFEST}."
    what = "it is a file" if folder.exists() else "there is no such folder"
    return f"{folder} is no stylepress artifact: {what}."


def _meant(path: Path) -> str:
    """Name the artifacts that somebody may mean by a folder of them, a file of one, or a recipe."""
    if (path.parent / MANIFEST).is_file():
        near = [path.parent]
    else:
        below = path.with_suffix("") if path.is_file() else path
        near = sorted(one.parent for one in below.glob(f"*/{MANIFEST}"))
    if not near:
        return "Name a folder that `stylepress build` wrote."
    *most, last = map(str, near[:MOST_NEAR])
    return f"Did you mean {', '.join(most)}{' or ' if most else ''}{last}?"


def _specs(entries: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(**{**entry, "shape": tuple(entry["shape"])}) for entry in entries)


def inside(name: str) -> bool:
    """Say whether a relative posix name stays inside its folder.

    >>> inside("golden/0.png"), inside("../x"), inside("/etc/passwd")
    (True, False, False)
    """
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and "\\" not in name


def files_digest(files: Mapping[str, FileRecord]) -> str:
    """SHA-256 over the sorted names and digests: the identity of an artifact."""
    sha = hashlib.sha256()
    for name in sorted(files):
        sha.update(f"{name}\0{files[name].sha256}\n".encode())
    return sha.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()
