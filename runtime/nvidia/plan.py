"""The header of a plan: which compiler built it, read from its bytes without any library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stylepress.errors import ArtifactError, BackendError
from stylepress.runtime.nvidia.package import title

MAGIC: Mapping[bytes, str] = {b"ftrt": "tensorrt", b"vtrt": "tensorrt_rtx"}
"""How plans begin that this file can read. Older ones (TensorRT 8.4, 8.5) may begin otherwise."""
HEADER_BYTES = 28
VERSION = slice(24, 28)
"""Major, minor, patch and build, one byte each, as NVIDIA's trtexec reads them."""
UNKNOWN = ("compute capability", "precision", "shapes", "whether it is compatible with others")


@dataclass(frozen=True, slots=True)
class PlanHeader:
    """What the first bytes of a plan say. ``version`` is (major, minor, patch, build)."""

    package: str
    version: tuple[int, int, int, int]

    @property
    def release(self) -> str:
        """The version as text; its build is modulo 256, for that is all the header holds."""
        return ".".join(map(str, self.version))


def is_plan(head: bytes) -> bool:
    """Say whether a file begins as a plan does."""
    return head[:4] in MAGIC


def read_header(data: bytes, name: str = "The plan") -> PlanHeader:
    """Read the header of a plan.

    Raises:
        ArtifactError: it is cut short, or begins as no plan that is known here.
    """
    if len(data) < HEADER_BYTES or data[:4] not in MAGIC:
        raise ArtifactError(
            f"{name} is no plan of TensorRT 8.6 or later: {len(data)} bytes that begin with "
            f"{data[:4]!r}.",
            "Build it again on this device.",
        )
    major, minor, patch, build = data[VERSION]
    return PlanHeader(MAGIC[data[:4]], (major, minor, patch, build))


def check_version(data: bytes, package: str, version: str, name: str = "The plan") -> PlanHeader:
    """Check that a plan was built by the very compiler that would load it, before it is loaded.

    Raises:
        ArtifactError: it is no plan.
        BackendError: another compiler or another version built it; both are named.
    """
    header = read_header(data, name)
    here = [int(part) for part in version.split(".")[:4] if part.isdigit()]
    same = all(own % 256 == other for own, other in zip(here, header.version, strict=False))
    if header.package == package and same:
        return header
    raise BackendError(
        f"{name} was built by {title(header.package)} {header.release}, and this is "
        f"{title(package)} {version}.",
        "Build it again here: plans do not move between versions.",
    )


def plan_facts(path: Path, installed: Mapping[str, str | None]) -> dict[str, object]:
    """Return what is known of a plan file, in reading order.

    ``installed`` maps a package to the version that is installed here.

    Raises:
        ArtifactError: it is no plan.
    """
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    header = read_header(head, str(path))
    here = installed.get(header.package)
    facts: dict[str, object] = {
        "what": f"plan of {title(header.package)}",
        "built by": header.release,
        "installed here": here or "none",
        "not known from its header": list(UNKNOWN),
    }
    if here is not None:
        try:
            check_version(head, header.package, here, path.name)
        except BackendError as error:
            facts["note"] = str(error)
    return facts
