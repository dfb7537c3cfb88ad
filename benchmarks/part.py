"""What all measurements at rest have in common: strict models, and how they are written and read."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from stylepress.errors import ArtifactError
from stylepress.replace import replacing_file

LIMIT_BYTES = 64 << 20


class Part(BaseModel):
    """A value of a document: no unknown key, nothing changed in place, no NaN in the JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Skipped(Part):
    """Something that was not measured, and why."""

    what: str
    why: str


class FileFact(Part):
    """Name and SHA-256 of an input file."""

    name: str
    sha256: str


class Document(Part):
    """What is a file of its own, of its ``title``; ``command`` writes one."""

    command: ClassVar[str]


Read = TypeVar("Read", bound=Document)


def write_text(path: Path, text: str) -> Path:
    """Write a text file beside its place, then rename it there; return the place."""
    with replacing_file(path) as beside:
        beside.write_text(text, encoding="utf-8")
    return path


def json_text(document: Document) -> str:
    """Return a document as the JSON that is written, ending with a line's end."""
    return document.model_dump_json(indent=1) + "\n"


def read_json(path: Path, kind: type[Read]) -> Read:
    """Read a document of one kind.

    Raises:
        ArtifactError: missing, too large, no JSON, another document, or not of this version.
    """
    noun = kind.model_config["title"]
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise ArtifactError(
                f"{path} is larger than {LIMIT_BYTES >> 20} MiB.",
                f"Write a {noun} with `{kind.command}`.",
            )
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ArtifactError(
            f"{path} cannot be read as a {noun} ({error.strerror}).",
            f"Write one with `{kind.command}`.",
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole file"
        raise ArtifactError(
            f"{path} is no {noun} of this version: {place}: {first['msg']}.",
            f"Write it again with `{kind.command}`.",
        ) from error
