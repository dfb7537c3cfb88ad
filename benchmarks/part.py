"""What all measurements at rest have in common: strict models, JSON files, their schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from stylepress.errors import ArtifactError
from stylepress.replace import replacing_file

SCHEMA_URL = "https://json-schema.org/draft/2020-12/schema"
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


Document = TypeVar("Document", bound=Part)


def schema_of(kind: type[Part], noun: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a document as it is written."""
    schema = kind.model_json_schema(mode="serialization")
    return {"$schema": SCHEMA_URL, "title": f"stylepress {noun}", **schema}


def write_text(path: Path, text: str) -> Path:
    """Write a text file beside its place, then rename it there; return the place."""
    with replacing_file(path) as beside:
        beside.write_text(text, encoding="utf-8")
    return path


def json_text(document: Part) -> str:
    """Return a document as the JSON that is written, ending with a line's end."""
    return document.model_dump_json(indent=1) + "\n"


def read_json(path: Path, kind: type[Document], *, noun: str, command: str) -> Document:
    """Read a document of one kind.

    ``noun`` and ``command`` are what it is called and what writes it, for the errors.

    Raises:
        ArtifactError: missing, too large, no JSON, another document, or not of this version.
    """
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise ArtifactError(
                f"{path} is larger than {LIMIT_BYTES >> 20} MiB.",
                f"Write a {noun} with `{command}`.",
            )
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ArtifactError(
            f"{path} cannot be read as a {noun} ({error.strerror}).", f"Write one with `{command}`."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole file"
        raise ArtifactError(
            f"{path} is no stylepress {noun} of this version: {place}: {first['msg']}.",
            f"Write it again with `{command}`.",
        ) from error
