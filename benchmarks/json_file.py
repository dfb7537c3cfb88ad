"""Measurements at rest: JSON files that are read back strictly, and their JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from stylepress.benchmarks.part import Part
from stylepress.errors import ArtifactError

SCHEMA_URL = "https://json-schema.org/draft/2020-12/schema"
LIMIT_BYTES = 64 << 20
DOCUMENTS = ("comparison", "floor")

Document = TypeVar("Document", bound=Part)


def schema_of(kind: type[Part], noun: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a document as it is written."""
    schema = kind.model_json_schema(mode="serialization")
    return {"$schema": SCHEMA_URL, "title": f"stylepress {noun}", **schema}


def read_json(
    path: Path,
    kind: type[Document],
    *,
    noun: str,
    command: str,
    prepare: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> Document:
    """Read a document of one kind; ``prepare`` makes of what was written what is validated.

    ``noun`` and ``command`` are what it is called and what writes it, for the errors.

    Raises:
        ArtifactError: missing, too large, no JSON, another document, or not of that version.
    """
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise ValueError(f"larger than {LIMIT_BYTES >> 20} MiB")
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise TypeError(f"its JSON is a {type(record).__name__}, not an object")
        other = _document(record)
        if other not in (None, noun):
            raise ArtifactError(f"{path} is a {other}, not a {noun}. Write one with `{command}`.")
        return kind.model_validate(prepare(record))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ArtifactError(
            f"{path} is no stylepress {noun} of this version: {place}: {first['msg']}. "
            f"Write it again with `{command}`."
        ) from error
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ArtifactError(
            f"{path} cannot be read as a {noun} ({type(error).__name__}: {error}). "
            f"Write one with `{command}`."
        ) from error


def _document(record: Mapping[str, Any]) -> str | None:
    """Return which of our documents it is; None for none of them. A report does not name itself."""
    if record.get("document") in DOCUMENTS:
        return str(record["document"])
    return "report" if {"scenario", "latencies"} <= record.keys() else None
