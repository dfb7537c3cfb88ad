"""What a model weighs: bytes of its files, parameters, multiply-accumulates of a frame."""

from __future__ import annotations

from pathlib import Path

from stylepress.artifact import Artifact
from stylepress.benchmarks.part import Part

CONVENTION = (
    "One multiply with its addition is one MAC (two operations). Convolutions only, a transposed "
    "one at its input's size; no bias, norm, activation or resize. Counted at 512x512, scaled by "
    "the area. Parameters are the weights that are learned, zero points and scales left out."
)
COUNTED_AT = 512 * 512


class Cost(Part):
    """Sizes in bytes, and counts by ``convention``; None where nobody counted.

    ``engine_bytes`` is what a backend keeps of it on disk once it is compiled.
    """

    files_bytes: dict[str, int]
    engine_bytes: int | None
    parameters: int | None
    macs: int | None
    convention: str = CONVENTION

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(self.files_bytes.values())


def cost_of(artifact: Artifact, size: tuple[int, int], *, engine_bytes: int | None = None) -> Cost:
    """Return the cost of an artifact for frames of (height, width)."""
    macs, parameters = artifact.numbers.get("macs_512"), artifact.numbers.get("params")
    return Cost(
        files_bytes={name: record.size_bytes for name, record in artifact.files.items()},
        engine_bytes=engine_bytes,
        parameters=None if parameters is None else round(parameters),
        macs=None if macs is None else round(macs * size[0] * size[1] / COUNTED_AT),
    )


def folder_bytes(folder: Path) -> int:
    """Sum the sizes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
