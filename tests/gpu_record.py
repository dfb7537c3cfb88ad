"""What tests on a real GPU saw, kept as JSON that tells when a line of it was altered.

``STYLEPRESS_GPU_RECORD=FILE`` says where; without it nothing is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any


def keep(record: dict[str, Any]) -> None:
    """Write a record beside those of earlier tests, signed with a digest over its values."""
    place = os.environ.get("STYLEPRESS_GPU_RECORD")
    if place is None:
        return
    path = Path(place)
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    kept = [*before, {**record, "sha256": digest(record)}]
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def digest(record: dict[str, Any]) -> str:
    """Return the SHA-256 of a record's values, as sorted JSON."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
