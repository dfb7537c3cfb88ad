"""The JetPack lines in use: what each brings to a Jetson, and which one a release of L4T is."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import Field

from stylepress.document import load_document
from stylepress.section import Section

PLACE = Path(__file__).parent / "jetpacks.yaml"
RUNTIME_PYTHON = (3, 10)
"""The oldest Python that the runtime works with."""


class JetPack(Section):
    """One line of JetPack, by the versions that decide what can be built and run there."""

    name: str = Field(pattern=r"^\d+\.\d+$", description="as NVIDIA calls it, such as '6.2'")
    l4t: str = Field(description="how the release in /etc/nv_tegra_release begins, such as '36.4'")
    cuda: str
    tensorrt: str = Field(pattern=r"^\d+\.\d+$")
    python: str = Field(pattern=r"^\d+\.\d+$")
    opset: int = Field(ge=7, description="newest that its ONNX parser reads")
    source: str = Field(min_length=1)

    @property
    def runs_here(self) -> bool:
        """Say whether its Python is new enough for the runtime."""
        return version(self.python) >= RUNTIME_PYTHON

    def __str__(self) -> str:
        return (
            f"JetPack {self.name} (L4T {self.l4t}, CUDA {self.cuda}, TensorRT {self.tensorrt}, "
            f"Python {self.python})"
        )


class _JetPacks(Section):
    jetpacks: tuple[JetPack, ...] = Field(min_length=1)


@lru_cache
def jetpacks() -> dict[str, JetPack]:
    """Return every JetPack line by its name, the oldest first."""
    return {line.name: line for line in load_document(PLACE, _JetPacks).jetpacks}


def of_release(l4t: str) -> JetPack | None:
    """Return the JetPack line of a release of L4T, None for one that is not known.

    >>> of_release("36.4.3").name, of_release("35.4.1").name, of_release("28.1")
    ('6.2', '5.1', None)
    """
    lines = [line for line in jetpacks().values() if _begins(l4t, line.l4t)]
    if lines:
        return max(lines, key=lambda line: len(line.l4t))
    # A release between two known ones of a line, such as 36.5, is the newest of its line.
    same = [line for line in jetpacks().values() if line.l4t.split(".")[0] == l4t.split(".")[0]]
    return same[-1] if same else None


def version(text: str) -> tuple[int, ...]:
    """Read a version for comparing.

    >>> version("10.3") > version("8.6")
    True
    """
    return tuple(int(part) for part in text.split("."))


def _begins(release: str, start: str) -> bool:
    return f"{release}.".startswith(f"{start}.")
