"""The one thing that passes from stage to stage: a folder with a manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from typing_extensions import Self

from stylepress.errors import ArtifactError, OutputError
from stylepress.ports import Graph
from stylepress.replace import replacing_folder
from stylepress.section import Section

Kind = Literal["checkpoint", "bundle", "engine"]
MANIFEST = "manifest.json"
SCHEMA = 2
MANIFEST_LIMIT_BYTES = 4 << 20
GOLDEN = "golden"
"""The folder of test pictures inside a bundle; it does not count as size of the model."""
WEIGHTS = (".pth", ".pt", ".ckpt", ".safetensors", ".onnx")
"""Endings of files that `stylepress export` makes a bundle of."""
MOST_NEAR = 4
"""Artifacts that an error names at most."""


class FileRecord(Section):
    """Size and SHA-256 of one file of an artifact."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0)


class Manifest(Section):
    """What ``manifest.json`` holds: the files of an artifact, what they mean, where they are from.

    ``made_by`` is the step that made it, with its options and what came out of them; ``parent``
    is the digest it was made from, so any number in a report leads back to the training run.
    ``numbers`` holds what was measured while it was made. ``digest`` is the SHA-256 over all of
    it, so that an edited bound or tolerance is refused as an edited weight is.
    """

    schema_version: Literal[2] = Field(default=2, alias="schema")
    kind: Kind
    name: str = Field(min_length=1)
    files: Mapping[str, FileRecord]
    graphs: Mapping[str, Graph] = Field(default_factory=dict)
    made_by: Mapping[str, Any] = Field(default_factory=dict)
    parent: str | None = None
    numbers: Mapping[str, float] = Field(default_factory=dict)
    digest: str = ""

    @field_validator("files")
    @classmethod
    def _inside(cls, files: Mapping[str, FileRecord]) -> Mapping[str, FileRecord]:
        for name in files:
            if not inside(name) or name == MANIFEST:
                raise ValueError(f"file name {name!r} leads outside the folder")
        return files

    @model_validator(mode="after")
    def _graphs_have_files(self) -> Self:
        for name, graph in self.graphs.items():
            if graph.file not in self.files:
                raise ValueError(f"the graph {name!r} is in {graph.file!r}, which is not listed")
        return self

    def record(self) -> dict[str, Any]:
        """Return the manifest as plain values."""
        return self.model_dump(mode="json", by_alias=True)

    def identity(self) -> str:
        """SHA-256 over everything but the digest itself, keys sorted."""
        record = {key: value for key, value in self.record().items() if key != "digest"}
        text = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model at rest, and how it came to be: a folder and its manifest.

    Stages read one Artifact and write another; none changes one in place.
    """

    folder: Path
    manifest: Manifest

    @property
    def kind(self) -> Kind:
        """Which kind of artifact it is."""
        return self.manifest.kind

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def digest(self) -> str:
        """SHA-256 over the manifest, which holds those of all files."""
        return self.manifest.digest

    @property
    def files(self) -> Mapping[str, FileRecord]:
        """The files by name, relative to the folder, with forward slashes."""
        return self.manifest.files

    @property
    def graphs(self) -> Mapping[str, Graph]:
        """The graphs by name."""
        return self.manifest.graphs

    @property
    def made_by(self) -> Mapping[str, Any]:
        """The step that made it, with its options and what came out of them."""
        return self.manifest.made_by

    @property
    def parent(self) -> str | None:
        """The digest it was made from."""
        return self.manifest.parent

    @property
    def numbers(self) -> Mapping[str, float]:
        """What was measured while it was made."""
        return self.manifest.numbers

    @property
    def size_bytes(self) -> int:
        """Bytes of the model: all files without the manifest and the golden pairs."""
        return sum(
            record.size_bytes
            for name, record in self.files.items()
            if not name.startswith(f"{GOLDEN}/")
        )

    def path(self, name: str) -> Path:
        """Return the place of one listed file.

        Raises:
            ArtifactError: the manifest lists no such file.
        """
        if name not in self.files:
            raise ArtifactError(
                f"{self.folder} holds no file {name!r}, only {', '.join(sorted(self.files))}.",
                "Build it again with `stylepress build`.",
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
        graphs: Mapping[str, Graph] | None = None,
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
                f"{folder} exists and is no stylepress artifact.",
                "Name another folder, or move what is there away.",
            )
        with replacing_folder(folder) as beside:
            fill(beside)
            # Through JSON, so that what was sealed is what will be read.
            values = {
                "schema": SCHEMA,
                "kind": kind,
                "name": name,
                "files": _records(beside),
                "graphs": {key: graph.model_dump() for key, graph in (graphs or {}).items()},
                "made_by": dict(made_by),
                "parent": parent,
                "numbers": dict(numbers or {}),
            }
            text = json.dumps(values, sort_keys=True, allow_nan=False)
            manifest = Manifest.model_validate_json(text)
            manifest = manifest.model_copy(update={"digest": manifest.identity()})
            text = json.dumps(manifest.record(), indent=1, sort_keys=True, allow_nan=False)
            (beside / MANIFEST).write_text(text + "\n", encoding="utf-8")
        return cls(folder, manifest)

    @classmethod
    def load(cls, folder: Path) -> Artifact:
        """Read a manifest and check that every file is the one it was written for.

        Raises:
            ArtifactError: no manifest, a manifest of another shape or that was edited, a file that
                is missing, altered, unlisted, a link, or outside the folder.
        """
        artifact = cls(folder, _read(folder))
        _refuse_unlisted(artifact)
        for name, expected in artifact.files.items():
            path = folder / name
            if path.is_symlink() or not path.is_file():
                raise ArtifactError(
                    f"{folder} lacks its file {name!r}.",
                    "Copy the whole folder again, or rebuild it with `stylepress build`.",
                )
            actual = _record(path)
            if actual != expected:
                raise ArtifactError(
                    f"{path} has digest {actual.sha256[:12]} ({actual.size_bytes} bytes) but its "
                    f"manifest expects {expected.sha256[:12]} ({expected.size_bytes} bytes).",
                    "Copy the whole folder again, or rebuild it with `stylepress build`.",
                )
        return artifact


def _record(path: Path) -> FileRecord:
    return FileRecord(sha256=file_digest(path), size_bytes=path.stat().st_size)


def _records(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        path.relative_to(folder).as_posix(): _record(path).model_dump()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _read(folder: Path) -> Manifest:
    place = folder / MANIFEST
    try:
        if place.stat().st_size > MANIFEST_LIMIT_BYTES:
            raise ValueError(f"larger than {MANIFEST_LIMIT_BYTES >> 20} MiB")
        text = place.read_text(encoding="utf-8")
        _refuse_older(folder, text)
        manifest = Manifest.model_validate_json(text)
        if manifest.digest != manifest.identity():
            raise ValueError("its digest does not match what it says")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ArtifactError(_lacking(folder), _meant(folder)) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ArtifactError(
            f"{place} cannot be understood ({where}: {first['msg']}).",
            "Rebuild the artifact with `stylepress build`.",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(
            f"{place} cannot be understood ({type(error).__name__}: {error}).",
            "Rebuild the artifact with `stylepress build`.",
        ) from error
    return manifest


def _refuse_older(folder: Path, text: str) -> None:
    """Name the command that rebuilds an artifact of a version before this one."""
    record = json.loads(text)
    schema = record.get("schema") if isinstance(record, dict) else None
    if not isinstance(schema, int) or schema >= SCHEMA:
        return
    kind = str(record.get("kind"))
    command = {
        "checkpoint": f"stylepress build {folder / 'weights.safetensors'} --photos DIR",
        "bundle": f"stylepress build RECIPE --out {folder.parent}",
    }.get(kind, "stylepress build RECIPE")
    raise ArtifactError(
        f"{folder} is a {kind} of an earlier stylepress (manifest {schema}, this version reads "
        f"{SCHEMA}).",
        f"Rebuild it with `{command}`.",
    )


def _refuse_unlisted(artifact: Artifact) -> None:
    """Refuse anything in the folder that the manifest does not list."""
    listed = {MANIFEST, *artifact.files}
    folders = {parent.as_posix() for name in listed for parent in PurePosixPath(name).parents}
    for path in sorted(artifact.folder.rglob("*")):
        name = path.relative_to(artifact.folder).as_posix()
        is_listed = name in folders if path.is_dir() and not path.is_symlink() else name in listed
        if not is_listed:
            raise ArtifactError(
                f"{artifact.folder} holds {name!r}, which its manifest does not list.",
                "Remove it: an artifact is changed by building it again.",
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
        near = sorted(place.parent for place in below.glob(f"*/{MANIFEST}"))
    if not near and path.is_file() and path.suffix.lower() in WEIGHTS:
        return f"Make a bundle of it with `stylepress export {path}`, and name that."
    if not near:
        return "Name a folder that `stylepress build` wrote."
    *most, last = map(str, near[:MOST_NEAR])
    return f"Did you mean {', '.join(most)}{' or ' if most else ''}{last}?"


def inside(name: str) -> bool:
    """Say whether a relative posix name stays inside its folder.

    >>> inside("golden/0.png"), inside("../x"), inside("/etc/passwd")
    (True, False, False)
    """
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and "\\" not in name


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()
